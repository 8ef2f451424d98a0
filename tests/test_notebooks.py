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

from keras_vaegan import __main__
from keras_vaegan.config import RRDBNetConfig
from keras_vaegan.data.image import list_images, read_image

NAMES = ("train_vaegan", "translate", "brats_modality")
COMMAND_LINE = re.compile(r"^\s*!\{PYTHON\} -m keras_vaegan\.(\w+) ?(.*)$", re.MULTILINE)
OTHER_COMMANDS = re.compile(r"^\s*!(?!\{PYTHON\} -m (keras_vaegan\.|pip install ))", re.MULTILINE)
CELL_SECONDS = 900


def read_notebook(repository, name):
    return nbformat.read(repository / "colab" / f"{name}.ipynb", as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.fixture
def run_notebook(repository, tmp_path, monkeypatch):
    """Execute a notebook in an empty folder with settings from the environment."""

    def run(name, change=None, **settings):
        notebook = read_notebook(repository, name)
        for cell in notebook.cells if change else []:
            cell.source = change(cell.id, cell.source)
        paths = [str(repository), os.environ.get("PYTHONPATH", "")]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
        monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
        for key, value in settings.items():
            monkeypatch.setenv(f"KERAS_VAEGAN_{key}", str(value))
        client = NotebookClient(
            notebook,
            timeout=CELL_SECONDS,
            kernel_name="python3",
            resources={"metadata": {"path": str(tmp_path)}},
        )
        begin = time.perf_counter()
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
    for command, line in calls:
        if command not in __main__.COMMANDS:
            pytest.skip(f"{command} does not exist yet")
        if command == "convert":
            assert line.startswith("inspect ")
            continue
        module = importlib.import_module(f"keras_vaegan.{command}")
        options = next(
            value
            for key, value in vars(module).items()
            if key.endswith(("Arguments", "Options")) and value.__module__ == module.__name__
        )
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
    "PRESET": "demo",
    "RUN": "run",
    "MINUTES": 5,
    "OPTIONS": "--steps 2 --batch-size 2 --image-size 32",
    "LIMIT": 8,
    "PHANTOM_COUNT": 12,
    "PHANTOM_SIZE": 32,
}


@pytest.mark.slow
def test_training_runs_on_the_phantom_and_resumes(run_notebook, tmp_path):
    """Three commands, each of which starts TensorFlow and compiles; then a resumed run."""
    notebook = run_notebook("train_vaegan", DATA="phantom", **TINY_RUN)
    assert "steps 0 to 2" in printed(notebook, "train")
    assert (tmp_path / "run" / "evaluation" / "metrics.json").is_file()
    assert printed(notebook, "download").split() == [
        f"{name}_weights.h5" for name in ("d_source", "d_target", "g_source", "g_target")
    ]
    assert (tmp_path / "run" / "weights.zip").is_file()
    longer = {**TINY_RUN, "OPTIONS": TINY_RUN["OPTIONS"].replace("--steps 2", "--steps 3")}
    notebook = run_notebook("train_vaegan", only_training, DATA="phantom", **longer)
    assert "steps 2 to 3" in printed(notebook, "train")


def only_training(tag, source):
    """Leave out what follows the training."""
    return "" if tag in ("samples", "evaluate", "download") else source


@pytest.mark.slow
def test_training_runs_on_real_images_by_the_data_cell_alone(run_notebook, real_images, tmp_path):
    """The same notebook, another data cell; a few images of each folder."""
    folder = tmp_path / "real"
    for name in ("trainA", "trainB", "testA", "testB"):
        (folder / name).mkdir(parents=True)
        for path in list_images(real_images / name)[:12]:
            shutil.copy(path, folder / name)

    def change(tag, source):
        return f'DATA = "{folder}"' if tag == "data" else source

    run_notebook("train_vaegan", change, **TINY_RUN)
    assert (tmp_path / "run" / "evaluation" / "metrics.json").is_file()


@pytest.mark.slow
def test_translation_runs_with_the_shipped_weights(run_notebook, repository, tmp_path):
    """Inspect, translate, sample, enlarge, export: each starts TensorFlow."""
    from keras_vaegan.checkpoints.legacy_h5 import save_legacy_h5
    from keras_vaegan.models import build_rrdbnet

    config = RRDBNetConfig(num_features=8, num_blocks=1, growth_channels=4, scale=2)
    save_legacy_h5(build_rrdbnet(config), tmp_path / "rrdb.h5", config)
    notebook = run_notebook(
        "translate",
        WEIGHTS=repository / "weights",
        PHANTOM_SIZE=48,
        SAMPLES=2,
        ENHANCE=tmp_path / "rrdb.h5",
    )
    assert "loads: VAEUNetConfig" in printed(notebook, "inspect")
    assert "translated 8 of 8" in printed(notebook, "translate")
    assert "largest deviation" in printed(notebook, "samples")
    assert "not for diagnosis" in printed(notebook, "saved-model").lower()
    made = list_images(tmp_path / "translated_enhanced")[0]
    assert read_image(made).shape[0] == 2 * read_image(tmp_path / "translated" / made.name).shape[0]


def test_the_kernel_is_this_python(run_notebook):
    """Notebooks must not silently run on another installation."""
    notebook = run_notebook("translate", lambda tag, source: source if tag == "install" else "")
    assert not printed(notebook, "install")
    code = "import sys; print(sys.version_info[:2])"
    notebook = run_notebook("translate", lambda tag, source: code if tag == "install" else "")
    assert printed(notebook, "install").strip() == str(sys.version_info[:2])
