"""The real kagglehub against a stand-in for Kaggle on 127.0.0.1, which it takes for the proxy to all hosts."""

import base64
import hashlib
import io
import json
import os
import subprocess
import sys
import threading
import traceback
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainables.errors import InputError
from trainables.images.fetch import fetch
from trainables.images.readers import read_chips

ROOT = Path(__file__).resolve().parents[3]
SET = "kaggle:owner/some-chips"
KEY = "KGAT_a-key-that-nobody-may-see"
PIXELS = np.random.default_rng(0).integers(0, 256, (6, 75, 75, 3), dtype=np.uint8)
LABELS = np.array([0, 1, 1, 0, 1, 0])


def npz_set():
    file = io.BytesIO()
    np.savez(file, X_train=PIXELS, Y_train=LABELS)
    return {"input_data.npz": file.getvalue()}


def folder_set():
    files = {}
    for number, (pixels, label) in enumerate(zip(PIXELS, LABELS, strict=True)):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        files[f"chips/{label}/{number}.png"] = file.getvalue()
    return files


def zipped(files):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


class Kaggle(BaseHTTPRequestHandler):
    """Answers GetDataset with the current version, DownloadDataset with a redirect to the archive, as Kaggle does."""

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        method, site = self.path.rsplit("/", 1)[1], self.server
        site.asked.append((method, self.headers["Authorization"]))
        if site.status != 200:
            body = json.dumps({"code": site.status, "message": f"Denied\nto {asked['ownerSlug']}"}).encode()
            self.answer(site.status, body)
        elif method == "GetDataset":
            body = json.dumps({"currentVersionNumber": max(site.versions)}).encode()
            self.answer(200, body)
        elif asked["datasetVersionNumber"] in site.versions:
            place = f"http://localhost/storage/{asked['datasetVersionNumber']}"
            self.answer(302, b"", {"Content-Type": "text/plain", "Location": place})
        else:
            self.answer(404, b'{"code": 404, "message": "Not found"}')

    def do_GET(self):
        self.server.asked.append(("archive", self.headers["Authorization"]))
        body = self.server.versions[int(self.path.rsplit("/", 1)[1])]
        self.answer(200, body, {"Content-Type": "application/zip"} | self.server.headers)

    def answer(self, status, body, headers=None):
        usual = {"Content-Type": "application/json", "Content-Length": str(len(body)), "X-Kaggle-HubVersion": "99.0.0"}
        self.send_response(status)
        for name, value in (usual | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def serve():
    """Start servers on 127.0.0.1 that end with the test."""
    running = []

    def start():
        server = ThreadingHTTPServer(("127.0.0.1", 0), Kaggle)
        server.versions, server.status, server.headers, server.asked = {}, 200, {}, []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        running.append((server, thread))
        return server

    yield start
    for server, thread in running:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def away(monkeypatch, tmp_path):
    """An empty home and cache, no credentials, and no way out: every host is asked for at a closed port."""
    pytest.importorskip("kagglehub", reason='needs the extra: pip install "siamese-search[kaggle]"')
    for name in [name for name in os.environ if name.upper().startswith("KAGGLE")]:
        monkeypatch.delenv(name)
    for name in ("no_proxy", "NO_PROXY", "TBE_RUNTIME_ADDR"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "LOCALHOST")
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path / ".kaggle"))
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def kaggle(away, serve, monkeypatch):
    """A stand-in for Kaggle with version 3 of a data set."""
    server = serve()
    server.versions = {3: zipped(npz_set())}
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{server.server_port}")
    return server


def refused(source, said):
    """The message of the InputError that `source` gives: one line, beginning with the source, without the key."""
    with pytest.raises(InputError, match=said) as caught:
        fetch(source)
    message = str(caught.value)
    assert message.startswith(source)
    assert "\n" not in message
    assert KEY not in "".join(traceback.format_exception(caught.value))
    return message


