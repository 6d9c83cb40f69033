"""What `studies.wandb_runs` writes of a study, offline: written as the driver does, and read back from its files."""

import json
import os
import struct
import subprocess
import sys
import time

from wandb.proto import wandb_internal_pb2

from tests.command import ROOT

KEY = "0123456789abcdef0123456789abcdef01234567"


def write_runs(folder, mode="offline", before="", **variables):
    """Run the writer as the driver does, its waiting shortened by `before`; return what it said."""
    code = f"import sys, studies.wandb_runs as runs\n{before}\nsys.exit(runs.main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), mode],
        cwd=ROOT,
        env=os.environ | {"WANDB_API_KEY": KEY} | variables,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def records(path):
    """The records of a .wandb file: LevelDB's log format behind seven bytes of header."""
    content, place, part = path.read_bytes(), 7, b""
    while place + 7 <= len(content):
        if 32768 - place % 32768 < 7:  # a block's end too short for a header is filled with zeros
            place += 32768 - place % 32768
            continue
        _, length, kind = struct.unpack("<IHB", content[place : place + 7])
        part += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            record = wandb_internal_pb2.Record()
            record.ParseFromString(part)
            part = b""
            yield record


def read_back(folder):
    """Each offline run; wandb's own service may still be writing for a moment when the process has ended."""
    deadline = time.monotonic() + 10
    found = parsed(folder)
    while any(run["exit"] is None for run in found.values()) and time.monotonic() < deadline:
        time.sleep(0.2)
        found = parsed(folder)
    return found


def parsed(folder):
    """Each offline run by its id: what its start says, its config, history, summary, artefacts and exit code."""
    found = {}
    for path in sorted((folder / "wandb").glob("offline-run-*/*.wandb")):
        run = {"config": {}, "history": [], "summary": {}, "artefacts": set(), "exit": None}
        for record in records(path):
            match record.WhichOneof("record_type"):
                case "run":
                    start = record.run
                    run |= {"group": start.run_group, "name": start.display_name, "job": start.job_type}
                    run["tags"], run["project"], run_id = list(start.tags), start.project, start.run_id
                    run["config"] |= {item.key: json.loads(item.value_json) for item in start.config.update}
                case "history":
                    items = {".".join(i.nested_key) or i.key: json.loads(i.value_json) for i in record.history.item}
                    run["history"].append(items)
                case "summary":
                    for item in record.summary.update:
                        run["summary"][".".join(item.nested_key) or item.key] = json.loads(item.value_json)
                case "artifact":
                    run["artefacts"].add(record.artifact.type)
                case "exit":
                    run["exit"] = record.exit.exit_code
        assert run_id not in found, "one run has two folders"
        found[run_id] = run
    return found
