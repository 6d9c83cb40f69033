"""Fetching a data set from Kaggle, through the optional package kagglehub and into its own cache."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

from trainables.errors import InputError

KAGGLE = "kaggle:"
_SLUG = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
_SOURCE = re.compile(rf"{KAGGLE}({_SLUG}/{_SLUG})(/versions/[1-9][0-9]{{0,8}})?")
_TOKEN = "a token from kaggle.com/settings into KAGGLE_API_TOKEN or ~/.kaggle/access_token"


def fetch(source: str) -> Path:
    """Return the local folder of `kaggle:OWNER/NAME` or `kaggle:OWNER/NAME/versions/N`, downloading it at most once.

    What lies whole in kagglehub's cache (~/.cache/kagglehub, or KAGGLEHUB_CACHE) is used without any network: version
    N, or without N the newest one there. kagglehub alone would ask Kaggle for the current version each time: the data
    could change between two runs, and would be out of reach offline. A newer version is had by its N. Public data sets
    need no credentials. Raises InputError, one line without any key, for all that goes wrong.
    """
    if not (found := _SOURCE.fullmatch(source)):
        raise InputError(
            f"{source!r}: not a Kaggle data set; expected kaggle:OWNER/NAME or kaggle:OWNER/NAME/versions/N"
        )
    with contextlib.redirect_stdout(io.StringIO()):  # the import too: there kagglehub's log takes its stream for good
        return _download(source, found[1], found[2])


def _download(source: str, name: str, version: str | None) -> Path:
    try:
        import kagglehub
        import requests  # kagglehub's own dependency
    except ImportError as error:
        what = 'pip install "siamese-search[kaggle]", or from a clone .venv/bin/pip install ".[kaggle]"'
        raise InputError(f"{source}: needs the package kagglehub; {what}") from error
    if not _usable_credentials(kagglehub):
        raise InputError(
            f"{source}: the Kaggle credentials cannot be used; put {_TOKEN}, and mend or remove kaggle.json"
        )
    folder = Path(kagglehub.config.get_cache_folder()) / "datasets" / name
    try:
        return Path(kagglehub.dataset_download(name + (version or _newest_version(folder))))
    except requests.HTTPError as error:
        raise InputError(f"{source}: {_refusal(error.response)}") from error
    except requests.RequestException as error:
        what = f"cannot reach Kaggle, or the download broke off ({type(error).__name__}); check the network, try again"
        raise InputError(f"{source}: {what}") from error
    except OSError as error:
        what = f"cannot be written to {folder} ({error.strerror or type(error).__name__})"
        raise InputError(f"{source}: {what}; make room, or set KAGGLEHUB_CACHE to another folder") from error
    except Exception as error:  # zipfile, tarfile, zlib and kagglehub each raise their own
        what = f"kagglehub failed ({type(error).__name__}); if the download is damaged, remove {folder} and try again"
        raise InputError(f"{source}: {what}") from error


def _newest_version(folder: Path) -> str:
    """The part of a handle that names the highest version lying whole in the cache; empty if there is none."""
    marked = [mark.stem for mark in folder.glob("*.complete") if mark.stem.isdecimal()]
    whole = [int(stem) for stem in marked if (folder / "versions" / stem).is_dir()]
    return f"/versions/{max(whole)}" if whole else ""


def _usable_credentials(kagglehub: Any) -> bool:
    """Whether there are none, or an HTTP header can hold them; errors raised further down would quote the key."""
    try:
        found = kagglehub.config.get_kaggle_credentials()
        return found is None or all(re.fullmatch("[!-~]+", part) for part in vars(found).values() if part is not None)
    except Exception:  # ValueError, OSError, TypeError: by what is wrong with which file
        return False


def _refusal(response: Any) -> str:
    """What an HTTP error means; Kaggle may answer alike for a private data set and for one that does not exist."""
    status, first = response.status_code, [*response.history, response][0]
    if status == 404:
        return "no such data set or version on Kaggle (HTTP 404); check it at kaggle.com/datasets"
    if status not in (401, 403):
        return f"Kaggle answers HTTP {status}; try again later"
    if "Authorization" not in first.request.headers:
        return f"not public on Kaggle, or no such data set (HTTP {status}); check OWNER/NAME, or put {_TOKEN}"
    if status == 401:
        return f"Kaggle refuses the credentials (HTTP 401); put {_TOKEN}, or remove them for a public data set"
    return (
        "not open to this Kaggle account, or no such data set (HTTP 403); check OWNER/NAME, or accept its terms there"
    )
