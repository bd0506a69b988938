# One task runner. `make demo` and `make test` do all their own set-up; the rest is for maintainers.
# Works with GNU make and Python 3.10 or later, in a virtual environment of its own.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint types generate bench lock clean

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: $(STAMP)  ## Make .venv with the pinned development environment

$(STAMP): requirements/bootstrap.txt requirements/dev.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 10) or sys.exit("Runrecord needs Python 3.10 or later; name one with: make PYTHON=python3.12 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/bootstrap.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --require-hashes -r requirements/dev.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(STAMP)  ## Run the main job: three runs of a refund agent, redacted, sealed, verified
	$(BIN)/runrecord demo $(ARGS)

test: $(STAMP)  ## Lint, type-check and test everything, each agent SDK in its own environment
	PATH="$(CURDIR)/$(BIN):$$PATH" nox $(ARGS)

lint: $(STAMP)  ## Lint, check the format and the changelog's fragments
	PATH="$(CURDIR)/$(BIN):$$PATH" nox -s lint

types: $(STAMP)  ## Type-check with mypy and pyright, both strict
	PATH="$(CURDIR)/$(BIN):$$PATH" nox -s types

generate: $(STAMP)  ## Regenerate constants and reference pages from the registry
	$(BIN)/python -m runrecord.semconv.generate
	$(BIN)/python -m runrecord.processors.redaction.packs.build
	$(BIN)/python docs/tables.py
	$(BIN)/python docs/situations/make.py
	$(BIN)/python docs/support.py
	$(BIN)/python deploy/grafana/make.py

bench: $(STAMP)  ## Print the throughput and overhead tables
	PATH="$(CURDIR)/$(BIN):$$PATH" nox -s bench -- $(ARGS)

lock: $(STAMP)  ## Recompile the pinned requirements
	PATH="$(CURDIR)/$(BIN):$$PATH" python requirements/compile.py $(ARGS)

clean:  ## Remove what the targets made
	rm -rf $(VENV) .nox .mypy_cache .pytest_cache .ruff_cache dist
