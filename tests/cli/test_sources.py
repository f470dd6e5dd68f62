"""`earshot connectors`: the list, a check, a new one; and what completes their names."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from confluent_kafka import Producer

from connectors import registry
from pipeline.contract import codec
from pipeline.contract.events import Checkpoint, Coverage
from pipeline.contract.metrics import Metrics
from pipeline.runtime.health import Health, merge, page, serve
from tests.cli.running import ROOT, HackerNews, earshot, environment, inside

AT = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
SECRET = "t0p-s3cret-value"


@pytest.fixture
def config(tmp_path):
    def write(sources: str) -> str:
        file = tmp_path / "earshot.yaml"
        file.write_text(f"version: 1\nsources:\n{sources}", "utf-8")
        return str(file)

    return write


TWO = "  hn: {type: hackernews}\n  feed: {type: rss, url: 'http://127.0.0.1:1/feed', enabled: false}\n"


def test_the_list_says_what_is_configured_and_that_nothing_runs(config, tmp_path):
    done = earshot("connectors", "list", "--config", config(TWO), "--http", "127.0.0.1:1", cwd=tmp_path)
    said, shown = done.stderr.decode(), done.stdout.decode()
    assert done.returncode == 0, said
    assert re.search(r"^hn +hackernews +\? +- +- +-$", shown, re.MULTILINE)
    assert re.search(r"^feed +rss +off", shown, re.MULTILINE)
    assert f"types: {', '.join(registry.names())}" in shown
    assert "no `earshot up` answers at 127.0.0.1:1" in said
    assert "no broker runs here" in said
    assert not (tmp_path / "data").exists()  # it starts nothing


def test_the_list_without_a_file_says_that_nothing_is_configured(tmp_path):
    done = earshot("connectors", "list", "--http", "127.0.0.1:1", cwd=tmp_path)
    assert done.returncode == 0
    assert "no sources are configured" in done.stdout.decode()


@pytest.mark.kafka
def test_the_list_knows_states_from_the_metrics_and_checkpoints_from_the_topics(own_kafka, config):
    metrics = Metrics()
    metrics.source_state.labels("hn", "waiting").set(1)
    metrics.source_state.labels("hn", "listening").set(0)
    metrics.source_quota.labels("hn").set(0.25)
    metrics.source_last_success.labels("hn").set(AT.timestamp())
    producer = Producer(own_kafka)
    checkpoint = Checkpoint(connector="hn", cursor="1", saved_at=AT)
    producer.produce("connector-checkpoints", key="hn", value=codec.encode(checkpoint))
    producer.produce("connector-checkpoints", key="odd", value=b"\xff")
    for seen in (3, 0):
        told = Coverage(connector="hn", source="hackernews", at=AT.replace(minute=3 - seen), seen=seen)
        producer.produce("coverage", key="hn", value=codec.encode(told))
    assert producer.flush(20) == 0
    health = Health()
    health.source("hn", "waiting", "the rate limit is used up for 77 s\x1b[31m")
    health.source("gone", "refused", "a source that is configured no more")
    with serve("127.0.0.1", 0, health, metrics.registry) as server:
        common = ["--config", config(TWO), "--http", server.address.removeprefix("http://")]
        common += ["--broker", own_kafka["bootstrap.servers"]]
        told = earshot("connectors", "list", "--json", *common)
        shown = earshot("connectors", "list", *common)
    assert told.returncode == 0, told.stderr.decode()
    found = json.loads(told.stdout)
    assert (found["up"], found["broker"]) == (True, True)
    assert found["types"] == registry.names()
    assert found["sources"][0] == {
        "name": "hn",
        "type": "hackernews",
        "enabled": True,
        "state": "waiting",
        "reason": "the rate limit is used up for 77 s\x1b[31m",
        "quota": 0.25,
        "last_mention": "2026-11-20T12:00:00Z",
        "last_success": "2026-11-20T12:00:00Z",
        "checkpoint": "2026-11-20T12:00:00Z",
    }
    assert (found["sources"][1]["state"], found["sources"][1]["reason"]) == ("off", None)
    line = r"^hn +hackernews +waiting +25% +2026-11-20 12:00:00Z +2026-11-20 12:00:00Z  the rate limit is used up"
    assert re.search(line, shown.stdout.decode(), re.MULTILINE)
    assert b"\x1b" not in shown.stdout
    assert b"configured no more" not in shown.stdout
    assert shown.stderr == b""


def test_a_broker_that_does_not_answer_is_named_and_the_list_is_still_shown(config):
    done = inside(*("connectors", "list", "--config", config(TWO), "--http", "127.0.0.1:1", "--broker", "127.0.0.1:1"))
    assert done.returncode == 0
    assert b"hackernews" in done.stdout
    assert "Kafka does not answer at 127.0.0.1:1" in done.stderr.decode()


@pytest.fixture
def site():
    server = HackerNews([int(datetime.now(UTC).timestamp()) - 60 * n for n in range(1, 4)])
    yield server
    server.close()


def test_a_check_asks_once_and_says_what_was_found(config, site):
    done = earshot(
        "connectors", "check", "hn", "--config", config(f"  hn: {{type: hackernews, base_url: '{site.url}'}}\n")
    )
    assert done.returncode == 0, done.stderr.decode()
    assert re.match(r"hn: it answers with 3 mentions, the newest of \d{4}-", done.stdout.decode())
    assert site.asked == 1


@pytest.mark.parametrize(
    ("status", "headers", "said"),
    [
        (401, {}, "refuses (401) — the credentials are wrong or have expired; renew them"),
        (404, {}, "look at names and addresses in the settings"),
        (429, {"Retry-After": "77"}, "asks to wait (429) 77 s; its address and credentials are right"),
        (500, {}, "answers with an error of its own (500)"),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else "",
)
def test_a_check_that_fails_says_why_and_what_to_do(config, site, status, headers, said):
    site.statuses = [(status, headers)]
    done = earshot(
        "connectors", "check", "hn", "--config", config(f"  hn: {{type: hackernews, base_url: '{site.url}'}}\n")
    )
    assert done.returncode == 1
    assert said in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()


@pytest.mark.parametrize(
    ("sources", "name", "said"),
    [
        (TWO, "nobody", "there is no source 'nobody' in the configuration; there are: hn, feed"),
        (TWO, "hackernews", "hackernews is a type of source, but none is configured under that name: there are: hn"),
        ("  hn: {type: hackernews, quarry: acme}\n", "hn", "sources.hn.quarry: there is no such setting; there are:"),
        ("  m: {type: nope}\n", "m", "sources.m.type: there is no source 'nope'; there are:"),
        ("  f: {type: rss}\n", "f", "sources.f.url is missing: this source needs it"),
        (TWO, "feed", "127.0.0.1:1/feed cannot be reached: no connection can be made"),
    ],
    ids=["unknown", "a type", "setting", "type", "missing", "nobody answers"],
)
def test_what_is_wrong_is_said_in_words_with_what_is_possible(config, sources, name, said):
    done = inside("connectors", "check", name, "--config", config(sources))
    assert done.returncode == 1
    assert said in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()


OTHERS = """
from connectors.base import Connector, PollingConnector, PollingSettings, Page, mention, reveal
from pydantic import SecretStr
class S(PollingSettings):
    token: SecretStr
