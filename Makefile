# Needs Python 3.10-3.13 with pip, and make. Choose another Python with `make demo PYTHON=python3.12`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --no-compile
PHANTOM := datasets/phantom
RUN := runs/demo

# pip compiles nothing here; what is imported is compiled once, by the first program that needs it.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test coverage lint docs clean
.DELETE_ON_ERROR:

# Phantom heads, a small CycleGAN trained on them, and its figures: three to six minutes on 2 cores
# without AVX-512, beside the installation.
demo: $(VENV)/.installed
	rm -rf $(PHANTOM) $(RUN)
	$(BIN)/python -m keras_vaegan.demo --data $(PHANTOM) --out $(RUN)

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder --durations 20

# The tests again, a third slower: the share of lines and branches that they run, and its floor.
coverage: $(VENV)/.installed-test
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder --cov --cov-report=term

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The pages of docs/ as a site, with every link checked: build/site/index.html.
docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) $(RUN) $(PHANTOM) build *.egg-info .coverage .pytest_cache .ruff_cache .mypy_cache

# The plain tensorflow wheel runs on the CPU; GPUs need `pip install 'tensorflow[and-cuda]'`.
$(VENV)/.installed: setup.py setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(INSTALL) --editable .
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(INSTALL) --editable '.[test]'
	touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(INSTALL) --editable '.[docs]'
	touch $@

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
