"""The shape of the house, read from the source: who may import whom."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = [
    path for package in ("trainables", "search_spaces", "analysis") for path in sorted((ROOT / package).glob("*.py"))
]
SHARED_WORDS = {"trainables.config", "trainables.result", "trainables.errors"}


def imports(path):
    """Every module a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def importers_of(package):
    return {
        f"{path.parent.name}/{path.name}" for path in FILES for name in imports(path) if name.split(".")[0] == package
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_imports_form_a_chain(path):
    """trainables imports neither other package; search_spaces of trainables only config, result, errors; no one run_search."""
    names = set(imports(path))
    package = path.parent.name
    assert "run_search" not in names
    if package == "trainables":
        assert not [name for name in names if name.split(".")[0] in ("search_spaces", "analysis")]
    if package == "search_spaces":
        assert not [name for name in names if name.split(".")[0] == "analysis"]
        assert {name for name in names if name.split(".")[0] == "trainables"} <= SHARED_WORDS


@pytest.mark.parametrize("name", ["config", "result", "errors"])
def test_the_shared_words_need_only_the_standard_library(name):
    """config, result and errors import nothing but the standard library and each other."""
    others = set(imports(ROOT / "trainables" / f"{name}.py")) - SHARED_WORDS
    assert {module.split(".")[0] for module in others} <= sys.stdlib_module_names


def test_each_big_library_lives_in_few_files():
    """optuna in one file, ray in four, seaborn and matplotlib in one, wandb in one; search_spaces never imports torch."""
    assert importers_of("optuna") == {"search_spaces/suggest.py"}
    ours = {"search_spaces/cluster.py", "search_spaces/tuner.py", "search_spaces/keeper.py"}
    assert importers_of("ray") == ours | {"trainables/siamese.py"}
    assert importers_of("seaborn") == importers_of("matplotlib") == {"analysis/plots.py"}
    assert importers_of("wandb") == {"analysis/wandb_runs.py"}
    assert importers_of("kagglehub") == {"trainables/fetch.py"}
    assert not [name for name in importers_of("torch") if name.startswith("search_spaces/")]


def test_the_training_core_needs_neither_ray_nor_optuna():
    """Everything that trainables.training loads runs on a machine with torch alone."""
    seen, waiting = set(), ["trainables.training", "trainables.synthetic", "trainables.readers"]
    while waiting:
        name = waiting.pop()
        seen.add(name)
        found = set(imports(ROOT / (name.replace(".", "/") + ".py")))
        assert not {n.split(".")[0] for n in found} & {"ray", "optuna", "wandb", "pandas", "seaborn"}
        waiting += [n for n in found if n.startswith("trainables.") and n not in seen]


def test_a_search_starts_without_what_takes_seconds_to_load():
    """torch, SciPy's statistics and what draws figures are not loaded before Ray is started."""
    question = "import sys, analysis.conduct, run_search; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", question], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not set(loaded.stdout.split()) & {"torch", "torchvision", "scipy.stats", "matplotlib", "seaborn", "wandb"}


def test_only_evaluate_reads_the_test_split():
    """No file but analysis/evaluate.py takes the test part of a split; splits.py and data.py define and count it."""
    readers = {
        f"{path.parent.name}/{path.name}"
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "test"
    }
    assert readers <= {"analysis/evaluate.py", "trainables/splits.py"}
