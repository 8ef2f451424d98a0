"""Leave-one-case-out: train on all cases but one, evaluate on that one, for every case in turn.

    python benchmarks/leave_one_out.py --data CASES --out OUT [--preset modality_unet_few]
        [--init-from RUN] [--cases NAME ...] [--steps N] [--minutes M] [--set FIELD=VALUE ...]

OUT/NAME is the run that left case NAME out, as `train --leave-out NAME` writes it, with what
`evaluate` gives of it; OUT/table.md has a line a case and contrast. Called again, it resumes the
run that it was interrupted in and goes on with the others. `--set` changes a field of the preset,
such as `data.normalization=nyul` or `data.augmentation.elastic=3`. Cases are prepared once for
all runs of a normalisation, in OUT/cache. One case more or less in training, as many runs as cases:
the figures are of the recipe, not of one network.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import statistics
import sys
from pathlib import Path

MEASURES = {"psnr": "{:.2f}", "ssim": "{:.3f}", "mae": "{:.4f}"}
KINDS = {"": "synthetic", "fitted_": "fitted", "copy_": "copy fitted", "plain_copy_": "copy"}


def main() -> int:
    options = parse_arguments()
    from keras_vaegan.data.brats import find_cases

    config = make_config(options)
    for name in options.cases or [folder.resolve().name for folder in find_cases(options.data)]:
        fold = options.out / name
        if not (fold / "metrics.json").is_file():
            received = train_fold(config, name, options)
            if received:
                return 128 + received
            evaluate_fold(fold, options.data)
    print(write_tables(options.out))
    return 0


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--preset", default="modality_unet_few")
    parser.add_argument("--init-from", type=Path)
    parser.add_argument("--cases", nargs="*")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--minutes", type=float, help="of training, a fold")
    parser.add_argument("--set", nargs="*", default=[], metavar="FIELD=VALUE")
    return parser.parse_args()


def make_config(options: argparse.Namespace):
    """The preset with its changes."""
    from keras_vaegan import get_preset
    from keras_vaegan.config.changes import change_field, parse_value

    config = dataclasses.replace(get_preset(options.preset), precision="float32")
    for change in options.set:
        path, _, text = change.partition("=")
        config = change_field(config, path, parse_value(text))
    return dataclasses.replace(config, steps=options.steps) if options.steps else config


def train_fold(config, name: str, options: argparse.Namespace) -> int | None:
    """Train without one case, or go on with it. Returns the signal that stopped it, or None."""
    import keras

    from keras_vaegan.config.changes import change_field
    from keras_vaegan.systems.modality.system import ModalitySystem
    from keras_vaegan.training.run import train_run
    from keras_vaegan.training.run_folder import is_run

    keras.backend.clear_session()
    fold, cache = options.out / name, options.out / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    fold.mkdir(exist_ok=True)
    if not (fold / "cache").exists():
        (fold / "cache").symlink_to(cache.resolve())
    config = change_field(config, "data.leave_out", name)
    resume, minutes = is_run(fold), options.minutes
    if resume:
        from keras_vaegan.training.run_folder import read_run_config

        config = dataclasses.replace(read_run_config(fold), steps=config.steps)
        if minutes:
            minutes = max(0.01, minutes - read_minutes(fold))
    return train_run(
        ModalitySystem(), config, options.data, fold, resume, minutes, init_from=options.init_from
    )


def read_minutes(fold: Path) -> float:
    """Minutes that a run has been trained for."""
    with (fold / "logs" / "history.csv").open(newline="") as file:
        return float(list(csv.DictReader(file))[-1]["minutes"])


def evaluate_fold(fold: Path, data: Path) -> None:
    """Write a run's figures on the case that it left out: metrics.json, rows.json, pictures."""
    from keras_vaegan.data.image import write_image
    from keras_vaegan.files import write_json
    from keras_vaegan.systems.modality.system import ModalitySystem
    from keras_vaegan.systems.system import EvaluationOptions

    result = ModalitySystem().evaluate(fold, data, EvaluationOptions())
    for name, picture in result.pictures.items():
        write_image(fold / f"{name}.png", picture)
    write_json(fold / "rows.json", result.rows)
    write_json(fold / "metrics.json", result.metrics)


def write_tables(out: Path) -> str:
    """Write table.csv and table.md of all finished folds; returns the latter."""
    paths = sorted(out.glob("*/rows.json"))
    rows = [row for path in paths for row in json.loads(path.read_text())]
    with (out / "table.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    lines = []
    for target in dict.fromkeys(row["target"] for row in rows):
        chosen = [row for row in rows if row["target"] == target]
        for region in ("brain", "tumour"):
            lines += draw_table([r for r in chosen if r[f"{region}_psnr"] is not None], region)
    text = "\n".join(lines)
    (out / "table.md").write_text(text + "\n")
    return text


def draw_table(rows: list[dict], region: str) -> list[str]:
    """A Markdown table of one contrast in one region, with the means; nothing without rows."""
    if not rows:
        return []
    heads = [f"{title} PSNR / SSIM / MAE" for title in KINDS.values()]
    lines = [
        "",
        f"| {rows[0]['target']}, {region} | {' | '.join(heads)} | gain over the fitted copy |",
        "|---" * (len(KINDS) + 2) + "|",
    ]
    gains = [row[f"{region}_psnr"] - row[f"copy_{region}_psnr"] for row in rows]
    for row, gain in zip(rows, gains, strict=True):
        cells = [describe([row], kind, region) for kind in KINDS]
        cells[2] += f" ({row['copy_source']})"
        lines.append(f"| {row['case']} | {' | '.join(cells)} | {gain:+.2f} dB |")
    cells = [describe(rows, kind, region) for kind in KINDS]
    above = sum(gain > 0 for gain in gains)
    mean = f"{statistics.mean(gains):+.2f} dB, above in {above} of {len(rows)}"
    return [*lines, f"| mean | {' | '.join(cells)} | {mean} |"]


def describe(rows: list[dict], kind: str, region: str) -> str:
    """The means of the three measures over rows."""
    values = {m: statistics.mean(row[f"{kind}{region}_{m}"] for row in rows) for m in MEASURES}
    return " / ".join(form.format(values[m]) for m, form in MEASURES.items())


if __name__ == "__main__":
    sys.exit(main())
