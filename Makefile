# `make demo` and `make test` need Python, git and make, and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Some environments forbid compiled modules; a started mslock is to be measured and tested with them.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test lint bench generate clean

demo: $(VENV)/ready
	@tests/demo.sh $(BIN)/mslock

test: $(VENV)/ready
	$(BIN)/pytest

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/ready
	$(BIN)/python -m tests.bench

# Everything that is checked in and made by a program.
generate: $(VENV)/ready
	$(BIN)/python -m mslock.schema

clean:
	rm -rf $(VENV) dist build

$(VENV)/ready: pyproject.toml mslock/launcher
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable . --group dev
	touch $@
