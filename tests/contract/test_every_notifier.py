"""The promises every notifier keeps. A new notifier adds an entry to `NOTIFIERS`, and no other code here."""

from __future__ import annotations

import base64
import io
import json
import logging
import re
import socket

import pytest
import structlog

from pipeline.config.model import Config, Notifier
from pipeline.contract.errors import ConfigError, ReceiverRefusedError, ReceiverUnavailableError
from pipeline.contract.events import AlertStatus, Severity
from pipeline.core.notifying import wording
from pipeline.core.notifying.values import Occasion
from pipeline.notifiers import registry
from pipeline.notifiers.alertmanager import MAX_ANNOTATION
from pipeline.notifiers.webhook import MAX_TEXT
from pipeline.runtime import logs
from tests.notifiers.alerts import EXAMPLES, NOW, a_notification, resolved
from tests.notifiers.receiving import Receiving

PASSWORD, TOKEN, PATH = "pa55w0rd-of-tests", "t0ken-of-tests", "hooks/secretpath-of-tests"
KEY = "whsec_" + base64.b64encode(b"k" * 32).decode()
SECRETS = (PASSWORD, TOKEN, PATH, KEY, "secretpath")


class Kind:
    """How a type is set up against a receiver on loopback, and how to read what arrived there."""

    def __init__(self, kind, settings, environment, shown):
        self.kind, self.settings, self.environment, self.shown = kind, settings, environment, shown


def _alertmanager(body):
    return json.dumps(json.loads(body)[0]["annotations"], ensure_ascii=False)


def _webhook(body):
    return json.dumps(json.loads(body)["data"], ensure_ascii=False)


def _apprise(body):
    found = json.loads(body)
    return f"{found['title']}\n{found['message']}"


NOTIFIERS = {
    "alertmanager": Kind(
        "alertmanager",
        {"url": "{http}", "token": {"env": "N_TOKEN"}},
        {"N_TOKEN": TOKEN},
        _alertmanager,
    ),
    "alertmanager with a password": Kind(
        "alertmanager",
        {"url": "{http}", "username": "earshot", "password": {"env": "N_PASSWORD"}},
        {"N_PASSWORD": PASSWORD},
        _alertmanager,
    ),
    "webhook": Kind(
        "webhook",
        {"url": {"env": "N_URL"}, "secret": {"env": "N_KEY"}},
        {"N_URL": "{http}/" + PATH, "N_KEY": KEY},
        _webhook,
    ),
    "apprise": Kind(
        "apprise",
        {"targets": {"env": "N_TARGETS"}},
        {"N_TARGETS": "json://earshot:" + PASSWORD + "@{host}/" + PATH},
        _apprise,
    ),
    "console": Kind("console", {}, {}, None),
}
CALLED = [name for name, kind in NOTIFIERS.items() if kind.shown]
every = pytest.mark.parametrize("name", NOTIFIERS)
called = pytest.mark.parametrize("name", CALLED)


@pytest.fixture
def receiving():
    with Receiving() as found:
        yield found


@pytest.fixture
async def make(monkeypatch, receiving):
    """Make a notifier that calls the receiver of this test; all are closed afterwards."""
    made = []

    def _make(name, address=None, **more):
        kind = NOTIFIERS[name]
        fill = {"http": address or receiving.address, "host": (address or receiving.address).removeprefix("http://")}

        def filled(value):
            return re.sub(r"\{(http|host)\}", lambda found: fill[found[1]], value) if isinstance(value, str) else value

        for variable, value in kind.environment.items():
            monkeypatch.setenv(variable, filled(value))
        settings = {key: filled(value) for key, value in kind.settings.items()} | more
        found = registry.make("pager", Notifier(type=kind.kind, **settings), clock=lambda: NOW)
        made.append(found.notifier)
        return found.notifier

    yield _make
    for notifier in made:
        await notifier.close()


