"""Prism, which answers as an OpenAPI file says and tells what of a request goes against it (npm: @stoplight/prism-cli).

A file is cut down to the addresses that a test asks for: Prism then starts in a second or two, whatever the file's size.
Google's discovery files are put into the form of OpenAPI first.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import yaml

from tests.connectors.kit import TOKEN_PATHS

PROGRAM = "prism"
GONE = {"deleted_at", "deleted_by", "hidden_at"}
SAID_AT = "2026-11-20T11:00:00.000Z"


def spec_of(path: Path, asked: Sequence[str]) -> tuple[dict[str, Any], str]:
    """Return the description with these addresses alone, and the path that all of them stand under."""
    spec = json.loads(path.read_text()) if path.suffix == ".json" else yaml.load(path.read_text(), yaml.CSafeLoader)
    if "discoveryVersion" in spec:
        spec = from_discovery(spec)
    _say_what_is_meant(spec)
    base = spec.get("basePath") or urlsplit(spec["servers"][0]["url"]).path
    return {**spec, "paths": {one: spec["paths"][one] for one in asked}}, base.rstrip("/")


def _say_what_is_meant(node: Any) -> None:
    """Add what descriptions leave out and Prism cannot guess: that times are times, and that a text is still there."""
    if isinstance(node, list):
        for one in node:
            _say_what_is_meant(one)
        return
    if not isinstance(node, dict):
        return
    named = node.get("properties")
    for name, schema in named.items() if isinstance(named, dict) else ():
        if isinstance(schema, dict) and "example" not in schema and "enum" not in schema:
            if schema.get("type") == "string" and re.search(r"(^|_)(at|published|updated|timestamp)$", name):
                schema["example"] = SAID_AT
            elif schema.get("type") == "boolean" and name in ("deleted", "removed", "hidden", "user_deleted"):
                schema["example"] = False
    for name in GONE & set(named if isinstance(named, dict) else ()):
        named.pop(name)
        node["required"] = [one for one in node.get("required", ()) if one != name]
    for one in node.values():
        _say_what_is_meant(one)


def from_discovery(spec: dict[str, Any]) -> dict[str, Any]:
    """Return Google's own description of an API as OpenAPI: its GET requests, and what they are answered with."""

    def methods(resources: dict[str, Any]) -> list[dict[str, Any]]:
        found = []
        for one in resources.values():
            found += [*one.get("methods", {}).values(), *methods(one.get("resources", {}))]
        return found

    def parameter(name: str, given: dict[str, Any]) -> dict[str, Any]:
        kept = {key: given[key] for key in ("type", "enum", "pattern") if key in given}
        kept |= {key: int(given[key]) for key in ("minimum", "maximum") if key in given}
        schema = {"type": "array", "items": kept} if given.get("repeated") else kept
        is_path = given["location"] == "path"
        return {"name": name, "in": given["location"], "required": is_path or given.get("required", False)} | {
            "schema": schema,
            **({"style": "form", "explode": False} if given.get("repeated") else {}),
        }

    paths = {}
    for one in methods(spec["resources"]):
        if one["httpMethod"] == "GET":
            answer = {"$ref": f"#/components/schemas/{one['response']['$ref']}"} if "response" in one else {}
            given = {**spec.get("parameters", {}), **one.get("parameters", {})}
            paths[f"/{spec['servicePath']}{one.get('flatPath', one['path'])}"] = {
                "get": {
                    "parameters": [parameter(name, value) for name, value in given.items()],
                    "responses": {"200": {"description": "", "content": {"application/json": {"schema": answer}}}},
                }
            }
    schemas = json.loads(json.dumps(spec["schemas"]).replace('"$ref": "', '"$ref": "#/components/schemas/'))
    for schema in schemas.values():
        for value in schema.get("properties", {}).values():
            value.pop("annotations", None)
    return {
        "openapi": "3.0.3",
        "info": {"title": spec["title"], "version": spec["version"]},
        "servers": [{"url": spec["rootUrl"].rstrip("/")}],
        "paths": paths,
        "components": {"schemas": schemas},
    }


class Prism(httpx.AsyncBaseTransport):
    """Sends what a connector asks to Prism, whatever the host; `said` is what was answered, in order."""

    def __init__(self, port: int, base: str) -> None:
        self._port = port
        self._base = base
        self._inner = httpx.AsyncHTTPTransport()
        self.said: list[httpx.Response] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST" and request.url.path.endswith(TOKEN_PATHS):
            return httpx.Response(200, json={"access_token": "token-of-the-test", "expires_in": 3600}, request=request)
        path = request.url.raw_path.decode().removeprefix(self._base)
        request.url = httpx.URL(f"http://127.0.0.1:{self._port}{path}")
        answer = await self._inner.handle_async_request(request)
        answer.request = request
        await answer.aread()
        self.said.append(answer)
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content, request=request)

    async def aclose(self) -> None:
        await self._inner.aclose()

    def violations(self, known: Sequence[str] = ()) -> list[str]:
        """Return what of our requests goes against the description, in Prism's words; not of what is `known` to."""
        found = []
        for answer in self.said:
            where = f"{answer.request.method} {answer.request.url.raw_path.decode()}"
            told = json.loads(answer.headers.get("sl-violations", "[]"))
            errors = [one for one in told if one["location"][0] == "request" and one["severity"] == "Error"]
            if answer.status_code >= 400:
                body = answer.json()
                errors += body.get("validation") or [{"location": [], "message": body.get("title")}]
            found += [
                f"{where}: {'.'.join(map(str, one['location']))} {one['message']}"
                for one in errors
                if not set(one["location"][-1:]) & set(known)
            ]
        return found


@contextlib.contextmanager
def answering(specs: Mapping[str, tuple[Path, Sequence[str]]], folder: Path) -> Iterator[dict[str, tuple[int, str]]]:
    """Yield, for each of these descriptions and addresses of it, the port where it is answered, and its base path.

    Skips where Prism is not installed.
    """
    program, node = shutil.which(PROGRAM), shutil.which("node")
    if program is None or node is None:
        pytest.skip("Prism is not installed: npm install --global @stoplight/prism-cli")
    bases, files = [], []
    for number, (path, asked) in enumerate(specs.values()):
        spec, base = spec_of(path, asked)
        files.append(folder / f"{number}.json")
        files[-1].write_text(json.dumps(spec, default=str))
        bases.append(base)
    server = subprocess.Popen(
        [node, str(Path(__file__).with_name("prism.cjs")), program, *map(str, files)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        ports = json.loads(server.stdout.readline())
        yield dict(zip(specs, zip(ports, bases, strict=True), strict=True))
    finally:
        server.stdin.close()
        server.wait(30)
        server.stdout.close()
