# Everything here needs Python 3.10 or newer and make, nothing else. All of it lives in .venv; `make clean` leaves no trace.
#
#     make demo     a photo becomes a video
#     make test     what the tests need, and the tests
#     make lint     layout, lint, types, import layers
#     make docs     the documents as a site, in site/
#     make package  wheel and sdist into dist/, looked into, and the wheel installed where nothing else is
#     make check    what CI runs: lint, docs, package and test
#     make format   lays out the code and sorts imports
#     make reference  writes what the documents, the manual page and completion say of the code
#     make torture  breaks daemons in every known way for an hour: MINUTES=60 TRIALS=200, FAULTS="..." for some only
#     make fuzz     spoils what strangers drop for ten minutes: FUZZ_SECONDS=600

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# -qq: no warnings, errors still show.
INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check --constraint constraints.txt

# What is to be installed is decided by these alone.
PINS := pyproject.toml constraints.txt

.PHONY: help demo test lint docs package reference check format torture fuzz clean
.NOTPARALLEL:
help:
	@sed -n 's/^#     //p' Makefile

demo: $(VENV)/bare
	@$(BIN)/framedaemon demo --instance .

# In two halves, one beside the other: tests that run daemons, no two of which bear each other, and all the rest.
test: $(VENV)/test
ifdef PYTEST_ARGS
	@$(BIN)/python -m pytest $(PYTEST_ARGS)
else
	@rest=$$(mktemp); daemons=0; others=0; \
	$(BIN)/python -m pytest -m 'not daemons' > "$$rest" 2>&1 & pid=$$!; \
	$(BIN)/python -m pytest -m daemons || daemons=$$?; \
	wait $$pid || others=$$?; \
	cat "$$rest"; rm "$$rest"; exit $$((daemons || others))
endif

lint: $(VENV)/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/hadolint Dockerfile

docs: $(VENV)/dev
	@if $(BIN)/python -c 'import mkdocs' 2> /dev/null; \
	then NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict \
		&& ! grep -rE --include='*.html' '(src|rel="stylesheet" href)="https?:' site && echo "docs: site/index.html"; \
	else echo "docs: left out, mkdocs-material wants Python 3.11 or newer"; fi

package: $(VENV)/dev
	@$(BIN)/python .ci/package.py --keep dist

reference: $(VENV)/test
	@$(BIN)/python docs/generate

check: lint docs package test

MINUTES ?= 60
TRIALS ?= 200
torture: $(VENV)/test
	@$(BIN)/python tests/torture --minutes $(MINUTES) --trials $(TRIALS) $(FAULTS)
	@$(BIN)/python tests/torture/mutants.py
	@FRAMEDAEMON_EXAMPLES=400 $(BIN)/python -m pytest -q tests/torture/test_model.py

FUZZ_SECONDS ?= 600
fuzz: $(VENV)/test
	@$(BIN)/python tests/fuzz/campaign.py $(FUZZ_SECONDS) --keep found

format: $(VENV)/dev
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) dist site .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find daemon plugins tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "framedaemon needs Python 3.10 or newer, this is " + sys.version.split()[0] + ": make PYTHON=python3.12 ...")'
	@$(PYTHON) -m venv $(VENV)

# One rule for the three sizes of install; a stamp file says that it was done, and is older than PINS when it must be redone.
$(VENV)/bare: EXTRA :=
$(VENV)/test: EXTRA := [test]
$(VENV)/dev: EXTRA := [dev]
$(VENV)/bare $(VENV)/test $(VENV)/dev: $(PINS) | $(BIN)/python
	@echo "installing framedaemon$(EXTRA) into $(VENV) (a minute or two the first time) ..."
	@$(INSTALL) --editable '.$(EXTRA)'
	@touch $@