class {kind}(PollingConnector[S]):
    name = "{name}"
    settings_type = S
    async def fetch(self, cursor):
        {does}
"""


def distribution(folder, name="their-forum", kind="TheirForum", does="return Page()", value=None):
    """A package of others, as pip would leave it: a module and the note of what it declares."""
    module = name.replace("-", "_")
    (folder / f"{module}.py").write_text(OTHERS.format(kind=kind, name=name, does=does))
    note = folder / f"earshot_{module}-1.0.dist-info"
    note.mkdir(exist_ok=True)
    (note / "METADATA").write_text(f"Metadata-Version: 2.1\nName: earshot-{name}\nVersion: 1.0\n")
    (note / "entry_points.txt").write_text(f"[earshot.connectors]\n{name} = {value or f'{module}:{kind}'}\n")


def test_a_connector_of_another_package_is_listed_and_checked(config, tmp_path, monkeypatch):
    distribution(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    file = config("  t: {type: their-forum, token: {env: THEIR_TOKEN}}\n")
    done = inside("connectors", "list", "--config", file, "--http", "127.0.0.1:1", EARSHOT_DATA=str(tmp_path))
    assert "their-forum" in done.stdout.decode().split("types:")[1]
    done = inside("connectors", "check", "t", "--config", file, THEIR_TOKEN=SECRET)
    assert done.stdout.decode() == "t: it answers, with nothing that matches\n", done.stderr.decode()


@pytest.mark.parametrize(
    "does",
    [
        "raise KeyError(reveal(self.settings.token))",
        "from pipeline.contract.errors import SourceRefusedError; raise SourceRefusedError(reveal(self.settings.token))",
        "from pipeline.contract.errors import ConfigError; raise ConfigError('x' + reveal(self.settings.token))",
        "from pipeline.contract.errors import RateLimitedError; raise RateLimitedError(reveal(self.settings.token))",
        "return Page([mention('their-forum', 1, created_at=None, now=self.clock(), bad=reveal(self.settings.token))])",
    ],
    ids=["a defect", "refused", "configuration", "limited", "in a constructor"],
)
def test_a_check_never_shows_a_secret_whatever_the_connector_does(config, tmp_path, monkeypatch, does):
    distribution(tmp_path, name="leaky-forum", does=does)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "leaky_forum", raising=False)
    file = config("  t: {type: leaky-forum, token: {env: THEIR_TOKEN}}\n")
    done = inside("connectors", "check", "t", "--config", file, THEIR_TOKEN=SECRET)
    assert done.returncode == 1
    assert done.stderr
    assert SECRET not in done.stderr.decode() + done.stdout.decode()
    assert "Traceback" not in done.stderr.decode()


def test_a_new_connector_outside_a_checkout_is_a_package_that_earshot_finds(tmp_path, config):
    done = inside("connectors", "new", "my-forum", "--into", str(tmp_path / "pkg"))
    assert done.returncode == 0, done.stderr.decode()
    folder = tmp_path / "pkg" / "my_forum"
    assert f"made {folder}" in done.stdout.decode()
    assert f"pip install -e {tmp_path / 'pkg'}" in done.stdout.decode()
    assert 'my-forum = "my_forum.connector:MyForum"' in (tmp_path / "pkg" / "pyproject.toml").read_text()
    # What pip would do, without asking an index: setuptools writes the note that importlib.metadata reads.
    code = "from setuptools import setup; setup(script_args=['--quiet', 'egg_info'])"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path / "pkg", check=True, capture_output=True)
    page = folder / "example" / "page.json"
    parsed = earshot("parse", "--source", "my-forum", str(page), PYTHONPATH=f"{ROOT}:{tmp_path / 'pkg'}")
    assert parsed.returncode == 0, parsed.stderr.decode()
    assert {json.loads(line)["source"] for line in parsed.stdout.splitlines()} == {"my-forum"}


def test_a_name_that_is_taken_or_none_is_refused(tmp_path):
    for name, said in (("hackernews", "there is a connector hackernews already"), ("My Forum", "is no name")):
        done = inside("connectors", "new", name, "--into", str(tmp_path / "pkg"))
        assert done.returncode == 1
        assert said in done.stderr.decode()
    assert not (tmp_path / "pkg").exists()


def completed(*words: str, **more: str) -> list[str]:
    """Return what the shell would offer for the last word."""
    given = {"_EARSHOT_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv[0] = 'earshot'; from pipeline.cli.main import main; main()"],
        env=environment(**given, **more),
        capture_output=True,
        timeout=60,
    )
    assert done.stderr == b""
    return [line.partition(",")[2] for line in done.stdout.decode().splitlines() if line]


def test_a_shell_is_offered_commands_options_and_the_names_in_the_file(config):
    file = config(TWO + "departments:\n  press: {}\n  repairs: {}\n")
    assert completed("earshot", "ba") == ["backfill"]
    assert completed("earshot", "connectors", "") == ["check", "list", "new"]
    assert completed("earshot", "backfill", "--source", "", EARSHOT_CONFIG=file) == ["hn", "feed"]
    assert completed("earshot", "connectors", "check", "f", EARSHOT_CONFIG=file) == ["feed"]
    assert completed("earshot", "tail", "", EARSHOT_CONFIG=file) == ["press", "repairs", "review"]
    assert completed("earshot", "tail", "press", "re", EARSHOT_CONFIG=file) == ["repairs", "review"]
    assert completed("earshot", "parse", "--source", "hack") == ["hackernews"]
    assert "--since" in completed("earshot", "backfill", "--s")


def test_a_broken_file_completes_to_nothing(tmp_path):
    broken = tmp_path / "broken.yaml"
    broken.write_text("sources: [unclosed", "utf-8")
    assert completed("earshot", "backfill", "--source", "", EARSHOT_CONFIG=str(broken)) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_is_printed(shell):
    done = earshot("completion", shell)
    assert done.returncode == 0
    assert f"_EARSHOT_COMPLETE={shell}_complete" in done.stdout.decode()
    if shell == "bash":
        assert subprocess.run(["bash", "-n"], input=done.stdout).returncode == 0


def test_of_several_workers_the_one_that_runs_a_source_is_believed():
    from pipeline.cli.listing import Found, _from_http

    def worker(state: str, mention: int) -> bytes:
        metrics = Metrics()
        metrics.source_state.labels("hn", state).set(1)
        metrics.source_last_mention.labels("hn").set(mention)
        return page(metrics.registry)

    both = [({"worker": "0"}, worker("stopped", 900)), ({"worker": "1"}, worker("waiting", 800))]
    for pages in (both, both[::-1]):
        found = Found()
        with serve("127.0.0.1", 0, Health(), lambda pages=pages: merge(pages)) as server:
            _from_http(found, server.address.removeprefix("http://"))
        assert found.sources["hn"].state == "waiting"
        assert found.sources["hn"].last_mention == datetime.fromtimestamp(900, UTC)


async def test_what_the_list_reads_from_the_metrics_is_what_a_runner_writes():
    """The families are known by name in two places; this is the bridge between them."""
    from pipeline.cli.listing import Found, _from_http
    from tests.connectors.kit import NOW, answering, example, make, run

    metrics = Metrics()
    kind = registry.find("hackernews")
    connector = make(kind, answering(example(kind, "page").read_bytes()), metrics=metrics)
    await run(connector, 1, metrics=metrics)
    found = Found()
    with serve("127.0.0.1", 0, Health(), metrics.registry) as server:
        await asyncio.to_thread(_from_http, found, server.address.removeprefix("http://"))
    about = found.sources["example"]
    assert about.state == "listening"
    assert about.last_success == NOW
    assert about.last_mention is not None
