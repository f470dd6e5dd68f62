"""What tests of the command line share: one command run to its end, and a Hacker News on loopback."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from click.testing import CliRunner, Result

from pipeline.cli.main import main

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "pipeline"]


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a command; PYTHONPATH finds the project from any folder."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("EARSHOT_")}
    return {**kept, "PYTHONPATH": str(ROOT), "COLUMNS": "200", **more}


def earshot(*arguments: str, given: bytes = b"", cwd: Path | None = None, **more: str):
    """Run one command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments], input=given, capture_output=True, timeout=120, cwd=cwd, env=environment(**more)
    )


class HackerNews(ThreadingHTTPServer):
    """The search of Hacker News over texts written here. `most` hits an answer; `gate` holds answers back when closed.

    `times` are the epoch seconds at which something was written. `statuses` are given instead of an answer, one each.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, times: list[int], most: int = 50) -> None:
        self.hits = [
            {
                "objectID": str(number),
                "author": "kim",
                "title": f"Acme kettle, text {number}",
                "created_at_i": at,
            }
            for number, at in enumerate(sorted(times), 1)
        ]
        self.most = most
        self.asked = 0
        self.statuses: list[tuple[int, dict[str, str]]] = []
        self.gate_after: int | None = None
        self.gate = threading.Event()
        self.at_gate = threading.Event()
        super().__init__(("127.0.0.1", 0), _Search)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def close(self) -> None:
        self.gate.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, *_: object) -> None:
        """A command that is killed goes away in the middle of an answer."""


class _Search(BaseHTTPRequestHandler):
    server: HackerNews

    def do_GET(self) -> None:
        server = self.server
        server.asked += 1
        if server.gate_after is not None and server.asked > server.gate_after:
            server.at_gate.set()
            server.gate.wait(60)
        status, headers = server.statuses.pop(0) if server.statuses else (200, {})
        given = parse_qs(urlsplit(self.path).query)["numericFilters"][0]
        since, until = (int(number) for number in re.findall(r"\d+", given.replace("created_at_i", "")))
        found = [hit for hit in server.hits if since <= hit["created_at_i"] < until][::-1]
        body = json.dumps({"hits": found[: server.most], "nbHits": len(found)}).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Done:
    """What a command left behind, as `subprocess.run` tells it."""

    def __init__(self, result: Result) -> None:
        self.returncode, self.stdout, self.stderr = result.exit_code, result.stdout_bytes, result.stderr_bytes
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception


def inside(*arguments: str, given: bytes = b"", **more: str) -> Done:
    """Run one command in this process, which is quicker: for what does not depend on a process of its own."""
    absent = {key: None for key in os.environ if key.startswith("EARSHOT_")}
    return Done(CliRunner(env={**absent, **more}).invoke(main, arguments, input=given))
