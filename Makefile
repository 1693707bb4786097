# Needs Python 3.11 or newer and make; everything else goes into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test lint types bench docs

demo: $(VENV)/.calojax
	$(BIN)/calojax demo

test: $(VENV)/.calojax-test
	$(BIN)/python -m pytest

lint: $(VENV)/.calojax-test
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.calojax-test
	$(BIN)/pyright

bench: $(VENV)/.calojax-bench
	$(BIN)/python -m benchmarks

docs: $(VENV)/.calojax-docs
	$(BIN)/zensical build

# one stamp per set of extras: installed again only when pyproject.toml changes
$(VENV)/.calojax: pyproject.toml | $(BIN)/python
	$(PIP) -e .
	@touch $@

$(VENV)/.calojax-%: pyproject.toml | $(BIN)/python
	$(PIP) -e '.[$*]'
	@touch $@

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "calojax needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
