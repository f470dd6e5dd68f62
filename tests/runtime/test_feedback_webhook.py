"""The feedback webhook: real requests over loopback, signed or not, anything as a body, answered once it is kept."""

import base64
import contextlib
import gzip
import json
import socket
import threading
import urllib.error
import urllib.request
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook as Standard

from connectors.webhook.signature import keys_of, sign
from pipeline.config.model import Config
from pipeline.contract.errors import BrokerUnavailableError, ConfigError
from pipeline.contract.events import Label
from pipeline.contract.metrics import Metrics
from pipeline.runtime.learning import webhook as module
from pipeline.runtime.learning.webhook import OUTCOMES, FeedbackServer

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + base64.b64encode(b"another secret of 30 bytes ...").decode()
NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
GOOD = {"id": "forum:1", "department": "support", "by": "Ida"}


class Kept:
    """What Kafka would have; may be away, and may take its time."""

    def __init__(self):
        self.given, self.deliveries, self.is_away = [], [], False
        self.let = threading.Event()
        self.let.set()

    def __call__(self, feedbacks, delivery):
        self.let.wait(10)
        if self.is_away:
            raise BrokerUnavailableError("away")
        self.given += feedbacks
        self.deliveries.append(delivery)


class Sender:
    def __init__(self, server, kept, metrics):
        self.server, self.kept, self.metrics = server, kept, metrics

    def signed(self, body, delivery="msg_1", secret=SECRET, at=NOW):
        stamp = str(int(at.timestamp()))
        signature = base64.b64encode(sign(keys_of(secret)[0], delivery, stamp, body)).decode()
        return {"webhook-id": delivery, "webhook-timestamp": stamp, "webhook-signature": f"v1,{signature}"}

    def send(self, body, delivery="msg_1", *, headers=None, method="POST", path=None):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        asked = urllib.request.Request(
            path or self.server.url,
            data=data,
            headers=self.signed(data, delivery) if headers is None else headers,
            method=method,
        )
        try:
            with urllib.request.urlopen(asked, timeout=20) as answer:
                return answer.status, json.loads(answer.read()), answer.headers
        except urllib.error.HTTPError as error:
            with error:
                text = error.read()
                return error.code, json.loads(text) if text.startswith(b"{") else text, error.headers

    def outcome(self, name):
        return self.metrics.feedback_requests.labels(name)._value.get()


@contextlib.contextmanager
def serving(**changes):
    given = {"secret": {"env": "FEEDBACK_SECRET"}, "port": 0, **changes}
    config = Config.model_validate({"version": 1, "learning": {"webhook": given}})
    kept, metrics = Kept(), Metrics()
    server = FeedbackServer(config.learning.webhook, config, {}, metrics, give=kept, clock=lambda: NOW)
    server.start()
    try:
        yield Sender(server, kept, metrics)
    finally:
        kept.let.set()
        server.close()


@pytest.fixture(autouse=True)
def _secrets(monkeypatch):
    monkeypatch.setenv("FEEDBACK_SECRET", SECRET)
    monkeypatch.setenv("FEEDBACK_OLD", OTHER)


@pytest.fixture(scope="module")
def sender():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEEDBACK_SECRET", SECRET)
        with serving(max_body=20_000) as one:
            yield one


def test_what_is_signed_is_kept_and_then_answered(sender):
    status, said, _ = sender.send(GOOD, "first")
    assert (status, said) == (200, {"accepted": 1})
    feedback = sender.kept.given[-1]
    assert (feedback.id, feedback.department, feedback.by, feedback.at) == ("forum:1", "support", "Ida", NOW)
    assert sender.kept.deliveries[-1] == "first"


def test_the_standards_own_library_can_send_it():
    with serving(tolerance=3600) as sender:
        body = json.dumps(GOOD)
        signature = Standard(SECRET).sign("msg_lib", NOW, body)
        stamp = str(int(NOW.timestamp()))
        headers = {"Webhook-Id": "msg_lib", "WEBHOOK-TIMESTAMP": stamp, "webhook-signature": signature}
        assert sender.send(body.encode(), headers=headers)[0] == 200


