"""A stand-in for Weights & Biases on loopback: it takes runs and their files, or fails on purpose."""

import contextlib
import gzip
import http.server
import json
import re
import threading


class Server:
    """Takes what a run's life asks for. `behaviour`: take everything, refuse everything (500), or answer nonsense."""

    def __init__(self, behaviour="take"):
        self.behaviour, self.asked = behaviour, 0
        self.runs, self.history = {}, {}
        handler = type("Handler", (_Handler,), {"server_side": self})
        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.address = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def answer(self, operation, values):
        """Return the data of a GraphQL operation, as far as wandb reads it."""
        match operation:
            case "RunResumeStatus":
                return {"model": None}
            case "UpsertBucket":
                self.runs.setdefault(values["name"], {}).update({k: v for k, v in values.items() if v is not None})
                project = {"id": "UA==", "name": values["project"], "entity": {"id": "RQ==", "name": "me"}}
                bucket = {"id": "QQ==", "name": values["name"], "displayName": values["displayName"], "config": "{}"}
                bucket |= {"description": None, "sweepName": None, "historyLineCount": 0, "project": project}
                return {"upsertBucket": {"bucket": bucket, "inserted": True}}
            case "CreateRunFiles" if self.behaviour == "take":
                files = [{"name": name, "uploadUrl": f"{self.address}/upload/{name}"} for name in values["files"]]
                return {"createRunFiles": {"runID": "QQ==", "uploadHeaders": [], "files": files}}
        return {}

    def stream(self, run, content):
        """Take a part of a run's stream of history lines."""
        part = json.loads(content).get("files", {}).get("wandb-history.jsonl")
        if part:
            lines = self.history.setdefault(run, {})
            for number, line in enumerate(part["content"], start=part["offset"]):
                lines[number] = json.loads(line)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.server_side.asked += 1
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Content-Encoding") == "gzip":
            content = gzip.decompress(content)
        if self.server_side.behaviour == "refuse":
            self._send(500, {})
        elif self.path == "/graphql":
            asked = json.loads(content)
            operation = re.search(r"(?:query|mutation)\s+(\w+)", asked["query"]).group(1)
            self._send(200, {"data": self.server_side.answer(operation, asked.get("variables") or {})})
        else:
            stream = re.fullmatch(r"/files/[^/]+/[^/]+/([^/]+)/file_stream", self.path)
            if stream:
                self.server_side.stream(stream.group(1), content)
            self._send(200, {})

    do_GET = do_PUT = do_POST  # noqa: N815

    def _send(self, status, content):
        body = json.dumps(content).encode()
        with contextlib.suppress(OSError):  # wandb does not always wait for the answer
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_):
        pass
