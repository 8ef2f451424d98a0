"""Both networks of System A: shapes, range, the latent, gray images, patterns."""

import dataclasses

import numpy as np
import pytest

from keras_vaegan.config.networks import DiscriminatorConfig, VAEUNetConfig
from keras_vaegan.models.discriminators import build_discriminator
from keras_vaegan.models.latent import find_latent_model
from keras_vaegan.models.vae_unet import build_generator

TINY = VAEUNetConfig(
    image_size=32, channels=1, filters=(8, 16, 16), kernel_sizes=(5, 3, 3),
    num_residual_blocks=(0, 1, 1), skip_levels=1, groups=4, latent_channels=6,
)  # fmt: skip
TINY_DISCRIMINATOR = DiscriminatorConfig(
    image_size=32, channels=1, filters=(8, 8, 16, 16), trunk_depth=2, groups=4
)


def make_images(config, count=2):
    shape = (count, config.image_size, config.image_size, config.channels)
    return np.random.default_rng(0).uniform(-1, 1, shape).astype("float32")


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"channels": 3},
        {"latent": "dense"},
        {"upsampling": "bilinear"},
        {"upsampling": "transpose"},
        {"output_activation": "sigmoid"},
        {"skip_levels": 0},
        {"skip_levels": 2},
    ],
    ids=str,
)
def test_generator_keeps_shape_and_range(change):
    config = dataclasses.replace(TINY, **change)
    image = make_images(config)
    output = np.array(build_generator(config)(10 * image))
    assert output.shape == image.shape
    low = 0 if config.output_activation == "sigmoid" else -1
    assert output.min() >= low and output.max() <= 1
    assert output.std() > 1e-3


def test_discriminator_has_k_maps_finest_first():
    maps = build_discriminator(TINY_DISCRIMINATOR)(make_images(TINY_DISCRIMINATOR))
    assert [m.shape for m in maps] == [(2, 16, 16, 1), (2, 8, 8, 1), (2, 4, 4, 1), (2, 2, 2, 1)]
    model = build_discriminator(TINY_DISCRIMINATOR, num_heads=2)
    heads = [layer for layer in model.layers if layer.name.startswith("head_")]
    assert [head.kernel_size for head in heads] == [(5, 5)] * 2


def test_gray_stays_gray_through_three_channels():
    config = dataclasses.replace(TINY, channels=3)
    image = np.repeat(make_images(TINY), 3, axis=-1)
    output = np.array(build_generator(config)(image))
    np.testing.assert_array_equal(output[..., :1].repeat(3, -1), output)
    tinted = np.array(build_generator(config, gray_output=False)(image))
    assert np.ptp(tinted, axis=-1).max() > 1e-3


def test_inference_is_deterministic_and_training_is_not():
    model, image = build_generator(TINY), make_images(TINY)
    np.testing.assert_array_equal(np.array(model(image)), np.array(model(image)))
    first, second = (np.array(model(image, training=True)) for _ in range(2))
    assert np.abs(first - second).max() > 1e-4


@pytest.mark.parametrize("latent", ["spatial", "dense"])
def test_the_halves_around_the_latent_are_the_generator(latent):
    model, images = build_generator(TINY, latent=latent, skip_levels=2), make_images(TINY)
    halves = find_latent_model(model)
    z_mean, z_log_var, skips = halves.encode(images)
    assert len(skips) == 2 and z_log_var.shape == z_mean.shape
    np.testing.assert_allclose(
        np.array(halves.decode(z_mean, skips)), np.array(model(images)), atol=1e-6
    )
    assert find_latent_model(build_discriminator(TINY_DISCRIMINATOR)) is None


def test_upsampling_has_no_checkerboard_at_initialisation():
    """A flat image must not come out with a period-2 pattern inside its borders."""
    image = np.full((1, 32, 32, 1), 0.3, "float32")

    def ripple(kind):
        values = []
        for seed in range(4):
            out = np.array(build_generator(TINY, upsampling=kind, seed=seed)(image))[
                0, 12:20, 12:20, 0
            ]
            phases = np.array([out[i::2, j::2].mean() for i in (0, 1) for j in (0, 1)])
            values.append(phases.std())
        return np.mean(values)

    assert ripple("nearest") < 0.5 * ripple("transpose")
