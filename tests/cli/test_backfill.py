"""`earshot backfill`: a source's past, once each, whatever happens on the way."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from datetime import UTC, datetime

import pytest

from pipeline.contract import codec
from pipeline.contract.events import Checkpoint, Mention
from pipeline.runtime.reading import Reader
from tests.cli.running import COMMAND, HackerNews, earshot, environment

BEGIN = datetime(2026, 10, 1, tzinfo=UTC)
EPOCH = int(BEGIN.timestamp())
DAY = 86_400
SINCE = "2026-10-01T00:00:00Z"


@pytest.fixture
def site():
    """300 texts over thirty days, and one just before."""
    server = HackerNews([EPOCH - 60, *(EPOCH + n * DAY // 10 for n in range(300))])
    yield server
    server.close()


@pytest.fixture
def config(site, tmp_path):
    file = tmp_path / "earshot.yaml"
    file.write_text(
        "version: 1\nsources:\n"
        f"  hn: {{type: hackernews, query: acme, base_url: '{site.url}', overlap: 60s}}\n"
        "  feed: {type: rss, url: 'http://127.0.0.1:1/feed'}\n"
        "  file: {type: jsonl, path: /tmp/none.jsonl}\n",
        "utf-8",
    )
    return str(file)


def mentions(client) -> list[Mention]:
    with Reader(client, ["mentions"], "beginning") as reader:
        return [codec.decode(Mention, message.value()) for message in reader.until_end()]


def checkpoints(client) -> dict[str, Checkpoint]:
    with Reader(client, ["connector-checkpoints"], "beginning") as reader:
        return {message.key().decode(): codec.decode(Checkpoint, message.value()) for message in reader.until_end()}


def numbers(found: list[Mention]) -> list[int]:
    return sorted(int(mention.native_id) for mention in found)


@pytest.mark.kafka
def test_the_past_is_written_once_marked_as_backfill_and_again_writes_nothing(own_kafka, site, config):
    common = ("--source", "hn", "--config", config, "--broker", own_kafka["bootstrap.servers"])
    first = earshot("backfill", *common, "--since", SINCE, "--until", "2026-10-21")
    assert first.returncode == 0, first.stderr.decode()
    assert "200 mentions written, up to" in first.stderr.decode()
    found = mentions(own_kafka)
    assert numbers(found) == list(range(2, 202))  # neither the one before nor those after
    assert {(mention.connector, mention.backfill) for mention in found} == {("hn", True)}
    again = earshot("backfill", *common, "--since", SINCE, "--until", "2026-10-21")
    assert again.returncode == 0, again.stderr.decode()
    assert "0 mentions written" in again.stderr.decode()
    assert len(mentions(own_kafka)) == 200
    # The live connector's own position is not touched, and the backfill's own is kept under a name of its own.
    (name,) = checkpoints(own_kafka)
    assert re.fullmatch(r"backfill/hn/2026-10-01T00:00:00Z\.\.2026-10-21T00:00:00Z/[0-9a-f]{8}", name)


@pytest.mark.kafka
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda how: how.name)
def test_what_is_broken_off_goes_on_where_it_was_and_writes_nothing_twice(own_kafka, site, config, how, tmp_path):
    site.gate_after = 24
    command = ["backfill", "--source", "hn", "--config", config, "--broker", own_kafka["bootstrap.servers"]]
    command += ["--since", SINCE]
    with (tmp_path / "said").open("wb") as said:
        process = subprocess.Popen([*COMMAND, *command], stderr=said, env=environment())
        try:
            assert site.at_gate.wait(60), (tmp_path / "said").read_text()
            process.send_signal(how)
            code = process.wait(30)
        finally:
            process.kill()
            process.wait()
    words = (tmp_path / "said").read_text()
    before = numbers(mentions(own_kafka))
    assert 0 < len(before) < 300
    if how is not signal.SIGKILL:
        assert code == 130, words
        assert f"broken off; {len(before)} mentions written, up to" in words
        assert f"Go on with: earshot backfill --source hn --since {SINCE}" in words
        assert "Traceback" not in words
    site.gate_after = None
    site.gate.set()
    done = earshot(*command)
    assert done.returncode == 0, done.stderr.decode()
    assert f"{300 - len(before)} mentions written" in done.stderr.decode()
    assert "going on where it was" in done.stderr.decode()
    assert numbers(mentions(own_kafka)) == list(range(2, 302))


@pytest.mark.kafka
def test_a_rate_limit_is_waited_for_and_said(own_kafka, site, config):
    site.statuses = [(429, {"Retry-After": "2"})]
    began = time.monotonic()
    done = earshot(
        *("backfill", "--source", "hn", "--config", config, "--broker", own_kafka["bootstrap.servers"]),
        *("--since", SINCE, "--until", "2026-10-03"),
    )
    assert done.returncode == 0, done.stderr.decode()
    assert time.monotonic() - began >= 2
    assert "waiting: 127.0.0.1" in done.stderr.decode()
    assert numbers(mentions(own_kafka)) == list(range(2, 22))


@pytest.mark.kafka
def test_a_source_that_refuses_ends_it_with_the_reason_and_how_to_go_on(own_kafka, site, config):
    site.statuses = [(200, {}), (403, {})]
    done = earshot(
        *("backfill", "--source", "hn", "--config", config, "--broker", own_kafka["bootstrap.servers"]),
        *("--since", SINCE),
    )
    said = done.stderr.decode()
    assert done.returncode == 1
    assert "refuses (403)" in said
    assert "Go on with: earshot backfill --source hn" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--source", "nobody", "--since", SINCE], "there is no source 'nobody' in the configuration; there are: hn"),
        (["--source", "hn", "--since", "yesterday"], "--since yesterday: write a time as 2026-11-24T09:00:00Z"),
        (["--source", "hn", "--since", "2999-01-01"], "there is no time between 2999-01-01"),
        (["--source", "hn", "--since", SINCE, "--until", "2026-09-01"], "there is no time between"),
        (["--source", "feed", "--since", "7d"], "feed: the source rss cannot be asked for its past"),
        (["--source", "file", "--since", "7d"], "file: the source jsonl cannot be asked for its past"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_done_is_said_before_a_broker_is_asked(config, arguments, said, tmp_path):
    done = earshot("backfill", "--config", config, "--broker", "127.0.0.1:1", *arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr.decode()
    assert said in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()
