"""How often images are called unlike the domain that a network translates from.

    python benchmarks/out_of_distribution.py --data DIR [--weights weights] [--others DIR]
        [--sheet errors.png]

Measures by the statistics beside the weights. Of images of the right kind (testA and testB of
--data, and of --others, of other scanners) an alarm is false; of the other kind, inverted, blank,
noise or no head at all, it is a hit; turned heads are told beside. Made images pass the network's
preparation once more, as files would. Prints a row a direction and kind: images, the share called
unlike, and the 5 %, 50 % and 95 % quantiles of the ratio. --sheet draws what was taken wrongly.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from skimage import data as pictures

from keras_vaegan.data.folders import find_image_root
from keras_vaegan.data.image import image_to_unit, list_images
from keras_vaegan.data.preparation import fit_images
from keras_vaegan.evaluation.anatomy import find_head
from keras_vaegan.evaluation.domain import read_statistics
from keras_vaegan.kernels import call_compiled
from keras_vaegan.systems.cyclegan.images import load_images
from keras_vaegan.weights.names import find_weight_file
from keras_vaegan.weights.record import read_record
from keras_vaegan.weights.weight_file import read_weight_file

FOLDERS = {"ct": "testA", "mri": "testB"}
DIRECTIONS = {"mri": "mri2ct", "ct": "ct2mri"}
PICTURES = (
    "astronaut", "brick", "camera", "cell", "chelsea", "clock", "coffee", "coins", "grass",
    "gravel", "horse", "hubble_deep_field", "immunohistochemistry", "logo", "microaneurysms",
    "moon", "page", "retina", "rocket", "text",
)  # fmt: skip
SHOWN = 12  # images of a kind on the sheet
THUMBNAIL = 96


def prepare(images, config) -> np.ndarray:
    """uint8 images of any size -> (N, S, S, C) in [0, 1]."""
    batches = (image.reshape(1, *image.shape[:2], -1) for image in images)
    squares = [call_compiled(fit_images, batch, data=config)[0] for batch in batches]
    return image_to_unit(np.stack(squares))


def load_pictures() -> list[np.ndarray]:
    """Photographs and micrographs that come with scikit-image, uint8."""
    found = [np.asarray(getattr(pictures, name)()) for name in PICTURES]
    found = [image.astype("uint8") * (255 if image.dtype == bool else 1) for image in found]
    return [image[..., :3] if image.ndim == 3 else image for image in found]


def draw_patterns(side: int) -> list[np.ndarray]:
    """Gradients, checkerboards and discs, uint8."""
    rows, columns = np.mgrid[:side, :side] / side
    radius = np.hypot(rows - 0.5, columns - 0.5)
    gradients = [rows, columns, (rows + columns) / 2, np.clip(1 - 2 * radius, 0, 1)]
    boards = [((rows * n).astype(int) + (columns * n).astype(int)) % 2 for n in (2, 4, 8, 16, 32)]
    discs = [(radius < r) * level for r in (0.2, 0.4) for level in (0.3, 0.6, 1.0)]
    return [np.round(255 * x).astype("uint8") for x in (*gradients, *boards, *discs)]


def make_noise(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(N, S, S, C) uint8 -> their heads filled with noise."""
    head = find_head(image_to_unit(images))[..., None]
    return np.where(head, rng.integers(0, 256, images.shape), 0).astype("uint8")


def invert_heads(images: np.ndarray) -> np.ndarray:
    """(N, S, S, C) uint8 -> their heads inverted on black."""
    return np.where(find_head(image_to_unit(images))[..., None], 255 - images, 0).astype("uint8")


def make_sets(own: np.ndarray, other: np.ndarray, config, seed: int) -> dict[str, np.ndarray]:
    """(N, S, S, C) uint8 of both domains -> prepared images by kind."""
    rng, side = np.random.default_rng(seed), config.image_size
    made = {
        "hit: inverted": 255 - own,
        "hit: head inverted": invert_heads(own),
        "hit: head of noise": make_noise(own, rng),
        "hit: noise": [rng.integers(0, 256, (side, side)).astype("uint8") for _ in range(20)],
        "hit: blank": [np.full((side, side), level, "uint8") for level in (0, 20, 128, 255)],
        "hit: patterns": draw_patterns(side),
        "hit: pictures": load_pictures(),
        "turned: by 90 degrees": np.rot90(own, axes=(1, 2)),
        "turned: upside down": own[:, ::-1],
    }
    fixed = {"false: test": image_to_unit(own), "hit: other domain": image_to_unit(other)}
    return fixed | {name: prepare(images, config) for name, images in made.items()}


def draw_sheet(wrong: dict[str, np.ndarray]) -> np.ndarray:
    """Prepared images by kind -> a captioned row of thumbnails a kind."""
    rows = []
    for name, images in wrong.items():
        row = np.zeros((THUMBNAIL + 14, THUMBNAIL * SHOWN), "uint8")
        cv2.putText(row, f"{name} ({len(images)})", (2, 11), 0, 0.4, 255)
        for i, image in enumerate(images[:SHOWN]):
            small = cv2.resize(image.mean(axis=-1), (THUMBNAIL, THUMBNAIL), interpolation=3)
            row[14:, i * THUMBNAIL : (i + 1) * THUMBNAIL] = np.round(255 * small)
        rows.append(row)
    return np.concatenate(rows)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, default=Path("weights"))
    parser.add_argument("--others", type=Path, help="testA and testB of other scanners")
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    roots = {"": find_image_root(arguments.data)}
    if arguments.others:
        roots[", other scanners"] = arguments.others
    wrong = {}
    for domain, other in (("mri", "ct"), ("ct", "mri")):
        weights = find_weight_file(arguments.weights, DIRECTIONS[domain])
        config = read_record(read_weight_file(weights)).data
        statistics = read_statistics(weights, domain)
        tests = {
            name: [load_images(list_images(root / FOLDERS[d]), config)[0] for d in (domain, other)]
            for name, root in roots.items()
        }
        sets = make_sets(*tests.pop(""), config, arguments.seed)
        for name, (own, foreign) in tests.items():
            sets[f"false: test{name}"] = image_to_unit(own)
            sets[f"hit: other domain{name}"] = image_to_unit(foreign)
        for name, images in sorted(sets.items()):
            ratios = statistics.measure(images)
            low, middle, high = np.quantile(ratios, (0.05, 0.5, 0.95))
            print(
                f"from {domain:3}  {name:34} {len(images):4}  unlike {np.mean(ratios > 1):6.1%}  "
                f"ratio {low:6.2f} {middle:6.2f} {high:6.2f}",
                flush=True,
            )
            taken = ratios > 1 if name.startswith("false") else ratios <= 1
            if taken.any():
                wrong[f"from {domain}: {name}"] = images[taken]
    if arguments.sheet and wrong:
        cv2.imwrite(str(arguments.sheet), draw_sheet(wrong))


if __name__ == "__main__":
    main()