@pytest.mark.parametrize("files", [npz_set, folder_set])
def test_a_set_is_downloaded_once_and_read(kaggle, tmp_path, files):
    """Both forms arrive in kagglehub's cache and read as they were packed; a second fetch asks Kaggle nothing."""
    kaggle.versions = {3: zipped(files())}
    folder = fetch(SET)
    assert folder == tmp_path / "cache" / "datasets" / "owner" / "some-chips" / "versions" / "3"
    chips = read_chips(folder)
    order = np.argsort(LABELS, kind="stable") if files is folder_set else np.arange(6)
    assert np.array_equal(chips.images, PIXELS[order])
    assert np.array_equal(chips.labels, LABELS[order])
    assert [method for method, _ in kaggle.asked] == ["GetDataset", "DownloadDataset", "archive"]
    kaggle.asked.clear()
    assert fetch(SET) == fetch(f"{SET}/versions/3") == folder
    assert kaggle.asked == []


def test_a_public_set_needs_no_credentials_and_a_token_is_sent_to_kaggle(kaggle, monkeypatch):
    """Without credentials no Authorization is sent and nothing is complained of; KAGGLE_API_TOKEN is sent as Bearer."""
    fetch(SET)
    assert {sent for _, sent in kaggle.asked} == {None}
    kaggle.asked.clear()
    kaggle.versions[4] = kaggle.versions[3]
    monkeypatch.setenv("KAGGLE_API_TOKEN", KEY)
    fetch(f"{SET}/versions/4")
    assert kaggle.asked[0] == ("DownloadDataset", f"Bearer {KEY}")


def test_the_newest_cached_version_stays_until_another_is_asked_for(kaggle):
    """A version published later changes nothing by itself; asked for by number it is fetched, and is then the newest."""
    old = fetch(SET)
    kaggle.versions |= {n: zipped({f"{n}/a.png": b""}) for n in (9, 10)}
    assert fetch(SET) == old
    for number in (10, 9):
        assert fetch(f"{SET}/versions/{number}").name == str(number)
    assert fetch(SET).name == "10"


def test_what_is_not_whole_in_the_cache_is_fetched_again(kaggle):
    """A folder without kagglehub's mark, as a broken-off run leaves, and a mark without its folder are not used."""
    folder = fetch(SET)
    mark = folder.parents[1] / "3.complete"
    (folder / "input_data.npz").write_bytes(b"half")
    mark.unlink()
    assert len(read_chips(fetch(SET))) == 6
    (folder.parents[1] / "7.complete").touch()
    assert fetch(SET) == folder


def test_standard_output_stays_clean(kaggle):
    """A program that fetches prints its own line alone; no log, no progress, no word of kagglehub's newer release."""
    program = f"from trainables.images.fetch import fetch; print(fetch({SET!r}))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=os.environ | {"KAGGLE_API_TOKEN": KEY, "KAGGLEHUB_VERBOSITY": "debug"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{fetch(SET)}\n"
    assert "outdated" not in done.stderr
    assert "Downloading" not in done.stderr


@pytest.mark.parametrize(
    ("status", "token", "said"),
    [
        (401, None, "not public on Kaggle, or no such data set.*KAGGLE_API_TOKEN"),
        (403, None, "not public on Kaggle, or no such data set.*KAGGLE_API_TOKEN"),
        (401, KEY, "refuses the credentials.*KAGGLE_API_TOKEN"),
        (403, KEY, "not open to this Kaggle account, or no such data set.*accept its terms"),
        (404, None, "no such data set or version.*kaggle.com/datasets"),
        (404, KEY, "no such data set or version.*kaggle.com/datasets"),
        (429, None, "try again later"),
        (500, KEY, "try again later"),
    ],
)
def test_a_refusal_is_one_clear_line(kaggle, monkeypatch, status, token, said):
    """Each refusal names its HTTP status and what would be right, by whether credentials were sent."""
    kaggle.status = status
    if token:
        monkeypatch.setenv("KAGGLE_API_TOKEN", token)
    assert f"HTTP {status}" in refused(SET, said)


def test_an_unknown_version_is_one_clear_line(kaggle):
    """A version that the data set does not have is not found, although the data set is."""
    fetch(SET)
    refused(f"{SET}/versions/8", "no such data set or version")


