"""How far a CycleGAN stays below the same generators trained on pairs: the ceiling.

    python benchmarks/phantom_ceiling.py --weights runs/demo --data datasets/phantom --minutes 5

Trains both generators of the run's config by L1 on paired phantom heads (those of the phantom's
own MRI training images, with the CT of each), for `--minutes` together, at the run's rate, batch
and averaging, mirrored at random; then evaluates them and the run on the phantom's test pairs.
Prints PSNR and MAE against the truth of both, whole and in the head, and the difference.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import keras
import numpy as np

from keras_vaegan.data.folders import find_image_root
from keras_vaegan.data.image import image_to_unit
from keras_vaegan.data.preparation import fit_images
from keras_vaegan.kernels import call_compiled
from keras_vaegan.models.build import build_model
from keras_vaegan.phantom.rendering import SLICES_PER_CASE, cut_head, render_ct, render_mri
from keras_vaegan.systems.cyclegan.evaluation import evaluate_translation
from keras_vaegan.systems.cyclegan.images import load_test_sets
from keras_vaegan.systems.cyclegan.translator import Translator
from keras_vaegan.systems.cyclegan.two_way import TwoWay
from keras_vaegan.training.run_folder import read_run_config
from keras_vaegan.training.trainer import make_adam

MRI_CASES = 1_000_000  # the first case of the phantom's trainB


def draw_pairs(count: int, config, seed: int) -> dict[str, np.ndarray]:
    """MRI and CT of the same cuts: (count, S, S, C) in [0, 1] each."""
    size, pairs = config.data.image_size, {"mri": [], "ct": []}
    for index in range(count):
        case = MRI_CASES + index // SLICES_PER_CASE
        rng = np.random.default_rng([seed, case, index])
        level = (index % SLICES_PER_CASE + rng.uniform()) / SLICES_PER_CASE
        cut = cut_head(seed, case, level, (size, size))
        for name, image in (("mri", render_mri(cut, "t1", rng)), ("ct", render_ct(cut, rng))):
            batch = image.reshape(1, *image.shape, 1)
            pairs[name].append(call_compiled(fit_images, batch, data=config.data)[0])
    return {name: image_to_unit(np.stack(images)) for name, images in pairs.items()}


def train_on_pairs(config, origin: np.ndarray, target: np.ndarray, minutes: float):
    """One generator, by L1 on pairs. Returns (function of unit images, steps)."""
    network = build_model(config.generator)
    network.compile(make_adam(config.optimizer, config.optimizer.learning_rate), "mae")
    rng, step, began = np.random.default_rng(config.seed), 0, time.perf_counter()
    mean = [np.array(w) for w in network.get_weights()]
    while time.perf_counter() - began < 60 * minutes:
        chosen = rng.integers(0, len(origin), config.batch_size)
        flip = slice(None, None, -1 if rng.uniform() < 0.5 else 1)
        images, truths = (2 * part[chosen][:, :, flip] - 1 for part in (origin, target))
        network.train_on_batch(images, truths)
        decay = min(config.optimizer.ema_decay, (1 + step) / (10 + step))
        mean = [
            decay * m + (1 - decay) * w for m, w in zip(mean, network.get_weights(), strict=True)
        ]
        step += 1
    network.set_weights(mean)

    def translate(images: np.ndarray) -> np.ndarray:
        made = network.predict(2 * images - 1, batch_size=8, verbose=0)
        return np.clip((made + 1) / 2, 0, 1)

    return translate, step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0, help="of the phantom")
    arguments = parser.parse_args()
    config = read_run_config(arguments.weights)
    sets = load_test_sets(find_image_root(arguments.data), config.data)
    mri, ct = (image_to_unit(sets[name]["images"]) for name in ("testB", "testA"))
    pairs = draw_pairs(arguments.pairs, config, arguments.seed)
    half = arguments.minutes / 2
    to_ct, steps_ct = train_on_pairs(config, pairs["mri"], pairs["ct"], half)
    to_mri, steps_mri = train_on_pairs(config, pairs["ct"], pairs["mri"], half)
    own = [
        Translator.load(arguments.weights, name).translate_batch for name in ("mri2ct", "ct2mri")
    ]
    print(f"supervised: {steps_ct} and {steps_mri} steps in {arguments.minutes:g} minutes")
    found = {}
    for kind, (first, second) in {"supervised": (to_ct, to_mri), "run": own}.items():
        metrics = evaluate_translation(TwoWay(first, second, mri, ct, sets["pairs"])).metrics
        found[kind] = metrics
        for name in ("ct", "mri"):
            whole, inside = metrics["translation"][name], metrics["translation_in_head"][name]
            print(
                f"{kind}: generated {name}: {whole['psnr']['mean']:.2f} dB, MAE {whole['mae']:.4f};"
                f" in the head {inside['psnr']['mean']:.2f} dB, MAE {inside['mae']:.4f}"
            )
    for name in ("ct", "mri"):
        above = [found[kind]["translation"][name]["psnr"]["mean"] for kind in ("supervised", "run")]
        print(f"{name}: the ceiling lies {above[0] - above[1]:.2f} dB higher")


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    main()
