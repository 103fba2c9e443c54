# What a developer does, one word each; `make` alone lists the words.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help venv demo demo-quick test lint docs bench clean

PYTHON ?= $(firstword $(shell for v in 3.11 3.12 3.13; do command -v python$$v; done) python3)
export VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# What users have: no linters, no tests, no documentation.
RUNTIME := $(VENV)/.runtime
# The tests' own place for Quantum ESPRESSO; a user's set-up is neither needed nor touched.
TEST_HOME := $(CURDIR)/.trainspot
JOBS ?= 2
PYTEST_ARGS ?=
# One thread a process: the tests run side by side.
export OMP_NUM_THREADS ?= 1

help:  ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

venv: $(STAMP)  ## make .venv, or renew it when pyproject.toml or constraints.txt changed

$(STAMP): $(RUNTIME)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(STAMP)

$(RUNTIME): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[all]'
	touch $(RUNTIME)

demo: $(RUNTIME)  ## a whole campaign on silicon with real DFT, in about ten minutes
	PATH="$(abspath $(BIN)):$$PATH" bash scripts/demo.sh demo

demo-quick: $(RUNTIME)  ## the same with a semi-empirical reference, in about four minutes
	PATH="$(abspath $(BIN)):$$PATH" bash scripts/demo.sh demo-quick

test: venv lint docs  ## everything that CI checks: linters, types, docs, all tests, coverage
	$(BIN)/coverage erase
	export PATH="$(abspath $(BIN)):$$PATH"; \
	programs=$$($(BIN)/python scripts/quantumespresso.py $(TEST_HOME)); \
	while IFS= read -r assignment; do export "$$assignment"; done <<< "$$programs"; \
	$(BIN)/python -m pytest -n $(JOBS) --cov --cov-report= $(PYTEST_ARGS)
	$(BIN)/coverage json -q -o build/coverage.json
	$(BIN)/coverage report --format=total | sed 's/$$/ % of lines and branches covered/'
	$(BIN)/python scripts/coverage_floor.py build/coverage.json scripts/coverage_floor.json

lint: venv  ## format, lint, types, layers, spelling, file lengths
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	git ls-files -z | xargs -0 $(BIN)/codespell
	$(BIN)/python scripts/file_lengths.py

docs: venv  ## build the documentation into docs/_build/html; a warning is an error
	$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build/html

bench: venv  ## every benchmark against its baseline, results in build/benchmarks; an hour or so
	mkdir -p build/benchmarks
	for script in $(or $(BENCHMARKS),dataset augment evaluate engine md labels); do \
	  test -e "benchmarks/$$script.py" || continue; \
	  $(BIN)/python "benchmarks/$$script.py" --json "build/benchmarks/$$script.json"; \
	done

clean:  ## remove what was built and measured, not .venv
	rm -rf build dist docs/_build docs/_generated .pytest_cache .mypy_cache .ruff_cache \
	  .hypothesis .import_linter_cache .coverage .coverage.* htmlcov
