"""The shape of the house, read from the source: who may import whom."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CHAIN = (
    "trainables",
    "search_spaces",
    "storage",
    "analysis",
    "studies",
    "siamese_search",
)  # each may import those before it
FILES = [path for package in CHAIN for path in sorted((ROOT / package).rglob("*.py"))]
SHARED_WORDS = {f"trainables.{name}" for name in ("base_config", "config", "result", "errors", "json_values")}


def imports(path):
    """Every module a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def importers_of(package):
    return {
        path.relative_to(ROOT).as_posix() for path in FILES for name in imports(path) if name.split(".")[0] == package
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_form_a_chain(path):
    """Each package imports only those before it; search_spaces of trainables only base_config, config, result, errors, json_values; no one run_search."""
    names = set(imports(path))
    package = path.relative_to(ROOT).parts[0]
    later = CHAIN[CHAIN.index(package) + 1 :]
    assert not [name for name in names if name.split(".")[0] in (*later, "run_search")]
    if package in ("search_spaces", "storage"):
        assert {name for name in names if name.split(".")[0] == "trainables"} <= SHARED_WORDS


def test_no_package_is_most_of_the_house():
    """The largest package has less than 30 % of the lines."""
    lines = dict.fromkeys(CHAIN, 0)
    for path in FILES:
        lines[path.relative_to(ROOT).parts[0]] += len(path.read_text(encoding="utf-8").splitlines())
    images = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in FILES if path.parent.name == "images")
    rooms = {**lines, "trainables": lines["trainables"] - images, "trainables.images": images}
    rest = len((ROOT / "run_search.py").read_text(encoding="utf-8").splitlines())
    assert max(rooms.values()) < 0.3 * (sum(rooms.values()) + rest)


@pytest.mark.parametrize("name", ["base_config", "config", "result", "errors", "json_values"])
def test_the_shared_words_need_only_the_standard_library(name):
    """base_config, config, result, errors and json_values import nothing but the standard library and each other."""
    others = set(imports(ROOT / "trainables" / f"{name}.py")) - SHARED_WORDS
    assert {module.split(".")[0] for module in others} <= sys.stdlib_module_names


def test_each_big_library_lives_in_few_files():
    """Optuna in three files, Ray in six, each of the others in one; what is asked and kept needs no torch."""
    assert importers_of("optuna") == {"studies/suggest.py", "storage/distributions.py", "analysis/importance.py"}
    ours = {f"studies/{name}.py" for name in ("cluster", "tuner", "callbacks", "schedulers", "checkpoint_store")}
    assert importers_of("ray") == ours | {"trainables/trial.py"}
    assert importers_of("seaborn") == importers_of("matplotlib") == {"analysis/figures/canvas.py"}
    assert importers_of("rich") == {"studies/progress.py"}
    assert importers_of("sklearn") == {"analysis/thresholds.py"}
    assert importers_of("wandb") == {"studies/wandb_runs.py"}
    assert importers_of("kagglehub") == {"trainables/images/fetch.py"}
    assert importers_of("onnx") == importers_of("onnxruntime") == {"trainables/export.py"}
    assert not [name for name in importers_of("torch") if name.startswith(("search_spaces/", "storage/"))]


def test_the_training_core_needs_neither_ray_nor_optuna():
    """Everything that trainables.training loads runs on a machine with torch alone."""
    seen, waiting = set(), ["trainables.training", "trainables.images.synthetic", "trainables.images.readers"]
    while waiting:
        name = waiting.pop()
        seen.add(name)
        module = ROOT / name.replace(".", "/")
        found = set(imports(module / "__init__.py" if module.is_dir() else module.with_suffix(".py")))
        assert not {n.split(".")[0] for n in found} & {"ray", "optuna", "wandb", "pandas", "seaborn"}
        waiting += [n for n in found if n.startswith("trainables.") and n not in seen]


def test_a_search_starts_without_what_takes_seconds_to_load():
    """torch, SciPy's statistics, scikit-learn and what draws figures are not loaded before Ray is started."""
    question = "import sys, studies.run_study, run_search; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", question], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not set(loaded.stdout.split()) & {
        "torch",
        "torchvision",
        "scipy.stats",
        "sklearn",
        "matplotlib",
        "seaborn",
        "wandb",
    }


def test_only_evaluate_reads_the_test_split():
    """No file but studies/evaluate.py takes the test part of a split; splits.py and data.py define and count it."""
    readers = {
        path.relative_to(ROOT).as_posix()
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "test"
    }
    assert readers <= {"studies/evaluate.py", "trainables/splits.py"}


def test_tests_import_nothing_private():
    """What a test of ours imports has no leading underscore: a claim is about what others may use."""
    private = [
        f"{path.name}: {alias.name}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in (*CHAIN, "benchmarks")
        for alias in node.names
        if alias.name.startswith("_")
    ]
    assert private == []
