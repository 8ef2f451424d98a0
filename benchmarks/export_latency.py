"""Parity, latency and size of exported networks beside the Python path.

    python benchmarks/export_latency.py --weights weights --direction mri2ct --images DIR
        [--count 20] [--repeat 3] [--samples 8] [--paths python savedmodel onnx ...]
    python benchmarks/export_latency.py --weights RUN --case CASE [--repeat 3]

Every path runs in a process of its own, which does nothing else: it loads the network, takes one
image to warm up, and then the images one at a time, `repeat` times over; the median of a single
image counts, and the processor time of an image, which other work on the machine disturbs less.
The Python path is `Translator.translate` (or `Enhancer.enhance`); the SavedModel is its signature,
the ONNX file all of it in ONNX Runtime, on the same decoded images. LiteRT files hold the network
alone: Python prepares the images for them. Of a modality network (one that makes a fixed contrast)
a whole BraTS case counts as the image, reading its files included, in float32 on all paths. Parity
compares each path with Python's on float32 images in [0, 1], where nothing is rounded, and the
SavedModel on the images as they are stored too.
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

PATHS = ("python", "savedmodel", "onnx", "float16", "int8_weights", "int8")
ENVIRONMENT = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}


def load_images(folder: str, count: int) -> list[np.ndarray]:
    """`count` images of a folder, spread over its names."""
    from keras_vaegan.data.image import list_images, read_image

    paths = list_images(folder)
    chosen = np.linspace(0, len(paths) - 1, min(count, len(paths))).astype(int)
    return [read_image(paths[index]) for index in chosen]


def make_volume_path(arguments):
    """(function of a case folder) of a modality network, for any path."""
    from keras_vaegan.data.brats import read_case
    from keras_vaegan.systems.modality.slices import list_inputs
    from keras_vaegan.systems.modality.synthesizer import Synthesizer, choose_reference
    from keras_vaegan.weights.names import find_weight_file

    synthesizer = Synthesizer.load(find_weight_file(arguments.weights), "float32")
    target = synthesizer.config.target
    names = list_inputs(target)
    if arguments.path in ("savedmodel", "onnx"):
        return make_whole_volume_path(arguments, names)
    if arguments.path != "python":
        synthesizer.network = open_litert_network(arguments.model)

    def run(folder):
        case = read_case(folder, names, config=synthesizer.data)
        made, _ = synthesizer.synthesize(case, target)
        return np.asarray(choose_reference(case, target).range.from_unit(made, case.brain))

    return run


def make_whole_volume_path(arguments, names):
    """(function of a case folder) of files that take whole volumes."""
    from keras_vaegan.data.brats import find_scans
    from keras_vaegan.data.nifti import read_nifti
    from keras_vaegan.data.volume import to_canonical

    if arguments.path == "onnx":
        from keras_vaegan.export.onnx_file import open_onnx

        model = open_onnx(Path(arguments.model) / "synthesize.onnx")
    else:
        import tensorflow as tf

        signature = tf.saved_model.load(arguments.model).signatures["synthesize"]

        def model(inputs):
            return signature(**{name: tf.constant(v) for name, v in inputs.items()})[
                "synthesis"
            ].numpy()

    def run(folder):
        scans = find_scans(folder)
        volumes = {name: to_canonical(read_nifti(scans[name])[0]).values for name in names}
        return model({name: np.ascontiguousarray(v, "float32") for name, v in volumes.items()})

    return run


class LiteRTNetwork:
    """A LiteRT file in place of a Keras model: batches of images up to its own size.

    Args:
        run: As `open_litert` gives it.
        shape: Of its input, (1, S, S, C).
    """

    def __init__(self, run, shape) -> None:
        self.run, self.shape = run, shape
        self.input_shape = (None, None, None, shape[-1])

    def predict_on_batch(self, batch):
        """(N, h, w, C) -> (N, h * scale, w * scale, C), each image by itself."""
        side, (height, width) = self.shape[1], batch.shape[1:3]
        pads = [(0, 0), (0, side - height), (0, side - width), (0, 0)]
        padded = np.pad(batch, pads, mode="symmetric").astype("float32")
        results = np.concatenate([self.run({"images": image[None]}) for image in padded])
        scale = results.shape[1] // side
        return results[:, : height * scale, : width * scale]


def open_litert_network(folder: str) -> LiteRTNetwork:
    """The network of an exported folder."""
    from keras_vaegan.export.litert_file import open_litert

    record = json.loads((Path(folder) / "export.json").read_text())
    (file,) = record["files"]
    return LiteRTNetwork(open_litert(Path(folder) / file["file"]), file["inputs"]["images"])


def make_python_path(arguments):
    """(function of an image) of the Python path, with its own network or a LiteRT file's."""
    from keras_vaegan.weights.names import find_weight_file

    file = find_weight_file(arguments.weights, arguments.direction)
    litert = None if arguments.path == "python" else open_litert_network(arguments.model)
    if file.name.startswith("rrdbnet"):
        from keras_vaegan.systems.super_resolution.enhancer import Enhancer

        enhancer = Enhancer.load(file)
        enhancer.model = litert or enhancer.model
        return enhancer.enhance
    from keras_vaegan.config.base import VALUE_RANGES
    from keras_vaegan.systems.cyclegan.translator import Translator

    translator = Translator.load(file)
    if litert:
        low, high = VALUE_RANGES[translator.data.value_range]

        def translate_batch(squares, progress=None):
            made = litert.predict_on_batch(squares * (high - low) + low)
            return np.clip((made - low) / (high - low), 0, 1)

        translator.translate_batch = translate_batch
    return lambda image: translator.translate(image, arguments.samples)[0]


