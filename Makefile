# Every target works alone on a fresh machine: the first one creates .venv with the pinned versions.
# Another Python (3.11 or later) than python3: make search PYTHON=python3.12. More arguments: make search ARGS="--smoke".
# What follows ## after a target is its line in `make help`, which `make` alone prints.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/installed

QUICK := not ray and not slow and not browser

.DEFAULT_GOAL := help
.PHONY: help install search dashboard test test-quick check format docs clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 20

install: $(READY) ## .venv with the pinned versions

search: $(READY) ## the lr stage on the embedded images; ARGS="--stage all", "--smoke", "--data YOUR_IMAGES"
	$(BIN)/python run_search.py --stage lr $(ARGS)

# make dashboard STUDY=results/lr/20261125-120000: its trials in Optuna's own dashboard, on this machine alone
PORT ?= 8080
dashboard: $(READY) ## STUDY=results/lr/20261125-120000 in Optuna's own dashboard
	@test -f "$(STUDY)/optuna.journal" || { echo "make dashboard: STUDY=$(STUDY) is no study folder; give STUDY=results/<stage>/<study>"; exit 2; }
	$(BIN)/optuna-dashboard --host 127.0.0.1 --port $(PORT) "$(STUDY)/optuna.journal"

# two processes, a file to each in turn: many tests wait for Ray to start and stop. One: make test ARGS="-n 0"
test: $(READY) ## everything that this machine can run
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

test-quick: $(READY) ## the tests that start no Ray and no browser and take no more than seconds
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "$(QUICK)" $(ARGS)

check: $(READY) ## formatting, lint and types, as the pre-commit hooks do
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(READY) ## correct formatting and imports
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY) ## docs/stages.md from the stages
	$(BIN)/python -m search_spaces > docs/stages.md

clean: ## remove .venv and what tools leave behind
	rm -rf .venv *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis

$(READY): pyproject.toml constraints.txt setup.py trainables/encoder.c
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	touch $(READY)
