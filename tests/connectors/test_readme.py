"""The four steps of connectors/README.md, carried out as they stand there, in a copy of the project."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.cli.running import ROOT, environment

PAGE = (ROOT / "connectors" / "README.md").read_text("utf-8")
STEPS = PAGE.partition("## Write a connector")[2].partition("\n## ")[0]
SITE = "https://forum.example.org"


def files() -> dict[str, str]:
    """Return the files of the steps: a path on a line of its own, then a block."""
    return dict(re.findall(r"^`([\w/.]+)`:\n\n```\w+\n(.*?)^```", STEPS, re.MULTILINE | re.DOTALL))


def commands() -> list[str]:
    """Return the lines of all shell blocks, in their order."""
    return [
        line
        for block in re.findall(r"^```sh\n(.*?)^```", STEPS, re.MULTILINE | re.DOTALL)
        for line in block.splitlines()
    ]


class Forum(BaseHTTPRequestHandler):
    """The forum of the README: its example page, to whoever has the token."""

    def do_GET(self) -> None:
        is_let_in = self.headers.get("Authorization") == "Bearer a-token"
        body = files()["connectors/my_forum/example/page.json"].encode() if is_let_in else b'{"error": "bad token"}'
        self.send_response(200 if is_let_in else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def forum():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Forum)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def project(tmp_path) -> Path:
    """A copy of the project, with `earshot`, `python` and `pytest` as the steps call them."""
    copy = tmp_path / "project"
    for name in ("connectors", "pipeline", "tests"):
        shutil.copytree(ROOT / name, copy / name)  # with what is compiled already: it is as old as its source
    shutil.copy(ROOT / "pyproject.toml", copy)
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, words in (("earshot", "-m pipeline"), ("python", ""), ("pytest", "-m pytest -p no:cacheprovider")):
        (tools / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        (tools / name).chmod(0o755)
    return copy


def test_the_four_steps_work_as_they_are_written(project, forum):
    written = files()
    assert set(written) == {
        "earshot.yaml",
        "connectors/my_forum/connector.py",
        "connectors/my_forum/example/page.json",
        "connectors/my_forum/example/empty.json",
    }
    steps = commands()
    assert len(steps) == 6
    said = {}
    for number, step in enumerate(steps):
        if number == 1:  # step 2 is writing, after the first command has made the folder
            assert (project / "connectors/my_forum/README.md").exists()
            for path, content in written.items():
                (project / path).write_text(
                    content.replace(SITE, forum) if path == "earshot.yaml" else content, "utf-8"
                )
        done = subprocess.run(
            ["/bin/sh", "-c", step],
            cwd=project,
            capture_output=True,
            timeout=120,
            env=environment(
                PATH=f"{project.parent / 'bin'}:/usr/bin:/bin", PYTHONPATH=str(project), MY_FORUM_TOKEN="a-token"
            ),
        )
        said[step] = done.stdout.decode()
        assert done.returncode == 0, f"{step}\n{done.stdout.decode()[-2000:]}{done.stderr.decode()[-2000:]}"
    promises, parsed, check = (said[steps[at]] for at in (1, 2, 4))
    assert re.search(r"\b[3-9]\d passed", promises)
    assert parsed.count('"id":"my-forum:') == 2
    assert check.startswith("forum: it answers with 2 mentions")
    assert "[my-forum](my_forum/README.md)" in (project / "connectors" / "README.md").read_text("utf-8")


def test_the_readme_names_only_files_and_methods_that_there_are():
    from connectors import base, http, reading

    for path in re.findall(r"`((?:tests|connectors|pipeline)/[\w/.]+\.\w+)`", PAGE):
        assert "my_forum" in path or (ROOT / path).exists(), path
    for link in re.findall(r"\]\(([\w/.]+)\)", PAGE):
        assert (ROOT / "connectors" / link).exists(), link
    for name in ("walk", "documents"):
        assert hasattr(reading, name)
    assert hasattr(base.Connector, "cursor_at")
    assert hasattr(base.Connector, "time_of")
    assert hasattr(base.Connector, "page")
    assert http.Http
