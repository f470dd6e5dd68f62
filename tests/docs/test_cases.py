"""The cases in the README are what `earshot explain` prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline.cli.main import main

TEXT = (
    (Path(__file__).parents[2] / "README.md").read_text("utf-8").partition("\n## Ten cases\n")[2].partition("\n## ")[0]
)
CASES = re.findall(r'^   \$ earshot explain --text "(.*)"\n((?:   (?!```).*\n)*)', TEXT, re.MULTILINE)


def plain(line):
    """A line without the table's rules and with single blanks."""
    return " ".join(re.sub(r"[│┃]", " ", line).split())


def test_there_are_ten_right_and_wrong_ones():
    assert len(CASES) == 10
    said = re.findall(r"^\d+\. (Right|Half wrong|Wrong)", TEXT, re.MULTILINE)
    assert len(said) == 10
    assert {"Right", "Wrong"} <= set(said)


@pytest.mark.parametrize(("text", "shown"), CASES, ids=[text for text, _ in CASES])
def test_what_is_shown_is_what_comes_out(text, shown, tmp_path):
    (config,) = re.findall(r"^```yaml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    file = tmp_path / "earshot.yaml"
    file.write_text(config, "utf-8")
    done = CliRunner().invoke(main, ["explain", "--text", text, "--config", str(file)], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    printed = [plain(line) for line in done.output.splitlines()]
    assert shown.strip()
    missing = [line.strip() for line in shown.splitlines() if plain(line) not in printed]
    assert missing == [], f"paste what it prints now: {printed}"
