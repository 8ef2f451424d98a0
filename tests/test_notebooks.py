"""The Colab notebooks: stripped, thin, and run from top to bottom with small settings."""

import ast
import importlib
import os
import re
import shutil
import sys
import time
import typing

import nbformat
import pytest
from nbclient import NotebookClient

import keras_vaegan
from keras_vaegan import __main__
from keras_vaegan.config.networks import RRDBNetConfig
from keras_vaegan.data.image import list_images, read_image

NAMES = ("train_vaegan", "translate", "brats_modality")
COMMAND_LINE = re.compile(r"^(\s*)!\{PYTHON\} -m keras_vaegan\.(\w+) ?(.*)$", re.MULTILINE)
OTHER_COMMANDS = re.compile(r"^\s*!(?!\{PYTHON\} -m (keras_vaegan\.|pip install ))", re.MULTILINE)
CELL_SECONDS = 1800
IN_KERNEL = """
import importlib, shlex


def run_command(name, line):
    return importlib.import_module(f"keras_vaegan.commands.{name}").main(shlex.split(line))
"""


KEEP_TWO = """
for path in sorted(Path(IMAGES).iterdir())[2:]:
    path.unlink()
"""


def read_notebook(repository, name):
    return nbformat.read(repository / "colab" / f"{name}.ipynb", as_version=4)


def call_inside(cell) -> None:
    """Let a cell call the package's commands in the kernel, not in a process each.

    TensorFlow takes longer to start than most of them. `KERAS_VAEGAN_EVERY_PRESET` leaves the cells
    as they are.
    """
    if cell.cell_type == "code" and "KERAS_VAEGAN_EVERY_PRESET" not in os.environ:
        cell.source = COMMAND_LINE.sub(
            lambda found: f"{found[1]}_exit_code = run_command({found[2]!r}, f{found[3]!r})",
            cell.source,
        )
        if cell.id == "install":
            cell.source += IN_KERNEL


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.fixture(scope="module")
def run_notebook(repository):
    """Execute a notebook in a folder, with settings from the environment."""

    def run(name, folder, change=None, **settings):
        notebook = read_notebook(repository, name)
        for cell in notebook.cells:
            if change:
                cell.source = change(cell.id, cell.source)
            call_inside(cell)
        paths = [str(repository), os.environ.get("PYTHONPATH", "")]
        client = NotebookClient(
            notebook,
            timeout=CELL_SECONDS,
            kernel_name="python3",
            resources={"metadata": {"path": str(folder)}},
        )
        begin = time.perf_counter()
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
            environment.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
            for key, value in settings.items():
                environment.setenv(f"KERAS_VAEGAN_{key}", str(value))
            client.execute()
        print(f"{name}.ipynb: {time.perf_counter() - begin:.0f} s")
        return notebook

    return run


def printed(notebook, tag):
    """What a cell printed."""
    cell = next(cell for cell in notebook.cells if cell.id == tag)
    return "".join(output.get("text", "") for output in cell.outputs)


@pytest.mark.parametrize("name", NAMES)
def test_outputs_are_stripped(repository, name):
    for cell in code_cells(read_notebook(repository, name)):
        assert cell.outputs == [] and cell.execution_count is None, cell.id


@pytest.mark.parametrize("name", NAMES)
def test_cells_only_call_the_package(repository, name):
    """No other shell command, no class, no network code; one definition at most, to draw."""
    cells = code_cells(read_notebook(repository, name))
    text = "\n".join(cell.source for cell in cells)
    assert not OTHER_COMMANDS.search(text)
    plain = re.sub(r"^(\s*)!.*$", r"\1pass", text, flags=re.MULTILINE)
    nodes = list(ast.walk(ast.parse(plain)))
    assert sum(isinstance(node, (ast.FunctionDef, ast.ClassDef)) for node in nodes) <= 1
    assert "keras." not in text.replace("keras_vaegan.", "")


@pytest.mark.parametrize("name", NAMES)
def test_options_exist(repository, name):
    """Every option that a notebook passes is one of its command's."""
    text = "\n".join(cell.source for cell in code_cells(read_notebook(repository, name)))
    calls = COMMAND_LINE.findall(text)
    assert len(calls) >= 3
    for _, command, line in calls:
        if command not in __main__.COMMANDS:
            pytest.skip(f"{command} does not exist yet")
        if command == "convert":
            assert line.startswith("inspect ")
            continue
        module = importlib.import_module(f"keras_vaegan.commands.{command}")
        options = getattr(module, f"{command.title()}Options")
        known = {field.replace("_", "-") for field in typing.get_type_hints(options)}
        for option in re.findall(r"--([a-z-]+)", line):
            assert option in known, f"{command} --{option}"


@pytest.mark.parametrize("name", NAMES)
def test_the_installed_tensorflow_stays(repository, name):
    install = next(c for c in code_cells(read_notebook(repository, name)) if c.id == "install")
    assert "--constraint constraints.txt" in install.source
    assert 'f"tensorflow=={present}' in install.source
    text = "\n".join(cell.source for cell in code_cells(read_notebook(repository, name)))
    assert not re.search(r"pip install[^\n]*tensorflow", text)


