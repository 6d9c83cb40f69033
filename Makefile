# Every target works alone on a fresh machine: the first one creates .venv with the pinned versions.
# Another Python (3.11 or later) than python3: make search PYTHON=python3.12. More arguments: make search ARGS="--smoke".

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/installed

.PHONY: search test check format docs clean

search: $(READY)
	$(BIN)/python run_search.py --stage lr $(ARGS)

test: $(READY)
	$(BIN)/python -m pytest $(ARGS)

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

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	touch $(READY)
