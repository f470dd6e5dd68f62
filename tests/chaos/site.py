"""A site of Hacker News' shape on loopback that misbehaves, and a receiver of alerts that fails at times."""

from __future__ import annotations

import json
import random
import re
import threading
import time
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.chaos.load import SITE_BRAND, Truth
from tests.chaos.texts import a_text


class _Quiet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        """Send a whole answer."""
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: object) -> None:
        """Say nothing of clients that were killed in the middle of an answer."""


class Site(threading.Thread):
    """New items at `rate` a second. Answers repeat and reorder; some items come late, some are withdrawn."""

    def __init__(self, truth: Truth, rate: float, seed: int) -> None:
        super().__init__(name="site", daemon=True)
        self.truth = truth
        self.rate = rate
        self.stop = threading.Event()
        self.trouble = 0.0  # share of requests that fail
        self._chance = random.Random(seed)
        self._items: dict[int, dict[str, Any]] = {}
        self._lock = threading.Lock()
        self.answers: defaultdict[str, int] = defaultdict(int)
        site = self

        class Answers(_Quiet):
            def do_GET(self) -> None:
                site._answer(self)

        self._server = _Server(("127.0.0.1", 0), Answers)
        self.address = f"http://127.0.0.1:{self._server.server_port}/api/v1"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()

    def run(self) -> None:
        number = 0
        while not self.stop.wait(1 / self.rate):
            number += 1
            # Some are in the index only seconds after their time.
            late = self._chance.uniform(0, 8) if self._chance.random() < 0.1 else 0.0
            item = {
                "objectID": str(number),
                "created_at_i": int(time.time() - late),
                "author": f"u{self._chance.randint(0, 99)}",
                "comment_text": a_text(self._chance, SITE_BRAND, storm=False, tag=f"item {number}"),
                "story_id": self._chance.randint(1, 50) + 1_000_000,
            }
            key = (f"hackernews:{number}", 0, "live")
            self.truth.add(key, relevant=True)
            with self._lock:
                self._items[number] = item
                if number > 20 and self._chance.random() < 0.02:
                    gone = number - self._chance.randint(0, 20)
                    if self._items.pop(gone, None):
                        with self.truth.lock:
                            self.truth.maybe.add((f"hackernews:{gone}", 0, "live"))
                self._items.pop(number - 5000, None)

    def _answer(self, asked: _Quiet) -> None:
        chance = self._chance.random()
        if chance < self.trouble:
            kind = self._chance.choice(("500", "429", "timeout", "truncated", "nonsense"))
            self.answers[kind] += 1
            self._trouble(asked, kind)
            return
        self.answers["200"] += 1
        asked.answer(200, self._body(asked.path))

    def _trouble(self, asked: _Quiet, kind: str) -> None:
        if kind == "500":
            asked.answer(503, b"{}")
        elif kind == "429":
            asked.answer(429, b"{}", Retry_After="1")
        elif kind == "nonsense":
            asked.answer(200, b"<html>back soon</html>")
        else:
            body = self._body(asked.path)
            asked.send_response(200)
            asked.send_header("Content-Length", str(len(body)))
            asked.end_headers()
            if kind == "truncated":
                asked.wfile.write(body[: len(body) // 2])
            else:
                self.stop.wait(5)
            asked.close_connection = True

    def _body(self, path: str) -> bytes:
        filters = parse_qs(urlsplit(path).query).get("numericFilters", [""])[0]
        since, until = (int(number) for number in re.findall(r"\d+", filters)[:2])
        with self._lock:
            found = [item for item in self._items.values() if since <= item["created_at_i"] < until]
        count = len(found)
        found = sorted(found, key=lambda item: -item["created_at_i"])[:1000]
        found += [self._chance.choice(found) for _ in range(min(3, count))]  # some come twice in one answer
        if self._chance.random() < 0.5:
            self._chance.shuffle(found)
        return json.dumps({"hits": found, "nbHits": count}).encode()

    def close(self) -> None:
        """Listen no more."""
        self.stop.set()
        self._server.shutdown()
        self._server.server_close()


class Receiver:
    """Takes signed webhooks. `trouble` is the share of requests that it does not confirm; some of these it has taken."""

    def __init__(self, seed: int) -> None:
        self.trouble = 0.0
        self.bodies: defaultdict[str, list[bytes]] = defaultdict(list)  # confirmed, by webhook-id
        self.seen: defaultdict[str, list[bytes]] = defaultdict(list)  # also what was not confirmed
        self._chance = random.Random(seed)
        receiver = self

        class Answers(_Quiet):
            def do_POST(self) -> None:
                receiver._take(self)

        self._server = _Server(("127.0.0.1", 0), Answers)
        self.address = f"http://127.0.0.1:{self._server.server_port}/hook"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()

    def _take(self, asked: _Quiet) -> None:
        body = asked.rfile.read(int(asked.headers.get("Content-Length", 0)))
        key = asked.headers.get("webhook-id", "")
        self.seen[key].append(body)
        if self._chance.random() < self.trouble:
            kind = self._chance.choice(("500", "429", "gone"))
            if kind == "gone":  # taken, but the answer is lost
                self.bodies[key].append(body)
                asked.close_connection = True
                return
            asked.answer(int(kind), b"", **({"Retry_After": "1"} if kind == "429" else {}))
            return
        self.bodies[key].append(body)
        asked.answer(204, b"")

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()