def test_one_a_line_and_a_list_are_taken_whole(sender):
    before = len(sender.kept.given)
    lines = b"\n".join(json.dumps({**GOOD, "id": f"forum:{n}", "sentiment": "negative"}).encode() for n in range(3))
    assert sender.send(lines, "lines")[1] == {"accepted": 3}
    assert sender.send([GOOD, {"mention": {"id": "9", "text": "x"}, "spam": True, "by": "Jo"}], "list")[0] == 200
    given = sender.kept.given[before:]
    assert [one.id for one in given] == ["forum:0", "forum:1", "forum:2", "forum:1", "import:9"]
    assert given[0].sentiment is Label.NEGATIVE
    assert given[-1].mention.text == "x"


def test_it_is_answered_only_when_kafka_has_it():
    with serving() as sender:
        sender.kept.let.clear()
        answers = []
        thread = threading.Thread(target=lambda: answers.append(sender.send(GOOD)))
        thread.start()
        thread.join(0.3)
        assert answers == []
        sender.kept.let.set()
        thread.join(10)
        assert answers[0][0] == 200


def test_while_kafka_is_away_the_sender_is_told_to_come_again():
    with serving() as sender:
        sender.kept.is_away = True
        status, said, headers = sender.send(GOOD, "again")
        assert (status, headers["Retry-After"]) == (503, "5")
        assert "send it again" in said["error"]
        sender.kept.is_away = False
        assert sender.send(GOOD, "again")[0] == 200
        assert sender.send(GOOD, "again")[1] == {"accepted": 1, "repeated": True}
        assert len(sender.kept.given) == 1
        assert [sender.outcome(name) for name in ("unavailable", "accepted", "repeated")] == [1, 1, 1]


def test_at_most_so_many_wait_at_once(monkeypatch):
    monkeypatch.setattr(module, "MAX_WAITING", 1)
    with serving() as sender:
        sender.kept.let.clear()
        thread = threading.Thread(target=sender.send, args=(GOOD,))
        thread.start()
        deadline = threading.Event()
        while sender.server._waiting == 0:
            deadline.wait(0.01)
        assert sender.send(GOOD, "other")[0] == 503
        sender.kept.let.set()
        thread.join(10)


BODY = json.dumps(GOOD).encode()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda sender: {},
        lambda sender: sender.signed(BODY, secret=OTHER),
        lambda sender: sender.signed(BODY + b" "),
        lambda sender: {**sender.signed(BODY), "webhook-id": "another"},
        lambda sender: {**sender.signed(BODY), "webhook-signature": "v1,"},
        lambda sender: {**sender.signed(BODY), "webhook-signature": "v1,!!! v2,x"},
        lambda sender: {**sender.signed(BODY), "webhook-timestamp": "soon"},
        lambda sender: sender.signed(BODY, at=datetime(2026, 11, 24, 9, 24, 59, tzinfo=UTC)),
        lambda sender: sender.signed(BODY, at=datetime(2026, 11, 24, 9, 35, 1, tzinfo=UTC)),
    ],
    ids=["nothing", "secret", "body", "id", "empty", "no base64", "no time", "too old", "too early"],
)
def test_what_is_not_signed_now_by_who_knows_the_secret_is_refused(sender, wrong):
    before = len(sender.kept.given)
    status, said, _ = sender.send(BODY, headers=wrong(sender))
    assert status == 401
    assert SECRET[6:20] not in json.dumps(said)
    assert len(sender.kept.given) == before


def test_a_secret_that_changes_over_is_taken_until_it_is_taken_out():
    with serving(previous_secret={"env": "FEEDBACK_OLD"}) as sender:
        assert sender.send(BODY, headers=sender.signed(BODY, secret=OTHER))[0] == 200
        assert sender.send(BODY, "b", headers=sender.signed(BODY, "b"))[0] == 200


