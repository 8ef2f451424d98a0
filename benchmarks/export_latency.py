"""Parity, latency and size of exported networks beside the Python path.

    python benchmarks/export_latency.py --weights weights --direction mri2ct --images DIR
        [--count 20] [--repeat 3] [--samples 8]
    python benchmarks/export_latency.py --weights RUN --case CASE [--repeat 3]

Every path runs in a process of its own, which does nothing else: it loads the network, takes one
image to warm up, and then the images one at a time, `repeat` times over; the median of a single
image counts, and the processor time of an image, which other work on the machine disturbs less.
The Python path is `Translator.translate` (or `Enhancer.enhance`), the SavedModel's its signature on
the same decoded images. Of a modality network (one that makes a fixed contrast) a whole BraTS case
counts as the image, reading its files included, in float32 on both paths. Parity compares the two
on float32 images in [0, 1], where nothing is rounded, and on the images as they are stored.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ENVIRONMENT = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}


def load_images(folder: str, count: int) -> list[np.ndarray]:
    """`count` images of a folder, spread over its names."""
    from keras_vaegan.data.image import list_images, read_image

    paths = list_images(folder)
    chosen = np.linspace(0, len(paths) - 1, min(count, len(paths))).astype(int)
    return [read_image(paths[index]) for index in chosen]


def make_volume_path(arguments):
    """(function of a case folder) of a modality network, for either path."""
    from keras_vaegan.data.brats import find_scans, read_case
    from keras_vaegan.data.nifti import read_nifti
    from keras_vaegan.data.volume import to_canonical
    from keras_vaegan.systems.modality.slices import list_inputs
    from keras_vaegan.systems.modality.synthesizer import Synthesizer, choose_reference
    from keras_vaegan.weights.names import find_weight_file

    synthesizer = Synthesizer.load(find_weight_file(arguments.weights), "float32")
    target = synthesizer.config.target
    if arguments.path == "python":

        def run(folder):
            case = read_case(folder, list_inputs(target), None, synthesizer.data.percentiles)
            made, _ = synthesizer.synthesize(case, target)
            return choose_reference(case, target).range.from_unit(made, case.brain)

        return run
    import tensorflow as tf

    model = tf.saved_model.load(arguments.model)

    def run(folder):
        scans = find_scans(folder)
        volumes = {name: to_canonical(read_nifti(scans[name])[0]) for name in list_inputs(target)}
        inputs = {name: tf.constant(v.values, tf.float32) for name, v in volumes.items()}
        return model.signatures["synthesize"](**inputs)["synthesis"].numpy()

    return run


def make_python_path(arguments):
    """(function of an image, its name) of the Python path."""
    from keras_vaegan.weights.names import find_weight_file

    file = find_weight_file(arguments.weights, arguments.direction)
    if file.name.startswith("rrdbnet"):
        from keras_vaegan.systems.super_resolution.enhancer import Enhancer

        return Enhancer.load(file).enhance
    from keras_vaegan.systems.cyclegan.translator import Translator

    translator = Translator.load(file)
    return lambda image: translator.translate(image, arguments.samples)[0]


def make_saved_model_path(arguments):
    """The same of the SavedModel, through its signatures."""
    import tensorflow as tf

    model = tf.saved_model.load(arguments.model)

    def run(image):
        kind = "" if image.dtype == np.float32 else f"_{image.dtype.name}"
        batch = {"images": tf.constant(image.reshape(1, *image.shape[:2], -1))}
        name = "enhance" if "enhance" in model.signatures else "translate"
        if arguments.samples:
            name, batch["samples"] = "translate_with_uncertainty", tf.constant(arguments.samples)
        answer = model.signatures[name + kind](**batch)
        key = {"translate": "translation", "enhance": "enhanced"}.get(name, "mean")
        made = answer[key].numpy()[0]
        return made[..., 0] if image.ndim == 2 else made

    return run


def measure(arguments) -> None:
    """Time one path in this process; write its results, print its figures."""
    begin = time.perf_counter()
    if arguments.case:
        run, images = make_volume_path(arguments), [arguments.case]
    else:
        make = {"python": make_python_path, "savedmodel": make_saved_model_path}[arguments.path]
        run, images = make(arguments), load_images(arguments.images, arguments.count)
    load_seconds = time.perf_counter() - begin
    begin = time.perf_counter()
    run(images[0])
    first_seconds = time.perf_counter() - begin
    times, processor = [], time.process_time()
    for _ in range(arguments.repeat):
        for image in images:
            begin = time.perf_counter()
            run(image)
            times.append(time.perf_counter() - begin)
    processor = (time.process_time() - processor) / len(times)
    results = {}
    if arguments.case:
        made = run(arguments.case)
        results["unit_0"] = made / np.ptp(made)
    pictures = [] if arguments.case or arguments.samples else images
    for index, image in enumerate(pictures):
        unit = image.astype("float32")
        if image.dtype.kind == "u":
            unit /= np.iinfo(image.dtype).max
        results[f"stored_{index}"], results[f"unit_{index}"] = run(image), run(unit)
    np.savez(arguments.results, **results)
    figures = {
        "path": arguments.path,
        "load_s": round(load_seconds, 1),
        "first_s": round(first_seconds, 1),
        "median_s": round(float(np.median(times)), 4),
        "quickest_s": round(min(times), 4),
        "slowest_s": round(max(times), 3),
        "processor_s": round(processor, 4),
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }
    print(json.dumps(figures))


def compare(folder: Path) -> dict:
    """Largest differences of the two paths' results."""
    one, two = (np.load(folder / f"{path}.npz") for path in ("python", "savedmodel"))
    found = {"unit_max": 0.0, "stored_steps": 0, "stored_share": []}
    for name in one.files:
        difference = np.abs(one[name].astype("float64") - two[name])
        if name.startswith("unit"):
            found["unit_max"] = max(found["unit_max"], float(difference.max()))
        else:
            found["stored_steps"] = max(found["stored_steps"], int(difference.max()))
            found["stored_share"].append(float((difference > 0).mean()))
    share = found.pop("stored_share")
    if not one.files:
        return {}
    return {**found, "stored_changed": float(np.mean(share))} if share else found


