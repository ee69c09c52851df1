# Every target sets up what it needs in .venv; a machine with Python is enough.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test check format proto bench compose-test clean

demo: $(STAMP)
	$(BIN)/kvnode demo

test: check

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest --cov --cov-report= --numprocesses auto --ignore tests/system
	$(BIN)/pytest --cov --cov-append --numprocesses auto --dist loadfile tests/system

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

proto: $(STAMP)
	$(BIN)/python -m tests.generate_proto

bench: $(STAMP)
	$(BIN)/python -m tests.benchmarks

compose-test: $(STAMP)
	$(BIN)/pytest -q -p no:cacheprovider tests/compose

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
