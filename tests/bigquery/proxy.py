"""What the client talks to: records what it sends, answers with faults when told to, else as the strict Google does."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.bigquery.google import Google, error
from tests.bigquery.storage import forwarded

__all__ = ["Fault", "Proxy", "error", "proxied"]

Fault = Callable[[str, str, dict[str, Any]], tuple[int, dict[str, Any]] | None]
"""(method, path, body) -> (status, answer), or None: pass the request on."""


@dataclass
class Proxy:
    """`url` and `storage` are what the client talks to.

    `requests`: every (method, path, body) since the last `clear`.
    """

    google: Google
    url: str = ""
    storage: str = ""
    requests: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    fault: Fault | None = None
    storage_refuses: list[str] = field(default_factory=list)
    """gRPC codes that the next calls of the Storage Read API are refused with."""

    def note(self, method: str) -> str | None:
        self.requests.append(("GRPC", method, {}))
        return self.storage_refuses.pop(0) if self.storage_refuses else None

    def jobs(self) -> list[dict[str, Any]]:
        """The configurations of the jobs sent, dry runs among them, each with its `id`."""
        found = []
        for method, path, body in self.requests:
            if "configuration" in body:
                found.append(body["configuration"] | {"id": body.get("jobReference", {}).get("jobId")})
            elif method == "POST" and path.split("?")[0].endswith("/queries"):
                query = {name: value for name, value in body.items() if name not in {"labels", "requestId"}}
                found.append({"query": query, "labels": body.get("labels"), "id": body.get("requestId")})
        return found

    def queries(self) -> list[dict[str, Any]]:
        return [
            job["query"] | {key: job.get(key) for key in ("labels", "dryRun", "id")}
            for job in self.jobs()
            if "query" in job
        ]


@contextmanager
def proxied(port: int, rpc: int) -> Iterator[Proxy]:
    """A proxy in front of the emulator's REST on `port` and gRPC on `rpc`, on free ports of its own."""
    proxy = Proxy(Google(port))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet: in two, the second waits for the first to be acknowledged

        def _pass_on(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            plain = gzip.decompress(raw) if self.headers.get("Content-Encoding") == "gzip" else raw
            body = _body(self.headers.get("Content-Type", ""), plain)
            proxy.requests.append((self.command, self.path, json.loads(json.dumps(body))))
            answer = proxy.fault(self.command, self.path, body) if proxy.fault else None
            if answer is not None:
                self._answer(answer[0], [("Content-Type", "application/json")], json.dumps(answer[1]).encode())
                return
            is_json = "json" in self.headers.get("Content-Type", "") and plain
            try:
                answered = proxy.google.answer(
                    self.command,
                    self.path,
                    {name.lower(): value for name, value in self.headers.items()},
                    json.dumps(body).encode() if is_json else plain,
                    body,
                )
            except OSError:
                self.close_connection = True  # the emulator is gone: so is this connection
                return
            self._answer(*answered)

        def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
            self.send_response(status)
            for name, value in headers:
                if name.lower() not in {"content-length", "transfer-encoding", "connection", "date", "server"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass_on  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            """Silent: what was asked stands in `requests`."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    proxy.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        with forwarded(rpc, proxy.note) as proxy.storage:
            yield proxy
    finally:
        server.shutdown()
        server.server_close()


def _body(kind: str, plain: bytes) -> dict[str, Any]:
    """What a request says in JSON; of a load job, what stands before its content."""
    if not plain:
        return {}
    if kind.startswith("multipart/related"):
        head = plain[: plain.index(b"\r\n--", 2)]
        return dict(json.loads(head.split(b"\r\n\r\n", 1)[1]))
    return dict(json.loads(plain)) if "json" in kind else {}
