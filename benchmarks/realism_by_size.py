"""How the realism gap depends on the number of images: its mean and spread over random subsets.

python benchmarks/realism_by_size.py --weights weights --data DIR [--draws 12]

DIR holds testA and testB (and, to leave out leaks, trainA and trainB). A line a generated modality
and size: mean and standard deviation of the gap over the draws, and the median width of the 95 %
intervals that single draws report.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from keras_vaegan.commands.shell import import_backend

SIZES = (16, 32, 64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=12)
    arguments = parser.parse_args()
    import_backend()
    from keras_vaegan.data.folders import find_image_root
    from keras_vaegan.data.image import image_to_unit
    from keras_vaegan.evaluation.realism import describe_stored
    from keras_vaegan.evaluation.truth import tell_cases
    from keras_vaegan.systems.cyclegan.images import load_test_sets
    from keras_vaegan.systems.cyclegan.translator import Translator

    to_ct, to_mri = (Translator.load(arguments.weights, name) for name in ("mri2ct", "ct2mri"))
    sets = load_test_sets(find_image_root(arguments.data), to_ct.data)
    ct, mri = (image_to_unit(sets[name]["images"]) for name in ("testA", "testB"))
    ct_cases, mri_cases = (tell_cases(sets[name]["names"]) for name in ("testA", "testB"))
    real = {"ct": describe_stored(ct), "mri": describe_stored(mri)}
    for name, translator, inputs, origin, cases in (
        ("ct", to_ct, mri, "mri", (mri_cases, ct_cases)),
        ("mri", to_mri, ct, "ct", (ct_cases, mri_cases)),
    ):
        generated = describe_stored(translator.translate_batch(inputs, f"to {name}"))
        known = cases if all(cases) else None
        measure(name, (generated, real[name], real[origin]), known, arguments.draws)


def measure(name: str, sets: tuple, cases: tuple | None, draws: int) -> None:
    """Print a line a size."""
    from keras_vaegan.evaluation.realism import compute_realism_gap

    rng = np.random.default_rng(0)
    counts = [len(part["histogram"]) for part in sets]
    for size in (*SIZES, min(counts)):
        gaps, widths = [], []
        for draw in range(draws if size < min(counts) else 1):
            made, kept = (rng.choice(count, size, replace=False) for count in counts[:2])
            parts = [
                {group: values[places] for group, values in part.items()}
                for part, places in zip(sets, (made, kept, made), strict=True)
            ]
            own = cases and tuple(
                [names[i] for i in places]
                for names, places in zip(cases, (made, kept), strict=True)
            )
            found = compute_realism_gap(*parts, seed=draw, cases=own)
            gaps.append(found["gap"]["all"])
            widths.append(np.ptp(found["gap_interval"]["all"] or [0, np.nan]))
        print(
            f"generated {name}, {size} images: gap {np.mean(gaps):.2f} +- {np.std(gaps):.2f}, "
            f"intervals {np.nanmedian(widths):.2f} wide",
            flush=True,
        )


if __name__ == "__main__":
    main()
