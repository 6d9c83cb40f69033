"""Guards the pages: the README's length, a sentence a line, and that links, files and tests which they name are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OURS = r"(?:trainables|search_spaces|storage|analysis|studies|benchmarks|tests|docs)"
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [*ROOT.glob("*.md"), ROOT / "results" / "README.md", *(ROOT / "docs").rglob("*.md")]
)
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))


def text_of(page):
    return (ROOT / page).read_text(encoding="utf-8")


def test_the_readme_is_read_in_minutes():
    """At most 900 words and 120 lines; everything else is in docs/."""
    readme = text_of("README.md")
    assert len(readme.split()) <= 900
    assert len(readme.splitlines()) <= 120


def prose(page):
    """The lines of a page that are neither code, table, list nor heading."""
    outside = re.sub(r"^```.*?^```$", "", text_of(page), flags=re.MULTILINE | re.DOTALL)
    return [line for line in outside.splitlines() if line and not line.startswith((" ", "|", "#", "!", "- "))]


@pytest.mark.parametrize("page", [page for page in PAGES if page != "CHANGELOG.md"])
def test_a_line_is_a_sentence(page):
    """No line of prose has a second sentence, so that diffs stay readable."""
    second = re.compile(r"[a-z0-9)`%][.?!] [A-Z]")
    names = re.compile(r"\b(?:[A-Z]|al)\. |\*\*.*?\*\*|^\d\. ")  # initials, headings in bold, numbered steps
    assert [line for line in prose(page) if second.search(names.sub("", line))] == []


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    """Every relative link and every picture is a file, and every link within the page a heading of it."""
    headings = {
        re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", text_of(page), re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", text_of(page))) <= headings
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)[^)]*\)", text_of(page))
    assert [target for target in targets if not (ROOT / page).parent.joinpath(target).exists()] == []


@pytest.mark.parametrize("page", [page for page in PAGES if page != "CHANGELOG.md"])
def test_files_that_a_page_names_are_there(page):
    """Every path of ours in backticks exists; the changelog may name what was."""
    named = re.findall(rf"`({OURS}/[\w./-]+)`", text_of(page)) + re.findall(rf"`({OURS}/[\w/]+\.py)::", text_of(page))
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", ["docs/reliability.md", "docs/field.md", "docs/design/README.md"])
def test_tests_that_a_page_names_are_there(page):
    """Every test that is said to hold a promise is one, in the file that is said to have it."""
    names = set(re.findall(r"def (test_\w+)", "\n".join(path.read_text(encoding="utf-8") for path in TESTS)))
    assert set(re.findall(r"\b(test_\w+)\b(?!\.py)", text_of(page))) <= names
    files = set(re.findall(r"\b(test_\w+)\.py", text_of(page)))
    assert files <= {path.stem for path in TESTS}
    for file, name in re.findall(r"\b(test_\w+)\.py::(?:\w+::)?(test_\w+)", text_of(page)):
        [path] = [path for path in TESTS if path.stem == file]
        assert f"def {name}(" in path.read_text(encoding="utf-8"), f"{page}: {name} is not in {path.name}"
