# Every target works alone on a fresh machine: the first one creates .venv with the pinned versions.
# Another Python (3.11 or later) than python3: make search PYTHON=python3.12. More arguments: make search ARGS="--smoke".

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/installed

.PHONY: install search dashboard test check format docs clean

install: $(READY)

search: $(READY)
	$(BIN)/python run_search.py --stage lr $(ARGS)

# make dashboard STUDY=results/lr/20261125-120000: its trials in Optuna's own dashboard, on this machine alone
PORT ?= 8080
dashboard: $(READY)
	@test -f "$(STUDY)/optuna.journal" || { echo "make dashboard: STUDY=$(STUDY) is no study folder; give STUDY=results/<stage>/<study>"; exit 2; }
	$(BIN)/optuna-dashboard --host 127.0.0.1 --port $(PORT) "$(STUDY)/optuna.journal"

# two processes, a file to each in turn: many tests wait for Ray to start and stop. One: make test ARGS="-n 0"
test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY)
	$(BIN)/python -m search_spaces > docs/stages.md

clean:
	rm -rf .venv *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis

$(READY): pyproject.toml constraints.txt setup.py trainables/encoder.c
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	touch $(READY)
