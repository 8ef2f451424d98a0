# Needs Python 3.10-3.13 with pip, and make. Choose another Python with `make demo PYTHON=python3.12`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PHANTOM := datasets/phantom
RUN := runs/demo

.PHONY: demo test coverage lint clean
.DELETE_ON_ERROR:

# Phantom heads, a small CycleGAN trained on them, and its figures: some six minutes on 2 cores
# without AVX-512, beside the installation.
demo: $(VENV)/.installed
	rm -rf $(PHANTOM) $(RUN)
	$(BIN)/python -m keras_vaegan.phantom --kind folders --size 64 --out $(PHANTOM)
	$(BIN)/python -m keras_vaegan.train --preset demo --data $(PHANTOM) --out $(RUN)
	$(BIN)/python -m keras_vaegan.evaluate --weights $(RUN) --data $(PHANTOM) --out $(RUN)/evaluation
	@echo "Pictures: $$(ls -t $(RUN)/samples/*.png | head -n 1)"
	@echo "Figures:  $(RUN)/evaluation/metrics.json"

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder --durations 20

# The tests again, a third slower: the share of lines and branches that they run, and its floor.
coverage: $(VENV)/.installed-test
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder --cov --cov-report=term

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) $(RUN) $(PHANTOM) build *.egg-info .coverage .pytest_cache .ruff_cache .mypy_cache

# The plain tensorflow wheel runs on the CPU; GPUs need `pip install 'tensorflow[and-cuda]'`.
$(VENV)/.installed: setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
