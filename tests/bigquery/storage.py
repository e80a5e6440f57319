"""The Storage Read API in front of the emulator's: each call is recorded, and refused when a test says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc


class _Forward(grpc.GenericRpcHandler):
    def __init__(self, port: int, note: Callable[[str], str | None]) -> None:
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.max_receive_message_length", -1)])
        self.note = note

    def service(self, handler_call_details: Any) -> Any:
        method = handler_call_details.method

        def refused(context: Any) -> None:
            code = self.note(method)
            if code is not None:
                context.abort(grpc.StatusCode[code], f"refused: {code}")

        def one(request: bytes, context: Any) -> Any:
            refused(context)
            try:
                return self.channel.unary_unary(method)(request)
            except grpc.RpcError as error:
                context.abort(error.code(), error.details())

        def many(request: bytes, context: Any) -> Iterator[Any]:
            refused(context)
            try:
                yield from self.channel.unary_stream(method)(request)
            except grpc.RpcError as error:
                context.abort(error.code(), error.details())

        if method.endswith("/ReadRows"):
            return grpc.unary_stream_rpc_method_handler(many)
        return grpc.unary_unary_rpc_method_handler(one)


@contextmanager
def forwarded(port: int, note: Callable[[str], str | None]) -> Iterator[str]:
    """Where it listens. `note` is told of each call, and may name the status it is to be refused with."""
    server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.max_send_message_length", -1)])
    server.add_generic_rpc_handlers((_Forward(port, note),))
    mine = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{mine}"
    finally:
        server.stop(None)
