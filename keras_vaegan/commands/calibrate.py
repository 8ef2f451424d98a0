"""Learn a run's errors: `keras-vaegan calibrate --weights RUN --data PAIRS`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from keras_vaegan.commands.folders import check_samples
from keras_vaegan.commands.shell import CommandOptions, import_backend, run
from keras_vaegan.errors import InputError


@dataclass(frozen=True, kw_only=True)
class CalibrateOptions(CommandOptions):
    """Options of `calibrate`."""

    weights: Path
    """Run folder, or folder of published weight files, which keeps the result."""
    data: Path
    """Folder with testA (CT) and testB (MRI), where files of one name show one anatomy."""
    samples: int = 16
    """Latent samples an image; networks without a latent draw none."""
    limit: int | None = None
    """Pairs at most, spread evenly; all of them where not given."""


def calibrate(options: CalibrateOptions) -> int:
    """Learn, on pairs, how wrong translations are where, for `translate --deviation`.

    It is kept as uncertainty.json in the folder of the weights, with figures from cases that it
    was not fitted on.

    Raises:
        InputError: bad weights, or no pairs.
    """
    check_samples(options.samples)
    if not options.weights.is_dir():
        raise InputError(
            f"--weights {options.weights}: expected a run folder, where the result is kept"
        )
    import_backend()
    from keras_vaegan.evaluation.uncertainty import write_calibration
    from keras_vaegan.progress import show_progress
    from keras_vaegan.systems.cyclegan.calibration import calibrate_run

    table = calibrate_run(
        options.weights, options.data, options.samples, options.limit, show_progress
    )
    write_calibration(options.weights, table)
    for direction, row in table.items():
        cases = "cases" if row["cases"] > 1 else "case, told apart by image"
        print(f"{direction}, {row['images']} images of {row['cases']} {cases}:")
        for name, told in row["figures"].items():
            print(
                f"  {name.replace('_', ' ')}: rank correlation with the error "
                f"{told['spearman']:.2f}, AUSE {told['ause']:.3f} (of no order "
                f"{told['ause_random']:.3f}), calibration error {told['calibration_error']:.4f}"
            )
    return 0


main = partial(run, calibrate, prog="python -m keras_vaegan.calibrate")
