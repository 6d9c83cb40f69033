"""Guards the notebooks in examples/: each runs as it stands, from its first cell to its last."""

import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
WIDGET = "application/vnd.jupyter.widget-view+json"
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


def shown(notebook, cell):
    """What the last output of the first code cell that has `cell` in it shows, by kind."""
    own = next(each for each in notebook.cells if each.cell_type == "code" and cell in each.source)
    return own.outputs[-1]["data"]


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=lambda path: path.stem)
def executed(request, tmp_path_factory):
    """A notebook in a folder of its own, run in a kernel of its own."""
    folder = tmp_path_factory.mktemp(request.param.stem)
    notebook = nbformat.read(shutil.copy(request.param, folder), as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    return request.param.stem, notebook


@pytest.mark.ray
@pytest.mark.slow
def test_a_notebook_runs_and_shows_what_it_says(executed):
    """No cell fails; a study has a bar while it runs and is shown as its page, a figure as a picture, a frame as a table."""
    name, notebook = executed
    ran = next(cell for cell in notebook.cells if cell.cell_type == "code" and "session.run(" in cell.source)
    assert "<iframe" in shown(notebook, "session.run(")["text/html"]
    assert any(WIDGET in output.get("data", {}) for output in ran.outputs)
    if name == "first_search":
        assert "image/png" in shown(notebook, "study.figures")
        assert "<table" in shown(notebook, "study.runs")["text/html"]
        assert shown(notebook, "len(study.trials)")["text/plain"] == "8"
        assert shown(notebook, "verifier.embed")["text/plain"].startswith("(3, ")
    else:
        assert "distance" in shown(notebook, "study.report.arms")["text/plain"]


def test_notebooks_are_kept_without_outputs():
    """What a notebook shows is made where it is run: a kept page would be out of date, and a megabyte."""
    for path in NOTEBOOKS:
        cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
        assert cells
        assert not any(cell.outputs or cell.execution_count for cell in cells)