def test_without_network_only_the_cache_answers(away, serve, monkeypatch):
    """With no server there, a new set is one line about the network, and a cached one is found as before."""
    refused(SET, r"cannot reach Kaggle.*\(ProxyError\); check the network")
    server = serve()
    server.versions = {3: zipped(npz_set())}
    with monkeypatch.context() as patch:
        patch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
        folder = fetch(SET)
    assert fetch(SET) == fetch(f"{SET}/versions/3") == folder


def md5(data):
    return {"X-Goog-Hash": f"crc32c=AAAAAA==,md5={base64.b64encode(hashlib.md5(data).digest()).decode()}"}


@pytest.mark.parametrize(
    ("archive", "headers", "said"),
    [
        (b"no archive", {}, r"kagglehub failed \(ValueError\).*remove"),
        (zipped(npz_set())[:-30], {}, r"kagglehub failed \(ValueError\).*remove"),
        (zipped(npz_set()).replace(b"input_data.npz", b"input_dota.npz", 1), {}, r"failed \(BadZipFile\).*remove"),
        (zipped(npz_set()), md5(b"other"), r"kagglehub failed \(DataCorruptionError\).*remove"),
        (zipped(npz_set()), {"Content-Length": "1000000"}, r"broke off \(ChunkedEncodingError\).*try again"),
    ],
    ids=["no archive", "cut archive", "damaged archive", "wrong checksum", "broken connection"],
)
def test_a_bad_download_is_one_clear_line_and_is_not_kept(kaggle, archive, headers, said):
    """What cannot be unpacked says so and where to remove it; when Kaggle sends it whole, the same command works."""
    whole = kaggle.versions[3]
    kaggle.versions, kaggle.headers = {3: archive}, headers
    refused(SET, said)
    kaggle.versions, kaggle.headers = {3: whole}, {}
    assert len(read_chips(fetch(SET))) == 6


def test_a_cache_that_cannot_be_written_is_one_clear_line(kaggle, monkeypatch, tmp_path):
    """Where the cache folder cannot be made, the line names it and the variable that moves it."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "file"))
    assert str(tmp_path / "file") in refused(SET, r"cannot be written.*Not a directory.*KAGGLEHUB_CACHE")


@pytest.mark.parametrize(
    ("variables", "file"),
    [
        ({}, "{no json"),
        ({}, json.dumps({"username": KEY})),
        ({}, json.dumps({"username": "me", "key": 12345})),
        ({"KAGGLE_API_TOKEN": f"{KEY}\n{KEY}"}, None),
        ({"KAGGLE_API_TOKEN": KEY * 20}, None),
        ({"KAGGLE_USERNAME": "me", "KAGGLE_KEY": f"{KEY} \N{EURO SIGN}"}, None),
    ],
    ids=["no json", "no key", "number as key", "two lines", "too long for a file name", "not ASCII"],
)
def test_unusable_credentials_are_one_clear_line_without_them(kaggle, monkeypatch, tmp_path, variables, file):
    """Broken credential files and keys that no header can hold are refused before anything is sent."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    if file:
        (tmp_path / ".kaggle").mkdir()
        (tmp_path / ".kaggle" / "kaggle.json").write_text(file)
    refused(SET, "credentials cannot be used; put a token")
    assert kaggle.asked == []


@pytest.mark.parametrize(
    "handle",
    [
        *["", "owner", "owner/", "/name", "a/b/", "a/b/c", "a b/c", "a/b\n", "ä/b", "a\\b", "../..", "a/.."],
        *["a/b/versions", "a/b/versions/", "a/b/versions/x", "a/b/versions/0", "a/b/versions/-1", "a/b/3"],
        "https://www.kaggle.com/datasets/a/b",
    ],
)
def test_a_bad_handle_is_refused_before_kagglehub_is_loaded(monkeypatch, handle):
    """What is not OWNER/NAME says what would be right in one line, even where kagglehub is not installed."""
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(InputError, match="expected kaggle:OWNER/NAME") as caught:
        fetch(f"kaggle:{handle}")
    assert "\n" not in str(caught.value)


def test_without_the_extra_the_line_says_how_to_install_it(monkeypatch):
    """A good handle without kagglehub gives one line with both commands."""
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    message = refused(SET, "needs the package kagglehub")
    assert 'pip install "siamese-search[kaggle]"' in message
    assert '.venv/bin/pip install ".[kaggle]"' in message