def make_onnx_path(arguments):
    """The same of the ONNX file, whose images are float32 in [0, 1]."""
    from keras_vaegan.data.image import image_to_unit, unit_to_image
    from keras_vaegan.export.onnx_file import open_onnx

    (file,) = Path(arguments.model).glob("*.onnx")
    model = open_onnx(file)

    def run(image):
        batch = image_to_unit(image).reshape(1, *image.shape[:2], -1)
        made = unit_to_image(model({"images": batch})[0], image.dtype)
        return made[..., 0] if image.ndim == 2 else made

    return run


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
        others = {"savedmodel": make_saved_model_path, "onnx": make_onnx_path}
        run = others.get(arguments.path, make_python_path)(arguments)
        images = load_images(arguments.images, arguments.count)
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
        unit.flat[:2] = 0, 1  # which Python and the SavedModel map to themselves, as ONNX does
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


def compare(folder: Path, path: str) -> dict:
    """Differences of a path's results from Python's."""
    one, two = (np.load(folder / f"{name}.npz") for name in ("python", path))
    largest, squares, steps, changed = 0.0, [], 0, []
    for name in one.files:
        difference = np.abs(one[name].astype("float64") - two[name])
        if name.startswith("unit"):
            largest = max(largest, float(difference.max()))
            squares.append(float(np.mean(difference**2)))
        else:
            steps = max(steps, int(difference.max()))
            changed.append(float((difference > 0).mean()))
    if not squares:
        return {}
    psnr = -10 * np.log10(max(np.mean(squares), 1e-20))
    found = {"unit_max": float(f"{largest:.3g}"), "psnr_db": round(float(psnr), 1)}
    if changed:
        found |= {"stored_steps": steps, "stored_changed": float(f"{np.mean(changed):.3g}")}
    return found


def export(arguments, path: str, out: Path) -> dict:
    """Write a path's files; how long it took and how large they are."""
    command = [sys.executable, "-m", "keras_vaegan.export", "--weights", arguments.weights]
    command += ["--direction", arguments.direction] if arguments.direction else []
    kind = path if path in ("savedmodel", "onnx") else "litert"
    command += ["--format", kind, *(["--quantize", path] if kind == "litert" else [])]
    if kind != "savedmodel" and arguments.calibrate:
        command += ["--data", arguments.calibrate]
    begin = time.perf_counter()
    subprocess.run([*command, "--out", str(out)], check=True, stdout=subprocess.DEVNULL)
    size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    return {"export_s": round(time.perf_counter() - begin, 1), "size_mb": round(size / 1e6, 1)}


def main() -> None:
    """Export, run the paths in processes of their own, compare, print a line each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", required=True)
    parser.add_argument("--direction")
    parser.add_argument("--images")
    parser.add_argument("--case")
    parser.add_argument("--calibrate", help="images or cases for int8; phantoms without")
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--samples", type=int, default=0, help="python and savedmodel alone")
    parser.add_argument("--paths", nargs="+", choices=PATHS[1:], default=PATHS[1:])
    parser.add_argument("--path", choices=PATHS, help=argparse.SUPPRESS)
    parser.add_argument("--model", help=argparse.SUPPRESS)
    parser.add_argument("--results", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.path:
        measure(arguments)
        return
    with tempfile.TemporaryDirectory() as folder:
        for path in ("python", *(["savedmodel"] if arguments.samples else arguments.paths)):
            model = Path(folder) / f"{path}_model"
            made = {} if path == "python" else export(arguments, path, model)
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
            figures = json.loads(done.stdout.splitlines()[-1])
            told = {} if path == "python" else compare(Path(folder), path)
            print(json.dumps({**figures, **made, **told}), flush=True)


if __name__ == "__main__":
    main()
