# `make demo` and `make test` set everything up by themselves; a fresh machine needs only Python 3.11 or newer and make.
# Paths are relative to this file's folder, so that the folder's own path may hold spaces.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready

# mypy 1.14 is the last to check for Python 3.8, which the agent must run on; it lives apart from the mypy of the rest.
VENV38 := .venv-py38
PY38 := $(VENV38)/bin/python
READY38 := $(VENV38)/.ready
MYPY38 := mypy==1.14.1 mypy_extensions==1.2.0 typing_extensions==4.16.0

PIP := -m pip --quiet --disable-pip-version-check --no-input
PYTEST := $(PY) -m pytest
# One worker a core: each is pinned to its own (tests/conftest.py).
WORKERS ?= $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
TYPED := hwnas $(wildcard scripts/*.py) $(if $(wildcard benchmarks/*/*.py),benchmarks)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo docs test test-slow check lint types types-py38 layers format bench clean

help: ## show this list
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

setup: $(READY) ## make .venv with everything the demo, the tests and the checks need; runs nothing

$(READY): pyproject.toml constraints.txt
	@$(call venv,$(VENV))
	@echo "Installing hwnas and its tools into $(VENV): some minutes the first time"
	@$(PY) $(PIP) install -c constraints.txt -e '.[dev]'
	@touch $@

$(READY38): Makefile
	@$(call venv,$(VENV38))
	@$(PY38) $(PIP) install $(MYPY38)
	@touch $@

demo: $(READY) ## run the whole pipeline on this machine: profile, train, search, export, verify
	@$(VENV)/bin/hwnas run

# Strict: a dead link or anchor is an error. Nothing is fetched: fonts are off, and no plugin asks a network.
docs: $(READY) ## build the documentation into build/docs
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict --quiet
	@echo "build/docs/index.html"

test: $(READY) ## run the tests, with coverage of at least 90 %
	$(PYTEST) -m "not slow" -n $(WORKERS) --dist loadfile --cov --cov-fail-under=90 $(ARGS)

# pytest exits with 5 where nothing was collected.
test-slow: $(READY) ## run the slow rigs
	$(PYTEST) -m slow -n $(WORKERS) --dist loadfile $(ARGS) || test $$? -eq 5

check: lint types types-py38 layers docs ## check format, lint, types, layers and documentation

lint: $(READY)
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .

types: $(READY)
	$(PY) -m mypy --strict $(TYPED)

types-py38: $(READY38)
	$(PY38) -m mypy --config-file= --strict --ignore-missing-imports --python-version 3.8 devices/agent/hwnas_agent

layers: $(READY)
	$(VENV)/bin/lint-imports --no-cache --no-logo

format: $(READY) ## bring the code into form
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

bench: $(READY) ## run every benchmark (make bench ARGS=--quick: each within a minute)
	@set -e; for file in $(wildcard benchmarks/*/[!_]*.py); do \
	  module="$$(echo "$${file%.py}" | tr / .)"; echo "== $$module"; $(PY) -m "$$module" $(ARGS); \
	done

clean: ## remove what runs, builds and checks left; keeps the environments
	rm -rf build dist htmlcov .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +

# $(call venv,FOLDER): a virtual environment with pip in FOLDER; one that an interruption left half-made is made anew.
define venv
if ! "$(1)/bin/python" -m pip --version >/dev/null 2>&1; then \
  "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
    echo "hwnas needs Python 3.11 or newer, and $(PYTHON) is: $$("$(PYTHON)" --version 2>&1); name one: make PYTHON=python3.12 …" >&2; exit 1; }; \
  "$(PYTHON)" -m venv --clear "$(1)" || { \
    echo "$(PYTHON) cannot make virtual environments; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }; \
fi
endef
