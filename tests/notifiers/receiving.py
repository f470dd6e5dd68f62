"""A receiver on loopback that does as told: answers, hangs, breaks off."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


@dataclass(frozen=True)
class Request:
    path: str
    headers: dict[str, str]
    body: bytes


class Receiving:
    """`answers` are used up one by one, each a status (or "hang", "break") and headers; then all are 200."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answers: list[tuple[int | str, dict[str, str]]] = []
        self.always: int | None = None
        self.echo = False
        self._ended = threading.Event()
        outer = self

        class Answers(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer._answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def _answer(self, asked: BaseHTTPRequestHandler) -> None:
        length = int(asked.headers.get("Content-Length", 0))
        body = asked.rfile.read(length)
        if len(body) < length:  # whoever sent it was killed meanwhile
            asked.close_connection = True
            return
        headers = {key.lower(): value for key, value in asked.headers.items()}
        self.requests.append(Request(asked.path, headers, body))
        status, more = self.answers.pop(0) if self.answers else (self.always or 200, {})
        if status == "hang":
            self._ended.wait(10)
        if isinstance(status, str):
            asked.close_connection = True
            return
        asked.send_response(status)
        said = f"you sent {asked.path} {dict(asked.headers)}".encode() if self.echo and status != 204 else b""
        for key, value in {**more, "Content-Length": str(len(said))}.items():
            asked.send_header(key, value)
        asked.end_headers()
        asked.wfile.write(said)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
