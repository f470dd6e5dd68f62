"""`earshot import`: JSON Lines to the topic mentions."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from pipeline.contract import codec
from pipeline.contract.events import Mention
from pipeline.runtime.reading import Reader

pytestmark = pytest.mark.kafka


def earshot(*arguments: str, given: bytes = b"", cwd=None):
    return subprocess.run(
        [sys.executable, "-m", "pipeline", *arguments],
        input=given,
        capture_output=True,
        timeout=120,
        cwd=cwd,
        check=False,
    )


def read_mentions(client: dict[str, str]) -> list[Mention]:
    with Reader(client, ["mentions"], "beginning") as reader:
        return [codec.decode(Mention, message.value()) for message in reader.until_end()]


def test_good_lines_are_on_the_topic_and_bad_ones_are_reported_with_their_number(own_kafka, tmp_path):
    lines = [json.dumps({"id": n, "text": f"text {n}", "conversation": "thread"}).encode() for n in range(1200)]
    lines[7] = b'{"id": "no text"}'
    lines[9] = b"\xff\xfe"
    lines[11] = b"[]"
    lines[13] = b""
    file = tmp_path / "mentions.jsonl"
    file.write_bytes(b"\n".join(lines))
    done = earshot("import", "--broker", own_kafka["bootstrap.servers"], "--source", "shop", "--backfill", str(file))
    said = done.stderr.decode()
    assert done.returncode == 1, said
    assert "line 8: `text` is missing" in said
    assert "line 10: not UTF-8" in said
    assert "line 12: expected a JSON object" in said
    assert "1196 mentions written" in said
    found = read_mentions(own_kafka)
    assert {mention.source for mention in found} == {"shop"}
    assert [mention.native_id for mention in found] == [str(n) for n in range(1200) if n not in (7, 9, 11, 13)]
    assert all(mention.backfill for mention in found)


def test_standard_input_is_read_and_a_broker_that_does_not_answer_is_named(own_kafka):
    done = earshot(
        "import", "--broker", own_kafka["bootstrap.servers"], "--source", "shop", given=b'{"id": "a", "text": "one"}'
    )
    assert done.returncode == 0, done.stderr
    assert [mention.text for mention in read_mentions(own_kafka)] == ["one"]
    absent = earshot("import", "--broker", "127.0.0.1:1", given=b'{"id": "a", "text": "one"}')
    assert absent.returncode != 0
    assert "Traceback" not in absent.stderr.decode()
