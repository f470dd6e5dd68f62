"""What is particular to one notifier."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError
from structlog.testing import capture_logs

from pipeline.config.model import Notifier
from pipeline.contract.errors import ReceiverRefusedError, ReceiverUnavailableError
from pipeline.contract.events import Severity
from pipeline.core.notifying import wording
from pipeline.core.notifying.values import Occasion
from pipeline.notifiers import registry
from pipeline.notifiers.alertmanager import AlertmanagerSettings, alert
from pipeline.notifiers.console import facts
from pipeline.notifiers.http import wait_in
from tests.notifiers.alerts import EXAMPLES, HOSTILE, NOW, a_notification, an_alert, resolved
from tests.notifiers.receiving import Receiving

KEYS = ["whsec_" + base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2)]
README = Path(registry.__file__).with_name("README.md").read_text("utf-8")


@pytest.fixture
def receiving():
    with Receiving() as found:
        yield found


# --------------------------------------------------------------------------------------------------- alertmanager

AM = AlertmanagerSettings(url="http://am", keep_firing=900, labels={"team": "care", "severity": "page"})


def test_the_labels_of_an_incident_never_change():
    first = alert(a_notification(an_alert(0)), AlertmanagerSettings(url="http://am"), NOW)
    worse = an_alert(3, severity=Severity.CRITICAL, description="other words")
    later = [
        a_notification(worse, Occasion.UPDATED, opened_as=Severity.WARNING),
        a_notification(worse, Occasion.REPEATED, opened_as=Severity.WARNING),
        a_notification(resolved(4, severity=Severity.CRITICAL), opened_as=Severity.WARNING),
    ]
    for one in later:
        assert alert(one, AlertmanagerSettings(url="http://am"), NOW)["labels"] == first["labels"]
    assert first["labels"]["severity"] == "warning"


def test_labels_of_the_settings_are_added_and_may_replace_severity():
    labels = alert(a_notification(), AM, NOW)["labels"]
    assert (labels["team"], labels["severity"], labels["brand"]) == ("care", "page", "acme")


def test_what_fires_ends_by_itself_and_what_is_over_has_ended():
    firing = alert(a_notification(), AM, NOW)
    assert (firing["startsAt"], firing["endsAt"]) == ("2026-03-04T09:40:00.000Z", "2026-03-04T10:15:00.000Z")
    over = alert(a_notification(resolved(5)), AM, NOW + timedelta(minutes=10))
    assert (over["startsAt"], over["endsAt"]) == ("2026-03-04T09:40:00.000Z", "2026-03-04T10:05:00.000Z")


def test_an_end_in_a_simulated_future_is_now():
    over = resolved(1, started_at=NOW + timedelta(days=1), resolved_at=NOW + timedelta(days=2))
    told = alert(a_notification(over), AM, NOW)
    assert told["startsAt"] == told["endsAt"] == "2026-03-04T10:00:00.000Z"


def test_the_link_is_the_dashboard_else_what_the_settings_say():
    assert alert(a_notification(EXAMPLES["as reputation writes it"]), AM, NOW)["generatorURL"].startswith(
        "https://graf"
    )
    linked = AlertmanagerSettings(url="http://am", generator_url="https://ops.example/earshot")
    assert alert(a_notification(), linked, NOW)["generatorURL"] == "https://ops.example/earshot"
    assert "generatorURL" not in alert(a_notification(), AM, NOW)


async def test_it_is_posted_below_the_path_with_its_credentials(receiving, monkeypatch):
    monkeypatch.setenv("N_PASSWORD", "hush")
    part = Notifier(
        type="alertmanager", url=receiving.address + "/am/", username="earshot", password={"env": "N_PASSWORD"}
    )
    notifier = registry.make("am", part).notifier
    await notifier.notify(a_notification())
    await notifier.close()
    (request,) = receiving.requests
    assert request.path == "/am/api/v2/alerts"
    assert request.headers["authorization"] == "Basic " + base64.b64encode(b"earshot:hush").decode()
    assert isinstance(json.loads(request.body), list)


# -------------------------------------------------------------------------------------------------------- webhook


async def signed(receiving, monkeypatch, secret, now):
    monkeypatch.setenv("N_KEY", secret)
    part = Notifier(type="webhook", url=receiving.address + "/hook", secret={"env": "N_KEY"})
    notifier = registry.make("hook", part, clock=lambda: now).notifier
    await notifier.notify(a_notification(receiver="hook"))
    await notifier.close()
    return receiving.requests[-1]


@pytest.mark.parametrize("key", [0, 1])
async def test_the_signature_is_that_of_standard_webhooks_for_each_of_two_secrets(receiving, monkeypatch, key):
    request = await signed(receiving, monkeypatch, " ".join(KEYS), datetime.now(UTC))
    found = Verifier(KEYS[key]).verify(request.body, request.headers)
    assert found["type"] == "alert.firing"
    assert found["data"]["key"] == request.headers["webhook-id"] == "0123456789abcdef-firing-hook"
    assert found["data"]["alert"]["fingerprint"] == "0123456789abcdef"


async def test_a_changed_body_or_an_old_time_does_not_verify(receiving, monkeypatch):
    request = await signed(receiving, monkeypatch, KEYS[0], datetime.now(UTC))
    with pytest.raises(WebhookVerificationError):
        Verifier(KEYS[0]).verify(request.body.replace(b"acme", b"other"), request.headers)
    with pytest.raises(WebhookVerificationError):
        Verifier(KEYS[1]).verify(request.body, request.headers)
    old = await signed(receiving, monkeypatch, KEYS[0], datetime.now(UTC) - timedelta(hours=1))
    with pytest.raises(WebhookVerificationError):
        Verifier(KEYS[0]).verify(old.body, old.headers)


async def test_the_readme_shows_code_that_verifies(receiving, monkeypatch):
    request = await signed(receiving, monkeypatch, KEYS[0], datetime.now(UTC))
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    space: dict = {}
    exec(code, space)
    assert space["verify"](KEYS[0], request.headers, request.body)["type"] == "alert.firing"
    with pytest.raises(ValueError, match="signature"):
        space["verify"](KEYS[1], request.headers, request.body)


def test_the_readme_names_every_type_and_every_setting():
    for kind in registry.KINDS:
        assert f"`{kind}`" in README
        for setting in registry.find(kind).settings_type.model_fields:
            assert f"`{setting}`" in README, f"{kind}.{setting}"
    for setting in Notifier.model_fields:
        assert f"`{setting}`" in README


# -------------------------------------------------------------------------------------------------------- apprise


async def test_of_several_targets_only_those_that_do_not_have_it_are_tried_again(monkeypatch):
    with Receiving() as one, Receiving() as other:
        host = one.address.removeprefix("http://"), other.address.removeprefix("http://")
        monkeypatch.setenv("N_TARGETS", f"json://{host[0]}/a\njson://{host[1]}/b")
        notifier = registry.make("people", Notifier(type="apprise", targets={"env": "N_TARGETS"})).notifier
        other.answers = [(503, {}), (404, {})]
        with pytest.raises(ReceiverUnavailableError, match=r"target 2 \(503\)"):
            await notifier.notify(a_notification())
        with pytest.raises(ReceiverRefusedError, match=r"target 2 \(404\)"):
            await notifier.notify(a_notification())
        await notifier.notify(a_notification())
        await notifier.notify(a_notification(resolved(1)))
        await notifier.close()
        assert (len(one.requests), len(other.requests)) == (2, 4)


async def test_while_a_target_hangs_it_is_not_called_a_second_time(monkeypatch):
    with Receiving() as one:
        one.answers = [("hang", {})]
        monkeypatch.setenv("N_TARGETS", f"json://{one.address.removeprefix('http://')}/a")
        part = Notifier(type="apprise", targets={"env": "N_TARGETS"}, timeout=0.2)
        notifier = registry.make("people", part).notifier
        with pytest.raises(ReceiverUnavailableError, match="within"):
            await notifier.notify(a_notification())
        with pytest.raises(ReceiverUnavailableError, match="busy"):
            await notifier.notify(a_notification())
        assert len(one.requests) == 1
        await notifier.close()
    await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("title_limit", "body_limit"), [(0, 100), (250, 280), (30, 20_000), (0, 0)], ids=["sms", "short", "mail", "none"]
)
def test_a_targets_limits_are_kept(title_limit, body_limit):
    from pipeline.notifiers.apprise_ import MAX_BODY, texts

    title, body = texts(a_notification(EXAMPLES["far too long"]), title_limit, body_limit)
    assert len(title) <= title_limit
    assert len(body.encode()) <= (body_limit or MAX_BODY)
    assert body.startswith("Firing: ") == (title_limit == 0)
    body.encode().decode()


# -------------------------------------------------------------------------------------------------------- console


async def test_the_console_says_figures_and_no_words_of_mentions():
    notifier = registry.make("console", Notifier(type="console")).notifier
    with capture_logs() as lines:
        await notifier.notify(a_notification(EXAMPLES["as reputation writes it"]))
        await notifier.notify(a_notification(resolved(2)))
    firing, over = lines
    assert (firing["log_level"], over["log_level"]) == ("warning", "info")
    assert firing["event"] == "Firing: ReputationDamage, acme (warning)"
    assert firing["figures"][0] == "spike brand: 12.00, usually 1.00"
    assert "outage" not in str(lines)
    assert "news.example" not in str(lines)
    assert over["until"] == "2026-03-04T10:02:00+00:00"


def test_the_console_leaves_out_what_there_is_not():
    assert set(facts(a_notification(EXAMPLES["with nothing but what must be there"]))) == {
        "brand",
        "fingerprint",
        "since",
    }


# -------------------------------------------------------------------------------------------------- words and waits


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("7", 7), (" 120 ", 120), ("", None), (None, None), ("soon", None), ("-5", None), ("9" * 40, 999_999_999)],
)
def test_a_wait_is_read_from_seconds(text, seconds):
    assert wait_in(text, NOW) == seconds


def test_a_wait_is_read_from_a_date():
    assert wait_in(format_datetime(NOW + timedelta(seconds=90), usegmt=True), NOW) == 90
    assert wait_in(format_datetime(NOW - timedelta(seconds=90), usegmt=True), NOW) == 0


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", "ftp://x/y", "//x/y", "http://", "https://u:p@x/", "http://[::1", "x" * 600, "", None],
)
def test_only_web_addresses_are_addresses(url):
    assert wording.address(url) is None


def test_an_address_keeps_its_meaning_and_loses_its_markup():
    assert wording.address("https://m.example/@bob/1?q=a%20b&c=d#e") == "https://m.example/%40bob/1?q=a%20b&c=d#e"
    assert wording.address("https://a.example/<b>|[x](y)") == "https://a.example/%3Cb%3E%7C%5Bx%5D(y)"


def test_words_are_one_line_where_one_is_asked_for():
    assert "\n" not in wording.one_line(HOSTILE)
    assert len(wording.one_line("a " * 500, 50)) == 50
    assert wording.cut_bytes("ääää", 6) == "ä…"
    assert wording.plain("a\u200bb\x00c") == "abc"


def test_what_the_description_does_not_say_is_added_and_what_it_says_is_not_repeated():
    full = EXAMPLES["as reputation writes it"]
    said = wording.body(a_notification(full))
    assert said.count("usually 1.0") == 1
    assert said.count("2026-03-04 09:40") == 1
    bare = wording.body(
        a_notification(an_alert(description="", symptoms=full.symptoms, terms=full.terms, sources=full.sources))
    )
    for words in (
        "spike brand: 12.00, usually 1.00.",
        "By source: hackernews 30, rss 4.",
        "Often said: outage",
        "Since",
    ):
        assert words in bare