@pytest.mark.parametrize(
    ("row", "advice"),
    [
        ({}, "`id` is missing"),
        ({"id": "forum:1", "department": "support"}, "`by` is missing"),
        ({**GOOD, "department": "sales"}, "none of design, marketing, review, service, support"),
        ({**GOOD, "department": 3}, "`department` must be a string"),
        ({"id": "forum:1", "by": "Ida"}, "nothing to learn"),
        ({**GOOD, "sentiment": "furious"}, "none of negative"),
        ({**GOOD, "spam": "maybe"}, "`spam` must be true or false"),
        ({**GOOD, "ours": 1}, "`ours` must be true or false"),
        ({**GOOD, "mention": "x"}, "`mention` must be an object"),
        ({**GOOD, "by": "x" * 300}, "`by` is too long"),
        ([], None),
        ("text", "expected a JSON object"),
        (None, "expected a JSON object"),
    ],
)
def test_a_wrong_body_is_refused_with_advice(sender, row, advice):
    status, said, _ = sender.send(row, f"wrong {advice}".replace(" ", "-")[:40])
    if advice is None:
        assert (status, said) == (200, {"accepted": 0})
        return
    assert (status, said["error"], said["count"]) == (400, "nothing was taken", 1)
    assert advice in said["mistakes"][0]


def test_of_a_list_with_a_mistake_nothing_is_taken_and_the_place_is_named(sender):
    before = len(sender.kept.given)
    status, said, _ = sender.send([GOOD, {"id": "x"}], "half")
    assert status == 400
    assert said["mistakes"][0].startswith("feedback 2: ")
    assert len(sender.kept.given) == before


def test_a_body_that_is_too_large_or_too_many_is_refused(sender, monkeypatch):
    assert sender.send(b"x" * 20_001, "large")[0] == 413
    monkeypatch.setattr(module, "MAX_MANY", 3)
    assert sender.send([GOOD] * 4, "many")[0] == 413


def test_other_paths_and_methods_are_no_endpoint(sender):
    assert sender.send(GOOD, path=sender.server.url + "/more")[0] == 404
    assert sender.send(GOOD, method="PUT")[0] == 405


def test_a_body_that_breaks_off_or_is_packed_wrongly_ends_nothing(sender):
    host, port = sender.server.url.removeprefix("http://").partition("/")[0].split(":")
    with socket.create_connection((host, int(port)), 5) as raw:
        raw.sendall(b"POST /feedback HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
    bad = {**sender.signed(BODY, "packed"), "Content-Encoding": "gzip"}
    assert sender.send(BODY, headers=bad)[0] == 400
    packed = gzip.compress(BODY)
    assert sender.send(packed, headers=bad)[0] == 200  # signed are the bytes of the body, not of its packing


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.binary(max_size=300),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
            lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
            max_leaves=12,
        ).map(lambda value: json.dumps(value).encode()),
        st.dictionaries(
            st.sampled_from(["id", "by", "department", "ours", "done", "sentiment", "spam", "mention"]),
            st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.dictionaries(st.text(), st.text()),
        ).map(lambda value: json.dumps(value).encode()),
    ),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20),
)
def test_whatever_is_sent_is_answered_and_never_with_an_error_of_ours(sender, body, delivery):
    status, said, _ = sender.send(body, delivery)
    assert status in {200, 400, 413}
    assert isinstance(said, dict)
    assert sender.outcome("failed") == 0


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.fixed_dictionaries(
        {},
        optional={
            name: st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60)
            for name in ("webhook-id", "webhook-timestamp", "webhook-signature", "Content-Type")
        },
    )
)
def test_whatever_the_headers_say_without_the_secret_it_is_refused(sender, headers):
    before = len(sender.kept.given)
    assert sender.send(BODY, headers=headers)[0] == 401
    assert len(sender.kept.given) == before


def test_outcomes_are_counted_in_a_closed_set(sender):
    counted = {name: sender.outcome(name) for name in OUTCOMES}
    assert counted["accepted"] > 0 < counted["unsigned"]
    assert counted["invalid"] > 0


@pytest.mark.parametrize("secret", ["short", "whsec_!!!", "whsec_YWJj"])
def test_a_secret_that_is_none_is_named_with_how_to_make_one(monkeypatch, secret):
    monkeypatch.setenv("FEEDBACK_SECRET", secret)
    with pytest.raises(ConfigError, match=r"learning\.webhook\.secret: .*make one with") as error, serving():
        pass
    assert secret not in str(error.value)


def test_a_port_in_use_is_said(monkeypatch):
    monkeypatch.setattr(module, "PORT_PATIENCE", 0.3)
    with serving() as sender:
        port = int(sender.server.url.rpartition(":")[2].partition("/")[0])
        with pytest.raises(ConfigError, match="set `port` to another one"), serving(port=port):
            pass
