"""A proxy in front of the emulator: records what the client sends, answers with faults when told to, and inlines SQL
functions, since bqemulator 1.4.0 keeps CREATE TEMP FUNCTION as a routine it cannot call.
"""

from __future__ import annotations

import gzip
import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import sqlglot
from sqlglot import exp

from tests.waiting import HANG

Fault = Callable[[str, str, dict[str, Any]], tuple[int, dict[str, Any]] | None]
"""(method, path, body) -> (status, answer), or None: pass the request on."""


@dataclass
class Proxy:
    """`url` is what the client talks to. `requests`: every (method, path, body) since the last `clear`."""

    port: int
    url: str = ""
    requests: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    fault: Fault | None = None
    running: bool = False
    """Whether jobs the emulator has done are told as still running: it answers none before its job is done."""

    def jobs(self) -> list[dict[str, Any]]:
        """The configurations of the jobs sent."""
        return [
            body["configuration"] | {"id": body["jobReference"]["jobId"]}
            for *_, body in self.requests
            if "configuration" in body
        ]

    def queries(self) -> list[dict[str, Any]]:
        return [
            job["query"] | {key: job.get(key) for key in ("labels", "dryRun", "id")}
            for job in self.jobs()
            if "query" in job
        ]


def error(status: int, reason: str, message: str) -> tuple[int, dict[str, Any]]:
    """An answer as BigQuery words its errors."""
    said = {"reason": reason, "message": message, "domain": "global"}
    return status, {"error": {"code": status, "message": message, "errors": [said], "status": reason}}


@contextmanager
def proxied(port: int) -> Iterator[Proxy]:
    """A proxy in front of the emulator on `port`, on a free port of its own."""
    proxy = Proxy(port)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet: in two, the second waits for the first to be acknowledged

        def _pass_on(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            plain = gzip.decompress(raw) if self.headers.get("Content-Encoding") == "gzip" else raw
            is_json = "json" in self.headers.get("Content-Type", "") and plain
            body = json.loads(plain) if is_json else {}
            proxy.requests.append((self.command, self.path, json.loads(plain) if is_json else {}))
            answer = proxy.fault(self.command, self.path, body) if proxy.fault else None
            if answer is not None:
                self._answer(answer[0], [("Content-Type", "application/json")], json.dumps(answer[1]).encode())
                return
            query = body.get("configuration", {}).get("query")
            if query:
                query["query"] = inlined(query["query"])
            headers = {
                k: v
                for k, v in self.headers.items()
                if k.lower() not in {"content-length", "content-encoding", "accept-encoding"}
            }
            connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=HANG)
            try:
                connection.request(self.command, self.path, json.dumps(body).encode() if is_json else plain, headers)
                response = connection.getresponse()
                content = response.read()
            except OSError:
                self.close_connection = True  # the emulator is gone: so is this connection
                return
            finally:
                connection.close()
            if proxy.running and response.status == HTTPStatus.OK:
                content = _running(content)
            self._answer(response.status, response.getheaders(), content)

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
        yield proxy
    finally:
        server.shutdown()
        server.server_close()


def _running(content: bytes) -> bytes:
    answer = json.loads(content)
    if answer.get("kind") == "bigquery#job":
        answer["status"] = {"state": "RUNNING"}
    elif "jobComplete" in answer:
        answer = {"kind": answer["kind"], "jobReference": answer["jobReference"], "jobComplete": False}
    return json.dumps(answer).encode()


def inlined(text: str) -> str:
    """GoogleSQL without its leading CREATE TEMP FUNCTION statements: their bodies stand where they were called."""
    if "CREATE TEMP FUNCTION" not in text:
        return text
    functions: dict[str, tuple[dict[str, exp.DataType], exp.Expression]] = {}

    def expanded(node: exp.Expression) -> exp.Expression:
        if isinstance(node, exp.Anonymous) and node.name.lower() in functions:
            types, body = functions[node.name.lower()]
            arguments = [wrapped(argument.transform(expanded)) for argument in node.expressions]
            # The emulator gives a parameter the narrowest type that holds its value; a function's has its own.
            given = {
                name: exp.cast(argument, kind) if isinstance(argument, exp.Parameter) else argument
                for (name, kind), argument in zip(types.items(), arguments, strict=True)
            }

            def bound(inner: exp.Expression) -> exp.Expression:
                if isinstance(inner, exp.Column) and not inner.table and inner.name in given:
                    return given[inner.name].copy()
                return inner

            return wrapped(body.copy().transform(bound))
        return node

    def wrapped(node: exp.Expression) -> exp.Expression:
        simple = isinstance(node, exp.Column | exp.Parameter | exp.Literal | exp.Paren)
        return node if simple else exp.paren(node)

    *definitions, query = [statement for statement in sqlglot.parse(text, read="bigquery") if statement is not None]
    for definition in definitions:
        signature = definition.this
        types = {parameter.name: parameter.args["kind"] for parameter in signature.expressions}
        functions[signature.this.name.lower()] = (types, definition.expression.copy().transform(expanded))
    return query.transform(expanded).sql(dialect="bigquery", comments=False)