def main() -> None:
    """Export, run both paths in processes of their own, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", required=True)
    parser.add_argument("--direction")
    parser.add_argument("--images")
    parser.add_argument("--case")
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--samples", type=int, default=0)
    parser.add_argument("--path", choices=["python", "savedmodel"], help=argparse.SUPPRESS)
    parser.add_argument("--model", help=argparse.SUPPRESS)
    parser.add_argument("--results", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.path:
        measure(arguments)
        return
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        command = [
            sys.executable,
            "-m",
            "keras_vaegan.export",
            "--weights",
            arguments.weights,
        ]
        command += ["--direction", arguments.direction] if arguments.direction else []
        begin = time.perf_counter()
        subprocess.run([*command, "--out", str(model)], check=True, stdout=subprocess.DEVNULL)
        size = sum(path.stat().st_size for path in model.rglob("*") if path.is_file())
        seconds = round(time.perf_counter() - begin, 1)
        print(json.dumps({"export_s": seconds, "size_mb": round(size / 1e6, 1)}), flush=True)
        for path in ("python", "savedmodel"):
            results = Path(folder) / f"{path}.npz"
            command = [sys.executable, __file__, *sys.argv[1:], "--path", path]
            command += ["--model", str(model), "--results", str(results)]
            done = subprocess.run(
                command,
                check=True,
                env={**os.environ, **ENVIRONMENT},
                stdout=subprocess.PIPE,
                text=True,
            )
            print(done.stdout.splitlines()[-1], flush=True)
        print(json.dumps(compare(Path(folder))))


if __name__ == "__main__":
    main()
