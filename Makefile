# Every target sets up what it needs in .venv; a machine with Python is enough.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

COVER := --cov --cov-report=
COVER_MORE := --cov --cov-append

# They start Python hundreds of times, and each time it would compile all of kvnode.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check static unit system format proto bench compose-test workerd miniflare clean

demo: $(STAMP)
	$(BIN)/kvnode demo

# All that `check` does but coverage, which takes as long again.
test:
	$(MAKE) check COVER= COVER_MORE=

check: $(STAMP)
	$(MAKE) --jobs=2 static unit
	$(MAKE) system

static: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(STAMP)
	$(BIN)/pytest $(COVER) --numprocesses auto --ignore tests/system

system: $(STAMP)
	$(BIN)/pytest $(COVER_MORE) --numprocesses auto --dist worksteal tests/system

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

proto: $(STAMP)
	$(BIN)/python -m tests.generate_proto

bench: $(STAMP)
	$(BIN)/python -m tests.benchmarks

compose-test: $(STAMP)
	$(BIN)/pytest -q -p no:cacheprovider tests/compose

# Cloudflare's runtime, against which tests and comparisons run where it is there.
workerd:
	npm install --no-audit --no-fund --no-save --prefix .tools 'workerd@>=1.20261117.1'

# What developers run it by: for `make bench`, with a workerd and a node of its own.
miniflare:
	mkdir -p .tools/miniflare
	npm install --no-audit --no-fund --no-save --prefix .tools/miniflare \
		'node@22' 'miniflare@>=4.20260730.0'

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis
