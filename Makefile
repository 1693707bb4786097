# Everything runs in a local environment that is made on first use; Python 3.11 or newer and make are all it takes.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALL = $(BIN)/pip install --quiet --editable

.PHONY: demo test lint types bench docs clean

demo: $(VENV)/.installed
	@rm -rf runs/demo
	$(BIN)/calojax demo pyramid --out runs/demo

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest $(PYTEST)

lint: $(VENV)/.installed-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-lint
	$(BIN)/pyright

bench: $(VENV)/.installed-bench
	$(BIN)/python -m benchmarks

docs: $(VENV)/.installed-docs
	$(BIN)/zensical build

clean:
	rm -rf build dist site .pytest_cache .ruff_cache

$(VENV)/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "calojax needs Python 3.11 or newer; give one with make PYTHON=..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/pip pyproject.toml
	$(INSTALL) .
	@touch $@

$(VENV)/.installed-%: $(VENV)/bin/pip pyproject.toml
	$(INSTALL) ".[$*]"
	@touch $@ $(VENV)/.installed
