"""Guards that a chain's record is read as it was written, value by value."""

import pytest

from storage.chain_json import CHAIN, ChainRecord, Step, read_chain, read_chains, write_chain
from storage.whole_files import read_json, write_json
from trainables.config import TrialConfig
from trainables.errors import InputError

STEP = Step("lr", 1, "s", False, True, "lr: keep", TrialConfig().override({"epochs": 7}), "best.json", 3.5)
RECORD = ChainRecord({"seed": 0, "trials": None}, (STEP,), "2026-01-01T00:00:00+00:00")


def test_a_chain_comes_back_as_it_was_written(tmp_path):
    """Its steps too, with their configs; a step of an older version, which did not count seconds, took none."""
    write_chain(tmp_path, RECORD)
    assert read_chain(tmp_path) == RECORD
    content = read_json(tmp_path / CHAIN)
    del content["steps"][0]["seconds"]
    write_json(tmp_path / CHAIN, content)
    assert read_chain(tmp_path).steps[0].seconds == 0.0


@pytest.mark.parametrize(
    ("value", "said"),
    [({"round": "2"}, r"steps\[0\].round is '2', expected int"), ({"config": {"epochs": -1}}, "epochs is -1")],
)
def test_a_damaged_step_is_refused_by_name(tmp_path, value, said):
    """The line names the file and the value that is wrong."""
    write_chain(tmp_path, RECORD)
    content = read_json(tmp_path / CHAIN)
    content["steps"][0] |= value
    write_json(tmp_path / CHAIN, content)
    with pytest.raises(InputError, match=rf"chain.json: .*{said}.*; it was damaged or edited"):
        read_chain(tmp_path)


def test_a_damaged_chain_is_in_the_way_of_those_that_might_be_it(tmp_path):
    """Without a name any chain may be the one to resume; another name's is read all the same."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_chain(tmp_path / name, RECORD)
    (tmp_path / "one" / CHAIN).write_text("{", encoding="utf-8")
    assert read_chains(tmp_path, "two") == {"two": RECORD}
    assert read_chains(tmp_path, "three") == {}
    for name in (None, "one"):
        with pytest.raises(InputError, match=r"one/chain\.json: not valid JSON"):
            read_chains(tmp_path, name)


def test_a_chain_of_another_schema_is_refused(tmp_path):
    """What a later version wrote is not guessed at."""
    write_chain(tmp_path, RECORD)
    write_json(tmp_path / CHAIN, read_json(tmp_path / CHAIN) | {"schema": 2})
    with pytest.raises(InputError, match=r"chain\.json: schema 2; this version reads schema 1"):
        read_chain(tmp_path)
