# Everything runs in a local environment that is made on first use; Python 3.11 or newer and make are all it takes.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALL = $(BIN)/pip install --quiet --editable

# for test-newest: PYTHON if it is given, else the newest on the PATH or of pyenv; the packages without upper bounds
NEWEST = $(if $(filter file,$(origin PYTHON)),$(shell for minor in 15 14 13 12; do \
  for one in python3.$$minor $$HOME/.pyenv/versions/3.$$minor.*/bin/python; do \
  $$one -c 'import sys; print(sys.executable)' 2>/dev/null && exit; done; done),$(PYTHON))
UNBOUNDED = import re, tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
  print(*(re.sub(",<[^,]*", "", one) for one in project["dependencies"] + project["optional-dependencies"]["test"]))

# a worker takes up to 2.5 GB; the tests of a file stay together, as they share what is costly
PYTEST_RUN = -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(PYTEST)

.PHONY: demo test test-newest lint types bench bench-peers docs clean

demo: $(VENV)/.installed
	@rm -rf runs/demo
	$(BIN)/calojax demo pyramid --out runs/demo

test: $(VENV)/.installed-test
	$(BIN)/python $(PYTEST_RUN)

test-newest:
	@test -n "$(NEWEST)" || { echo "no Python 3.12 or newer found; give one with make PYTHON=..." >&2; exit 2; }
	$(NEWEST) -m venv .venv-newest
	@.venv-newest/bin/pip install --quiet --upgrade $$(.venv-newest/bin/python -c '$(UNBOUNDED)')
	@.venv-newest/bin/pip install --quiet --no-deps --editable .
	@.venv-newest/bin/python -c 'import jax, sys; print("jax", jax.__version__, "on Python", sys.version)'
	.venv-newest/bin/python $(PYTEST_RUN)

lint: $(VENV)/.installed-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-lint
	$(BIN)/pyright

bench: $(VENV)/.installed-bench
	$(BIN)/calojax bench

# the packages to compare with, several GB of them; the benchmarks go on without those that do not install
bench-peers:
	$(PYTHON) -m venv .venv-peers
	@for file in torch.txt jax.txt distances.txt "jetnet.txt --no-deps"; do \
	  .venv-peers/bin/pip install --quiet --requirement benchmarks/peers/$$file || echo "not installed: $$file" >&2; done

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
