"""Guards best.json and start.json: what is written comes back, and what `--start` is told of a file that is none."""

import pytest

from storage.best_json import Best, BestEpoch, read_best, write_best, write_start
from storage.whole_files import read_json, write_json
from trainables.config import TrialConfig
from trainables.errors import InputError

CONFIG = TrialConfig().override({"optimiser.lr": 0.02})


@pytest.mark.parametrize("val", [None, BestEpoch(0.2, 0.9, 0.8), BestEpoch(0.2)])
def test_what_is_written_comes_back(tmp_path, val):
    """A best.json is read back as the value it was written from; its names are those of results/README.md."""
    best = Best(CONFIG, 3, "cosine", val, True, "proven")
    write_best(tmp_path / "best.json", best)
    assert list(read_json(tmp_path / "best.json")) == ["config", "trial", "arm", "val", "adopted", "why"]
    assert read_best(tmp_path / "best.json") == best


def test_a_config_alone_is_enough(tmp_path):
    """A start.json, or a file written by hand, has the config and nothing more: it is adopted by nobody."""
    write_start(tmp_path / "start.json", CONFIG)
    assert read_json(tmp_path / "start.json") == {"config": CONFIG.to_dict()}
    assert read_best(tmp_path / "start.json") == Best(CONFIG)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"adopted": True}, "has no 'config'; give the best.json of a study folder"),
        ({"config": {"optimiser": {"lr": -1}}}, r"optimiser\.lr is -1"),
        ({"config": [1]}, r"config is \[1\], expected dict"),
        ({"config": {}, "adopted": "yes"}, "adopted is 'yes', expected bool"),
    ],
)
def test_what_cannot_be_trained_is_named(tmp_path, content, said):
    """The error names the file and the value that is wrong."""
    write_json(tmp_path / "best.json", content)
    with pytest.raises(InputError, match=f"{tmp_path}/best.json: {said}"):
        read_best(tmp_path / "best.json")
