"""Sample grids that can be read back."""

from __future__ import annotations

import numpy as np

from keras_vaegan.evaluation.pictures import draw_sample_grid


def test_grid_keeps_gray_gray_and_colour_colour():
    gray = np.full((32, 32, 1), 0.5)
    red = np.zeros((32, 32, 3))
    red[..., 0] = 1
    grid = draw_sample_grid([[gray, np.zeros((32, 32))], [gray, gray]], ["input", "cycle"])
    assert grid.dtype == np.uint8 and grid.ndim == 3 and grid.shape[2] == 3
    assert (grid == grid[..., :1]).all()
    levels, counts = np.unique(grid, return_counts=True)
    assert counts[(levels == 127) | (levels == 128)].sum() > 0.4 * grid.size
    coloured = draw_sample_grid([[gray, red]], ["gray", "red"])
    assert ((coloured == [255, 0, 0]).all(axis=2)).mean() > 0.2


def test_grid_of_a_dim_image_is_not_stretched():
    dim = np.linspace(0, 0.2, 32 * 32).reshape(32, 32)
    grid = draw_sample_grid([[dim]], ["dim"])
    middle = grid[grid.shape[0] // 2, grid.shape[1] // 2, 0]
    assert abs(int(middle) - 0.1 * 255) < 4


def test_grid_takes_images_of_several_sizes():
    images = [np.ones((16, 40)), np.ones((64, 64, 1)), np.ones((8, 8, 3))]
    assert draw_sample_grid([images], ["a", "b", "c"]).size