@pytest.fixture
def debug_log():
    """What a process logs at its most talkative, with no secret known to the log."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    logs.configure(stream=stream, environment={"EARSHOT_LOG": "debug"}, readable=False)
    yield stream
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
    root.handlers[:] = before
    root.setLevel(level)


def test_every_type_of_the_file_has_a_notifier_that_is_tested_here():
    types = Notifier.model_json_schema()["properties"]["type"]["enum"]
    assert set(types) == set(registry.KINDS) == {kind.kind for kind in NOTIFIERS.values()}
    assert all(registry.find(kind).kind == kind for kind in types)


@every
def test_every_setting_has_words_for_editors(name):
    described = registry.find(NOTIFIERS[name].kind).settings_type.model_json_schema().get("properties", {})
    assert [setting for setting, field in described.items() if "description" not in field] in ([], ["username"])


@every
async def test_making_one_opens_no_connection(name, make, monkeypatch):
    def no_socket(*_):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", no_socket)
    make(name)


@every
@pytest.mark.parametrize("example", EXAMPLES)
async def test_every_alert_is_told_on_every_occasion(name, example, make, receiving):
    alert = EXAMPLES[example]
    is_over = alert.status is AlertStatus.RESOLVED
    occasions = [Occasion.RESOLVED] if is_over else [one for one in Occasion if one is not Occasion.RESOLVED]
    notifier = make(name)
    for occasion in occasions:
        await notifier.notify(a_notification(alert, occasion))
    assert len(receiving.requests) == (len(occasions) if name in CALLED else 0)


@called
@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_an_answer_of_2xx_means_that_the_receiver_has_it(name, status, make, receiving):
    receiving.answers = [(status, {})]
    await make(name).notify(a_notification())
    assert len(receiving.requests) == 1


@called
@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
async def test_trouble_of_the_receiver_is_worth_another_try(name, status, make, receiving):
    receiving.answers = [(status, {"Retry-After": "7"})]
    with pytest.raises(ReceiverUnavailableError) as caught:
        await make(name).notify(a_notification())
    assert caught.value.retry_after == (None if name == "apprise" else 7.0)  # Apprise does not pass it on


@called
@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 413, 422])
async def test_a_refusal_is_for_good_and_says_what_to_do(name, status, make, receiving):
    receiving.answers = [(status, {})]
    with pytest.raises(ReceiverRefusedError, match=rf"{status}.*(look|right\?|wrong|allow|remove|large)"):
        await make(name).notify(a_notification())


@pytest.mark.parametrize("name", [name for name in CALLED if name != "apprise"])
@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_not_followed(name, status, make, receiving):
    receiving.answers = [(status, {"Location": receiving.address + "/elsewhere"})]
    with pytest.raises(ReceiverRefusedError, match="redirects"):
        await make(name).notify(a_notification())
    assert len(receiving.requests) == 1


@called
async def test_silence_is_not_waited_for_longer_than_the_timeout(name, make, receiving):
    receiving.answers = [("hang", {})]
    with pytest.raises(ReceiverUnavailableError, match=r"within 0\.3 s"):
        await make(name, timeout=0.3).notify(a_notification())


@called
async def test_a_connection_that_breaks_is_worth_another_try(name, make, receiving):
    receiving.answers = [("break", {})]
    with pytest.raises(ReceiverUnavailableError):
        await make(name).notify(a_notification())


@called
async def test_a_receiver_that_is_not_there_is_worth_another_try(name, make):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ReceiverUnavailableError):
        await make(name, f"http://127.0.0.1:{port}").notify(a_notification())


@every
@pytest.mark.parametrize("answer", [400, 401, 500, "hang", "break"])
async def test_no_secret_reaches_an_error_or_a_log(name, answer, make, receiving, debug_log):
    receiving.answers = [(answer, {})]
    receiving.echo = True
    notifier = make(name, **({"timeout": 0.3} if answer == "hang" and name in CALLED else {}))
    said = [repr(notifier.settings), repr(notifier)]
    try:
        await notifier.notify(a_notification())
    except (ReceiverUnavailableError, ReceiverRefusedError) as error:
        said += [str(error), repr(error), repr(error.__cause__)]
    said.append(debug_log.getvalue())
    assert [secret for secret in SECRETS for text in said if secret in text] == []


@called
async def test_a_repeated_call_says_the_same(name, make, receiving):
    notifier = make(name)
    receiving.answers = [(500, {})]
    for _ in range(2):
        try:
            await notifier.notify(a_notification())
        except ReceiverUnavailableError:
            receiving.answers = []
    first, second = receiving.requests
    assert first.body == second.body
    assert first.headers.get("webhook-id") == second.headers.get("webhook-id")


@called
async def test_words_from_elsewhere_are_no_markup_no_address_and_no_control(name, make, receiving):
    await make(name).notify(a_notification(EXAMPLES["with hostile words"]))
    (request,) = receiving.requests
    shown = NOTIFIERS[name].shown(request.body)
    for mark in ("<!", "<@", "@everyone", "@here", "](http", "`rm`", "*b*", "\u202e", "\x1b", "user:secret", "<b>"):
        assert mark not in shown
        assert json.dumps(mark)[1:-1] not in shown
    assert "https://a.example/%40bob/%3Cb%3E%7Cx%3E" in shown
    assert "https://user" not in shown


@called
async def test_what_is_too_long_is_cut_with_a_sign(name, make, receiving):
    await make(name).notify(a_notification(EXAMPLES["far too long"]))
    (request,) = receiving.requests
    assert wording.CUT in NOTIFIERS[name].shown(request.body)
    assert len(request.body) < 40_000


@called
async def test_it_is_said_what_happened_and_what_to_do(name, make, receiving):
    await make(name).notify(a_notification(EXAMPLES["as reputation writes it"]))
    shown = NOTIFIERS[name].shown(receiving.requests[0].body)
    for words in (
        "12.0 mentions a minute overall, usually 1.0 (12.0 times as many)",
        "negative, reach 120,000: https://news.example/item?id=1",
        "Often said: outage, login.",
        "hackernews 30, rss 4",
        "2026-03-04 09:40",
        "deploy/runbook.md#reputationdamage",
        "https://grafana.example/d/reputation?var-brand=acme",
    ):
        assert words in shown


@called
async def test_it_is_said_when_it_is_over(name, make, receiving):
    await make(name).notify(a_notification(resolved(15, description="acme: back to usual after 35 minutes.")))
    shown = NOTIFIERS[name].shown(receiving.requests[0].body)
    assert "back to usual after 35 minutes" in shown
    assert "From 2026-03-04 09:40 to 2026-03-04 10:15 UTC" in shown


# ------------------------------------------------------------------------------------------ settings of all types

WRONG = [
    ({"type": "alertmanager"}, "notifiers.n.url: is missing"),
    ({"type": "alertmanager", "url": "alertmanager:9093"}, "notifiers.n.url: is no address; write https://"),
    ({"type": "alertmanager", "url": "http://u:p@am"}, "notifiers.n.url: holds a user and a password"),
    ({"type": "alertmanager", "url": "http://am", "username": "x"}, "username and password belong together"),
    ({"type": "alertmanager", "url": "http://am", "keep_firing": "60s"}, "notifiers.n.keep_firing: is less than three"),
    ({"type": "alertmanager", "url": "http://am", "repeat_every": 0}, "notifiers.n.repeat_every: is 0"),
    ({"type": "alertmanager", "url": "http://am", "labels": {"brand": "x"}}, "notifiers.n.labels: brand is set by"),
    ({"type": "alertmanager", "url": "http://am", "labels": {"a-b": "x"}}, "notifiers.n.labels: a label's name"),
    ({"type": "alertmanager", "url": "http://am", "ca_file": "/nowhere.pem"}, "notifiers.n.ca_file: cannot be read"),
    ({"type": "alertmanager", "url": "http://am", "token": "s3cret"}, "notifiers.n.token: secrets are not written"),
    ({"type": "webhook", "url": "http://x", "secret": {"env": "N_NONE"}}, "N_NONE is not set"),
    ({"type": "webhook", "url": "http://x", "secret": {"env": "N_BAD"}}, "notifiers.n.secret: is not base64"),
    ({"type": "webhook", "url": "http://x", "secret": {"env": "N_SHORT"}}, "notifiers.n.secret: a key has 24 to 64"),
    ({"type": "webhook", "url": {"env": "N_BAD"}, "secret": {"env": "N_KEY"}}, "notifiers.n.url: is no address"),
    ({"type": "webhook", "url": "http://x", "secret": {"env": ["x"]}}, "notifiers.n.secret: a name or a path is text"),
    ({"type": "apprise", "targets": {"env": "N_TWO"}}, "notifiers.n.targets: address 2 of 2 is none that Apprise"),
    ({"type": "console", "colour": "red"}, "notifiers.n.colour: there is no such setting; there are"),
    ({"type": "console", "severities": []}, "notifiers.n.severities: is empty"),
    ({"type": "console", "repeat_every": "5s"}, "notifiers.n.repeat_every: is less than a minute"),
]


@pytest.mark.parametrize(("part", "said"), WRONG)
def test_a_wrong_setting_is_named_with_advice_and_without_its_value(part, said, monkeypatch):
    monkeypatch.setenv("N_BAD", "n0t-base64-of-tests!")
    monkeypatch.setenv("N_SHORT", "whsec_abcd")
    monkeypatch.setenv("N_KEY", KEY)
    monkeypatch.setenv("N_TWO", "json://localhost nosuch://s3cret")
    (line,) = registry.check("n", Notifier(**part))
    assert said in line
    assert "s3cret" not in line
    assert "base64-of-tests" not in line


def test_all_mistakes_of_all_notifiers_are_named_at_once():
    config = Config(version=1, notifiers={"a": {"type": "alertmanager"}, "b": {"type": "webhook", "x": 1}})
    with pytest.raises(ConfigError) as caught:
        registry.make_all(config)
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == [
        "notifiers.a.url",
        "notifiers.b.url",
        "notifiers.b.secret",
        "notifiers.b.x",
    ]


def test_without_notifiers_the_console_hears_all():
    (one,) = registry.make_all(Config(version=1))
    assert one.notifier.kind == "console"
    assert one.receiver.severities == frozenset(Severity)


def test_limits_leave_room_for_where_it_goes_on_to():
    assert MAX_ANNOTATION < 3_000  # Slack's text block, to which Alertmanager passes it on
    assert MAX_TEXT < 20_000