TINY_RUN = {
    "PRESET": "resnet_cyclegan_small",  # compiles in about a third of the time of demo
    "RUN": "run",
    "MINUTES": 5,
    "STRATEGY": "single",
    "OPTIONS": "--steps 2 --batch-size 2 --image-size 32",
    "LIMIT": 8,
    "PHANTOM_COUNT": 12,
    "PHANTOM_SIZE": 32,
}


@pytest.fixture(scope="module")
def trained(run_notebook, tmp_path_factory):
    """The training notebook, run on the phantom, and its folder."""
    folder = tmp_path_factory.mktemp("colab")
    return folder, run_notebook("train_vaegan", folder, DATA="phantom", **TINY_RUN)


@pytest.mark.slow
def test_training_runs_on_the_phantom(trained):
    """Three commands, one of which compiles a training step."""
    folder, notebook = trained
    assert "steps 0 to 2" in printed(notebook, "train")
    assert (folder / "run" / "evaluation" / "metrics.json").is_file()
    assert printed(notebook, "download").split() == [
        f"{name}_weights.h5" for name in ("d_source", "d_target", "g_source", "g_target")
    ]
    assert (folder / "run" / "weights.zip").is_file()


@pytest.mark.slow
@pytest.mark.skipif("KERAS_VAEGAN_EVERY_PRESET" not in os.environ, reason="three more commands")
def test_real_images_need_another_data_cell_only(trained, run_notebook, real_images, tmp_path):
    """The run of the phantom goes on, on a few real images of each folder."""
    for name in ("trainA", "trainB", "testA", "testB"):
        (tmp_path / name).mkdir(parents=True)
        for path in list_images(real_images / name)[:12]:
            shutil.copy(path, tmp_path / name)

    def change(tag, source):
        return f'DATA = "{tmp_path}"' if tag == "data" else source

    longer = {**TINY_RUN, "OPTIONS": TINY_RUN["OPTIONS"].replace("--steps 2", "--steps 3")}
    notebook = run_notebook("train_vaegan", trained[0], change, **longer)
    assert "steps 2 to 3" in printed(notebook, "train")
    assert "report: run/evaluation/report.html" in printed(notebook, "evaluate")


@pytest.mark.slow
def test_translation_runs_with_the_shipped_weights(run_notebook, repository, tmp_path):
    """Inspect, translate, sample, enlarge, export."""
    from keras_vaegan.models.rrdbnet import build_rrdbnet
    from keras_vaegan.weights.legacy_h5 import save_legacy_h5

    config = RRDBNetConfig(num_features=8, num_blocks=1, growth_channels=4, scale=2)
    save_legacy_h5(build_rrdbnet(config), tmp_path / "rrdb.h5", config)
    notebook = run_notebook(
        "translate",
        tmp_path,
        lambda tag, source: source + KEEP_TWO if tag == "data" else source,
        WEIGHTS=repository / "weights",
        PHANTOM_SIZE=48,
        SAMPLES=2,
        ENHANCE=tmp_path / "rrdb.h5",
    )
    assert "loads: VAEUNetConfig" in printed(notebook, "inspect")
    assert "translated 2 of 2" in printed(notebook, "translate")
    assert "largest deviation" in printed(notebook, "samples")
    assert "not for diagnosis" in printed(notebook, "saved-model").lower()
    made = list_images(tmp_path / "translated_enhanced")[0]
    assert read_image(made).shape[0] == 2 * read_image(tmp_path / "translated" / made.name).shape[0]


def test_the_kernel_is_this_python(run_notebook, tmp_path):
    """Notebooks must not silently run on another installation; the package is found as it is."""
    code = "; import keras_vaegan; print(sys.prefix, keras_vaegan.__file__)"

    def change(tag, source):
        return source + code.replace("; ", "\n") if tag == "install" else ""

    notebook = run_notebook("translate", tmp_path, change)
    prefix, file = printed(notebook, "install").split()
    assert prefix == sys.prefix and file == keras_vaegan.__file__


@pytest.mark.slow
def test_brats_runs_on_the_phantom(run_notebook, tmp_path):
    """Four commands, one of which compiles a training step."""
    if "synthesize" not in __main__.COMMANDS:
        pytest.skip("synthesize does not exist yet")
    notebook = run_notebook(
        "brats_modality",
        tmp_path,
        PRESET="modality_unet_small",
        DATA="phantom",
        RUN="run",
        MINUTES=5,
        OPTIONS="--steps 2 --batch-size 2",
        PHANTOM_COUNT=6,
        PHANTOM_SIZE=48,
    )
    assert (tmp_path / "run" / "evaluation" / "metrics.json").is_file()
    assert "wrote flair to flair.nii.gz" in printed(notebook, "synthesize")
    assert printed(notebook, "show").startswith("(48, 48,")
