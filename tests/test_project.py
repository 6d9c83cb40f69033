"""Guards what the project's own files promise: the commands of `make`, the hooks, the packages' types, one version."""

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
PACKAGING = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def make(*words):
    """What make prints; -o takes .venv for installed, whatever its age."""
    command = ["make", "--no-print-directory", "-o", ".venv/installed", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def targets():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)[1].split()


def test_make_alone_lists_every_target_with_a_line():
    """`make` runs nothing, and says what each target does."""
    listed = [line.split(maxsplit=2) for line in make().splitlines()]
    assert [words[:2] for words in listed] == [["make", target] for target in targets()]
    assert all(len(words) == 3 for words in listed)


def test_the_hooks_run_what_make_check_runs():
    """Each command of `make check` is a hook, in that order; none of them fetches anything."""
    [source] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert source["repo"] == "local"
    assert [hook["entry"] for hook in source["hooks"]] == make("-n", "check").splitlines()
    assert {(hook["language"], hook["pass_filenames"]) for hook in source["hooks"]} == {("system", False)}


@pytest.mark.parametrize("marker", ["ray", "slow", "browser"])
def test_the_quick_tests_leave_out_what_takes_time(marker):
    """`make test-quick` is `make test` without the markers of what starts Ray or a browser, or is slow."""
    quick = make("-n", "test-quick").strip()
    assert f"not {marker}" in quick
    assert re.sub(r' -m ".*"', "", quick).strip() == make("-n", "test").strip()


def test_every_package_declares_its_types():
    """Each top-level package is installed, with a py.typed."""
    packages = PACKAGING["tool"]["setuptools"]["packages"]
    assert sorted({name.split(".")[0] for name in packages}) == sorted(
        path.parent.name for path in ROOT.glob("*/py.typed")
    )
    assert PACKAGING["tool"]["setuptools"]["package-data"]["*"] == ["py.typed"]


def test_every_folder_of_modules_is_installed():
    """Packages are listed by hand, since tests and benchmarks are not installed; the list misses none."""
    packages = set(PACKAGING["tool"]["setuptools"]["packages"])
    top = {name.split(".")[0] for name in packages}
    found = {
        ".".join(path.parent.relative_to(ROOT).parts) for name in top for path in (ROOT / name).rglob("__init__.py")
    }
    assert packages == found


def test_the_version_stands_in_one_place():
    """No file of ours but pyproject.toml says which version this is."""
    version = re.compile(rf"(?<![\d.]){re.escape(PACKAGING['project']['version'])}(?![\d.])")
    files = ["CITATION.cff", "CHANGELOG.md", "README.md", "setup.py", "run_search.py", "Makefile"]
    files += [
        path.relative_to(ROOT)
        for name in ("trainables", "search_spaces", "storage", "analysis", "studies")
        for path in (ROOT / name).rglob("*.py")
    ]
    assert [str(file) for file in files if version.search((ROOT / file).read_text(encoding="utf-8"))] == []


def test_every_test_file_opens_with_what_it_guards():
    """Each file of tests has a docstring, so that a reader knows what would be lost without it."""
    files = [path for path in (ROOT / "tests").rglob("*.py") if path.stat().st_size]
    assert [path.name for path in files if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))] == []
