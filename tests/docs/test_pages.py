"""What the pages say is so: commands and options exist, examples are valid, the picture is the map, links lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from pipeline.cli.main import COMMANDS, main
from pipeline.config.model import Config
from pipeline.runtime.declared import mermaid

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page
    for page in (
        *ROOT.glob("*.md"),
        *ROOT.glob("pipeline/**/*.md"),
        *ROOT.glob("connectors/*.md"),
        *ROOT.glob("deploy/*.md"),
    )
    if "template" not in page.parts
)
ids = [str(page.relative_to(ROOT)) for page in PAGES]
every_page = pytest.mark.parametrize("page", PAGES, ids=ids)


def blocks(page: Path, *languages: str) -> list[str]:
    """Return the fenced blocks of these languages."""
    found = re.findall(r"^```(\w*)\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return [text for language, text in found if language in languages]


def commands(page: Path) -> list[list[str]]:
    """Return the calls of earshot in a page's shell blocks and in its inline code."""
    lines = [line for block in blocks(page, "sh", "bash", "console", "") for line in block.splitlines()]
    lines += re.findall(r"`(earshot [^`]+)`", page.read_text("utf-8"))
    found = []
    for line in lines:
        call = re.match(r"\s*(?:\$ )?(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?earshot (.*)", line)
        if call and not call[1].startswith("#"):
            words = shlex.split(re.split(r"\s+#|\s[|>&;]", call[1])[0].replace("…", ""), posix=True)
            found.append(words)
    return found


@every_page
def test_commands_and_their_options_exist(page):
    for words in commands(page):
        command, context = main, click.Context(main, info_name="earshot")
        while words and isinstance(command, click.Group) and not words[0].startswith("-"):
            name = words.pop(0).split("|")[0]
            inner = command.get_command(context, name)
            assert inner is not None, f"{page.name}: earshot has no command {name}"
            command, context = inner, click.Context(inner, parent=context, info_name=name)
        options = {option for parameter in command.get_params(context) for option in parameter.opts}
        wrong = [word for word in words if re.match(r"--?[a-z]", word) and word.split("=")[0] not in options]
        assert wrong == [], f"{page.name}: {context.command_path} has no {wrong}"


def test_the_readme_names_every_command():
    text = (ROOT / "README.md").read_text("utf-8")
    assert [name for name in COMMANDS if f"earshot {name}" not in text] == []


@every_page
def test_configurations_that_are_shown_are_right(page, tmp_path, monkeypatch):
    monkeypatch.setenv("PAGER_SECRET", "whsec_" + "c2VjcmV0" * 4)
    for number, block in enumerate(blocks(page, "yaml")):
        if "my-forum" in block:  # made by the page's own steps, which a test of connectors carries out
            continue
        if re.search(r"^version: 1$", block, re.MULTILINE):
            file = tmp_path / f"{number}.yaml"
            file.write_text(block, "utf-8")
            done = CliRunner().invoke(main, ["config", "check", "--config", str(file)])
            assert done.exit_code == 0, done.output


@every_page
def test_python_that_is_shown_compiles(page):
    for block in blocks(page, "python"):
        compile(block, str(page), "exec")


@every_page
def test_links_inside_the_project_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#:\s]+)(#[^)\s]*)?\)", page.read_text("utf-8"))
    assert [link for link, _ in links if not (page.parent / link).exists()] == []


def test_the_picture_in_the_readme_is_the_map():
    (picture,) = blocks(ROOT / "README.md", "mermaid")
    assert picture.strip() == mermaid(Config(version=1)), "paste what `earshot topics show --format mermaid` prints"


def test_targets_that_the_pages_name_are_targets_of_make():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for page in PAGES:
        text = page.read_text("utf-8")
        named = set(re.findall(r"`make ([a-z-]+)", text)) | {
            name for block in blocks(page, "sh", "") for name in re.findall(r"^make ([a-z-]+)", block, re.MULTILINE)
        }
        assert named <= targets, page.name
