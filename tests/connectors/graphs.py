"""A Graph API of our own: listings in parts, newest first; it demands a token, and tells of its errors as Meta does."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import timedelta
from typing import Any

import httpx

from tests.connectors.kit import NOW, SECRET

PROOF = hmac.new(SECRET.encode(), SECRET.encode(), hashlib.sha256).hexdigest()

Row = dict[str, Any]


def at(seconds: float) -> str:
    """A time as Meta writes it, so many seconds before the tests' now."""
    return (NOW - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S+0000")


def error(code: int, subcode: int | None = None, message: str = "(#) no", **more: Any) -> Row:
    found = {"message": message, "type": "OAuthException", "code": code, "fbtrace_id": "Ax", **more}
    return {"error": found if subcode is None else {**found, "error_subcode": subcode}}


class Graph:
    """Answers by the last parts of the path. `parts` is how many objects an answer has at the most."""

    def __init__(self, listings: dict[str, Any], *, parts: int = 100) -> None:
        self.listings = listings
        self.parts = parts
        self.asked: list[httpx.Request] = []
        self.fails: dict[str, tuple[int, Row]] = {}
        self.headers: dict[str, str] = {}

    def paths(self) -> list[str]:
        return [request.url.path.split("/", 2)[2] for request in self.asked]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        path = request.url.path.split("/", 2)[2]
        assert request.headers["authorization"] == f"Bearer {SECRET}"
        assert SECRET not in str(request.url)
        if path in self.fails:
            status, body = self.fails[path]
            return httpx.Response(status, json=body, headers=self.headers)
        found = self.listings.get(path, [])
        if isinstance(found, dict):
            return httpx.Response(200, json=found, headers=self.headers)
        start = int(request.url.params.get("after", "0"))
        here = found[start : start + self.parts]
        body: Row = {"data": here}
        if start + self.parts < len(found):
            following = request.url.copy_merge_params({"after": str(start + self.parts), "access_token": SECRET})
            body["paging"] = {"cursors": {"after": str(start + self.parts)}, "next": str(following)}
        return httpx.Response(200, content=json.dumps(body), headers=self.headers)
