# All of these need Python, git and make, and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTHONS := 3.10 3.11 3.12 3.13
# The tests that need no time: all but the end-to-end ones.
FAST = $(wildcard tests/test_*.py) tests/contract
# Some environments forbid compiled modules; a started mslock is to be measured and tested with them.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test lint bench generate pythons fast clean $(PYTHONS:%=python-%)

# A run, a skip, and what is known of both: the first thing to try.
demo: $(VENV)/ready
	@tests/demo.sh $(BIN)/mslock

test: $(VENV)/ready
	$(BIN)/pytest

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# What a run and a skip cost, beside a bare start of Python.
bench: $(VENV)/ready
	$(BIN)/python -m tests.bench

# Everything that is checked in and made by a program.
generate: $(VENV)/ready
	$(BIN)/python -m mslock.schema
	$(BIN)/python -m man.generate
	$(BIN)/python -m completions.generate

# The fast tests on each Python that mslock supports, as far as it is here.
pythons: $(PYTHONS:%=python-%)

$(PYTHONS:%=python-%): python-%:
	@for python in "$$HOME"/.pyenv/versions/$*.*/bin/python python$*; do \
		if "$$python" -c '' 2>/dev/null; then \
			exec $(MAKE) --no-print-directory fast VENV=.venv-$* PYTHON="$$python"; \
		fi; \
	done; echo "Python $*: not here, NOT tested"

fast: $(VENV)/ready
	@$(BIN)/python --version
	$(BIN)/pytest --quiet $(FAST)

clean:
	rm -rf .venv .venv-* build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/ready: pyproject.toml mslock/launcher
	@echo "installing into $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -qq --upgrade pip
	@$(BIN)/python -m pip install -qq --editable . --group dev
	@touch $@
