# Each target sets up .venv and node_modules the first time, and again when what they are made from changes.
# Flags for the command behind a target: make run ARGS="--port 7080 --verbose"

ARGS ?=
PYTHON := .venv/bin/python
SETUP := .venv/.installed node_modules/.installed
COVERAGE := --cov=chat --cov-report=term:skip-covered --cov-fail-under=90
SIDE_BY_SIDE := -n auto --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help setup run test lint bench clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-6s %s\n", $$1, $$2}' Makefile

run: $(SETUP) ## Run everything on this machine, at http://127.0.0.1:7071
	@exec $(PYTHON) -m local $(ARGS)

test: $(SETUP) ## Run every test, with the coverage of chat/
	@exec $(PYTHON) -m pytest $(COVERAGE) $(SIDE_BY_SIDE) $(ARGS)

lint: .venv/.installed ## Check format, lint and types
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/basedpyright

bench: $(SETUP) ## Measure speed and compare
	@exec $(PYTHON) -m benchmarks $(ARGS)

setup: $(SETUP) ## Install what the other targets need, and nothing else

clean: ## Remove what the other targets made, and the local data
	rm -rf .venv node_modules .local .coverage .coverage.* .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.installed: requirements.txt requirements-dev.txt | .venv/bin/python
	@echo "Installing Python packages into .venv ..."
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

node_modules/.installed: package.json package-lock.json | .venv/.installed
	@echo "Installing Node packages into node_modules ..."
	@.venv/bin/npm ci --no-progress --loglevel=error
	@touch $@

.venv/bin/python:
	@for python in python3.13 python3 python3.14 "$$HOME"/.pyenv/versions/3.1[3-9]*/bin/python3; do \
	  if command -v "$$python" >/dev/null 2>&1 \
	    && "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 13))' 2>/dev/null; then \
	    echo "Making .venv with $$python ..."; exec "$$python" -m venv .venv; \
	  fi; \
	done; \
	echo "Parley needs Python 3.13 or later, and found none: install it from https://www.python.org/downloads/" >&2; \
	exit 1
