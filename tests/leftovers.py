"""What a search leaves outside its results folder."""

import re
from pathlib import Path


def left(root):
    """What is in home and temporary folder, and the processes that know the latter; not the caches of other libraries."""
    others = re.compile(r"\.cache|\.config|torchinductor_.*|tmp.*wandb-(media|artifacts)")
    found = (path for name in ("home", "tmp") for path in (root / name).iterdir())
    files = [str(path) for path in found if not others.fullmatch(path.name)]
    for path in Path("/proc").glob("[0-9]*"):
        try:
            opened = [str(file.readlink()) for file in (path / "fd").iterdir()]
            command = (path / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        files += [command] if any(str(root / "tmp") in name for name in (*opened, command)) else []
    return files
