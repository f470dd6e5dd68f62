"""A scripted outage at the simulator, the whole way to a real Alertmanager and from there to who is on call."""

from __future__ import annotations

import json
import subprocess
import urllib.request

import pytest
import yaml

from pipeline.contract import codec
from pipeline.contract.events import Alert
from pipeline.runtime.reading import Reader
from tests.monitoring.real_prometheus import free_port, readable, tool
from tests.notifiers.receiving import Receiving
from tests.running import Up, until

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(420)]

CONFIG = """
version: 1
brands:
  quillmoor:
    query: quillmoor OR subject:quillmoor*
    own_accounts: [quillmoor, quillmoor_help]
sources:
  simulator:
    type: simulator
    rate: 4000
    start: -70m
    speed: 80
    incidents: [{{kind: outage, at: 25m, for: 10m, strength: 6}}]
alerts: {{window: 5m, lateness: 10m, resolve_after: 5m}}
heartbeat_interval: 1s
notifiers:
  on-call:
    type: alertmanager
    url: {url}
    severities: [critical, warning, info]
    repeat_every: 2s
    keep_firing: 5m
"""


@pytest.fixture
def on_call():
    with Receiving() as receiving:
        yield receiving


@pytest.fixture
def alertmanager(tmp_path, on_call):
    """The address of a real Alertmanager that tells `on_call` of firing and resolved alerts."""
    settings = {
        "route": {
            "receiver": "on-call",
            "group_by": ["alertname", "brand", "fingerprint"],
            "group_wait": "1s",
            "group_interval": "1s",
            "repeat_interval": "4h",
        },
        "receivers": [
            {"name": "on-call", "webhook_configs": [{"url": f"{on_call.address}/page", "send_resolved": True}]}
        ],
    }
    (tmp_path / "am.yml").write_text(yaml.safe_dump(settings))
    url = f"http://127.0.0.1:{free_port()}"
    with (tmp_path / "am.log").open("wb") as log:
        process = subprocess.Popen(
            [
                tool("prometheus-alertmanager", "prometheus-alertmanager"),
                f"--config.file={tmp_path / 'am.yml'}",
                f"--storage.path={tmp_path / 'am'}",
                f"--web.listen-address={url.removeprefix('http://')}",
                "--cluster.listen-address=",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        until(lambda: readable(f"{url}/-/ready"), 30, "Alertmanager does not start")
        yield url
    finally:
        process.terminate()
        process.wait(20)


def test_a_scripted_outage_pages_once_and_is_resolved_once(tmp_path, alertmanager, on_call):
    def pages():
        bodies = [json.loads(request.body) for request in on_call.requests]
        return [(body["status"], alert) for body in bodies for alert in body["alerts"]]

    with Up(tmp_path / "up", CONFIG.format(url=alertmanager)) as up:
        status, page = until(pages, 120, "nobody was paged: " + up.said()[-2000:])[0]
        assert status == "firing"
        with urllib.request.urlopen(f"{alertmanager}/api/v2/alerts", timeout=5) as answer:
            (active,) = json.load(answer)
        assert active["labels"]["fingerprint"] == page["labels"]["fingerprint"]
        until(lambda: any(status == "resolved" for status, _ in pages()), 180, "it is not resolved")
        with Reader(up.client, ["alerts"], "beginning") as reader:
            written = [codec.decode(Alert, record.value()) for record in reader.until_end()]
        said = up.stop()
    assert [status for status, _ in pages()] == ["firing", "resolved"]
    assert {alert["labels"]["fingerprint"] for _, alert in pages()} == {page["labels"]["fingerprint"]}
    assert {alert.fingerprint for alert in written} == {page["labels"]["fingerprint"]}
    assert [alert.status.value for alert in written].count("resolved") == 1
    assert page["labels"]["alertname"] == "ReputationDamage"
    assert page["labels"]["brand"] == "quillmoor"
    words = " ".join(page["annotations"].values())
    for part in ("quillmoor", "simulator", "runbook"):  # in words: whose, where, what to do
        assert part in words, words
    assert any(character.isdigit() for character in page["annotations"]["description"])
    assert "mentions processed" in said
