"""What is told to whom: a table of cases, and sequences with restarts, failures and lost answers."""

from __future__ import annotations

import collections
import itertools
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.contract.events import AlertStatus, Reason, Severity
from pipeline.core.notifying import log as logs
from pipeline.core.notifying import pacing
from pipeline.core.notifying.plan import MAX_AGE, Plan
from pipeline.core.notifying.values import Became, Occasion, Receiver, Record, Told
from tests.notifiers.alerts import NOW, an_alert, resolved

ALL = frozenset(Severity)
PAGER = Receiver("pager", frozenset({Severity.CRITICAL, Severity.WARNING}), 14_400, 21_600)
KEEPER = Receiver("keeper", ALL, 60, 21_600, keeps_state=True)
CRITICAL = Receiver("critical", frozenset({Severity.CRITICAL}), 0, 21_600)


def later(seconds):
    return NOW + timedelta(seconds=seconds)


class Desk:
    """A plan with its topic, driven by hand."""

    def __init__(self, *receivers):
        self.receivers = receivers or (PAGER,)
        self.plan = Plan(self.receivers)
        self.topic = []
        self.now = NOW
        self.finished = []
        self.committed = (0, "")

    def put(self, *alerts):
        for alert in alerts:
            self.topic.append(Record(len(self.topic), self.now, alert))
            self.plan.take(self.topic[-1], self.now)

    def send(self, refuse=(), fail=()):
        """Send what is due until nothing is; return occasion and receiver of each delivery."""
        told = []
        while work := self.plan.due(self.now):
            for one in work:
                name = one.notification.receiver
                if name in refuse:
                    self.plan.refused(one, "no", self.now)
                elif name in fail:
                    self.plan.failed(one, "down", self.now, chance=0.5)
                else:
                    told.append((one.notification.occasion.value, name))
                    self.plan.delivered(one, self.now)
        self.settle()
        return told

    def settle(self):
        self.finished += self.plan.finished()
        self.committed = self.plan.position()

    def wait(self, seconds):
        self.now += timedelta(seconds=seconds)

    def restart(self, *, slowly=False):
        """Begin again from what was committed; `slowly` sends after each record. Return what was sent."""
        position, text = self.committed
        self.plan = Plan.restored(
            self.receivers,
            pacing.Waits(),
            position=position,
            past=self.topic[:position],
            ahead=self.topic[position:],
            log=logs.decode(text),
            now=self.now,
        )
        told = []
        for record in self.topic[position:]:
            self.plan.take(record, self.now)
            self.settle()  # a worker may commit between any two records
            told += self.send() if slowly else []
        return told


def test_an_incident_fires_once_and_is_resolved_once():
    desk = Desk()
    desk.put(an_alert(0))
    assert desk.send() == [("firing", "pager")]
    desk.put(an_alert(1), resolved(2))
    assert desk.send() == [("resolved", "pager")]
    assert desk.send() == []
    assert [one.became for one in desk.finished] == [Became.PROCESSED] * 3
    assert desk.committed[0] == 3


def test_a_rise_in_severity_is_told_and_a_mere_update_is_not():
    desk = Desk()
    desk.put(an_alert(0))
    desk.send()
    desk.put(an_alert(1))
    assert desk.send() == []
    desk.put(an_alert(2, severity=Severity.CRITICAL))
    assert desk.send() == [("updated", "pager")]


def test_one_that_keeps_state_gets_every_update_and_keeps_the_severity_it_was_first_told():
    desk = Desk(KEEPER)
    desk.put(an_alert(0))
    desk.send()
    desk.put(an_alert(1, severity=Severity.CRITICAL))
    (work,) = desk.plan.due(desk.now)
    assert work.notification.opened_as is Severity.WARNING
    desk.plan.delivered(work, desk.now)
    desk.settle()
    desk.restart()
    (again,) = desk.plan.due(desk.now)
    assert (again.notification.occasion, again.notification.opened_as) == (Occasion.REPEATED, Severity.WARNING)


def test_one_that_hears_critical_only_is_told_when_it_becomes_so_and_when_it_is_over():
    desk = Desk(CRITICAL)
    desk.put(an_alert(0))
    assert desk.send() == []
    assert desk.finished[-1] == type(desk.finished[-1])(0, Became.DISCARDED, Reason.MUTED, "severity")
    desk.put(an_alert(1, severity=Severity.CRITICAL))
    assert desk.send() == [("firing", "critical")]
    desk.put(resolved(2))
    assert desk.send() == [("resolved", "critical")]


def test_nobody_is_told_of_what_is_held_nor_that_it_is_over():
    desk = Desk(PAGER, KEEPER)
    desk.put(an_alert(0, held=True), an_alert(1, held=True, severity=Severity.CRITICAL), resolved(2, held=True))
    desk.wait(100_000)
    assert desk.send() == []
    desk.restart()
    assert desk.send() == []
    assert [one.held for one in desk.finished] == ["held"] * 3


def test_an_incident_that_is_held_no_longer_is_told_then():
    desk = Desk()
    desk.put(an_alert(0, held=True))
    assert desk.send() == []
    desk.put(an_alert(1))
    assert desk.send() == [("firing", "pager")]


def test_who_knows_that_it_fires_hears_that_it_is_over_even_when_that_is_held():
    desk = Desk()
    desk.put(an_alert(0))
    desk.send()
    desk.put(resolved(1, held=True))
    assert desk.send() == [("resolved", "pager")]


def test_what_still_fires_is_repeated_and_a_restart_changes_nothing_about_when():
    desk = Desk()
    desk.put(an_alert(0))
    desk.send()
    desk.wait(14_000)
    desk.restart()
    assert desk.send() == []
    desk.wait(401)
    assert desk.send() == [("repeated", "pager")]
    desk.restart()
    assert desk.send() == []
    desk.put(resolved(1))
    desk.send()
    desk.wait(100_000)
    assert desk.send() == []


def test_one_that_forgets_is_told_all_that_fires_after_a_restart_and_nothing_that_is_over():
    desk = Desk(KEEPER, PAGER)
    desk.put(an_alert(0), an_alert(0, fingerprint="b"), resolved(1, fingerprint="b"))
    desk.send()
    desk.wait(5)
    desk.restart()
    assert desk.send() == [("repeated", "keeper")]


def test_a_receiver_that_is_down_holds_up_the_offset_and_nobody_else():
    desk = Desk(PAGER, KEEPER)
    desk.put(an_alert(0))
    assert desk.send(fail={"pager"}) == [("firing", "keeper")]
    desk.put(an_alert(0, fingerprint="b"))
    assert desk.send(fail={"pager"}) == [("firing", "keeper")]
    assert desk.committed[0] == 0
    desk.restart()
    told = desk.send()
    assert sorted(one for one in told if one[1] == "pager") == [("firing", "pager")] * 2
    assert [one for one in told if one[1] == "keeper"] == []  # the log that was committed with the offset knows
    assert desk.committed[0] == 2


def test_what_is_over_and_told_beyond_the_offset_is_not_told_again():
    desk = Desk(PAGER, KEEPER)
    desk.put(an_alert(0))
    desk.send(fail={"pager"})
    for fingerprint in ("b", "c"):
        told = [an_alert(0, fingerprint=fingerprint, severity=Severity.INFO), resolved(1, fingerprint=fingerprint)]
        desk.put(*told)
        assert desk.send(fail={"pager"}) == [("firing", "keeper"), ("resolved", "keeper")]
    desk.restart()
    assert desk.restart(slowly=True) == [("firing", "pager")]
    assert desk.committed[0] == 5


def test_an_end_that_was_refused_is_not_followed_by_another_beginning():
    desk = Desk(PAGER, KEEPER)
    desk.put(an_alert(0))
    desk.send(fail={"keeper"})
    desk.put(resolved(1))
    desk.send(refuse={"pager"}, fail={"keeper"})
    desk.restart()
    assert ("firing", "pager") not in desk.send()


def test_what_is_being_sent_is_not_sent_a_second_time_meanwhile():
    desk = Desk(PAGER)
    desk.put(an_alert(0))
    assert len(desk.plan.due(desk.now)) == 1
    desk.wait(100_000)
    assert desk.plan.due(desk.now) == []


def test_incidents_of_one_receiver_do_not_wait_for_each_other():
    desk = Desk()
    desk.put(an_alert(0), an_alert(0, fingerprint="b"))
    first, second = desk.plan.due(desk.now)
    desk.plan.failed(first, "error 500", desk.now, chance=0.5)
    desk.plan.delivered(second, desk.now)
    desk.put(resolved(1, fingerprint="b"))
    assert desk.send() == [("resolved", "pager")]


def test_a_receiver_that_asks_to_wait_is_left_alone_for_all_incidents():
    desk = Desk()
    desk.put(an_alert(0))
    (work,) = desk.plan.due(desk.now)
    desk.plan.failed(work, "429", desk.now, chance=0.5, retry_after=120)
    desk.put(an_alert(0, fingerprint="b"))
    desk.wait(119)
    assert desk.send() == []
    desk.wait(1)
    assert desk.send() == [("firing", "pager")] * 2


def test_retries_wait_longer_each_time_up_to_a_minute():
    waits = [pacing.backoff(tries, 0.5) for tries in range(1, 40)]
    assert waits[:4] == [1, 2, 4, 8]
    assert waits[-1] == pacing.MAX_BACKOFF
    assert pacing.backoff(1, 0.0) == pytest.approx(0.8)
    assert pacing.backoff(1, 1.0) == pytest.approx(1.2)


def test_what_is_given_up_is_a_dead_letter_with_reason_and_count_and_is_tried_again_while_it_fires():
    desk = Desk(PAGER, KEEPER)
    desk.put(an_alert(0))
    desk.send(fail={"pager"})
    for _ in range(10):
        desk.wait(60)
        desk.send(fail={"pager"})
    assert desk.finished == []
    desk.wait(21_600)
    desk.send(fail={"pager"})
    (letter,) = desk.finished
    assert (letter.became, letter.reason) == (Became.DEAD_LETTER, Reason.FAILED)
    assert letter.error == "pager: given up after 12 attempts: down"
    assert desk.committed[0] == 1
    desk.wait(pacing.AGAIN)
    assert ("firing", "pager") in desk.send()
    desk.put(resolved(1))
    assert ("resolved", "pager") in desk.send()


def test_a_refusal_is_a_dead_letter_at_once_and_its_end_is_not_told():
    desk = Desk(PAGER, KEEPER)
    desk.put(an_alert(0))
    assert desk.send(refuse={"pager"}) == [("firing", "keeper")]
    assert desk.finished[0].error == "pager: refused at attempt 1: no"
    desk.put(resolved(1))
    assert desk.send() == [("resolved", "keeper")]
    assert desk.finished[1].became is Became.PROCESSED


def test_an_update_behind_a_refused_firing_becomes_the_firing():
    desk = Desk()
    desk.put(an_alert(0))
    (work,) = desk.plan.due(desk.now)
    desk.put(an_alert(1, severity=Severity.CRITICAL), resolved(2))
    desk.plan.refused(work, "no", desk.now)
    assert desk.send() == [("firing", "pager"), ("resolved", "pager")]


def test_the_end_behind_a_refused_firing_is_not_told():
    desk = Desk()
    desk.put(an_alert(0))
    (work,) = desk.plan.due(desk.now)
    desk.put(resolved(1))
    desk.plan.refused(work, "no", desk.now)
    assert desk.send() == []
    assert {one.offset: one.became for one in desk.finished} == {0: Became.DEAD_LETTER, 1: Became.PROCESSED}


def test_news_before_the_first_attempt_is_told_in_one():
    desk = Desk(KEEPER)
    desk.put(an_alert(0), an_alert(1), an_alert(2, severity=Severity.CRITICAL))
    (work,) = desk.plan.due(desk.now)
    assert (work.notification.occasion, work.notification.alert.sequence, work.offsets) == ("firing", 2, [0, 1, 2])
    assert work.notification.opened_as is Severity.WARNING


def test_a_record_that_comes_again_is_a_duplicate():
    desk = Desk()
    desk.put(an_alert(0), resolved(1))
    desk.send()
    desk.put(an_alert(0))
    assert desk.send() == []
    assert desk.finished[-1].reason is Reason.DUPLICATE


def test_what_was_over_long_before_it_is_read_is_told_to_nobody_and_what_still_fires_is():
    topic = [Record(0, NOW, an_alert(0)), Record(1, NOW, resolved(1)), Record(2, NOW, an_alert(0, fingerprint="b"))]
    now = later(MAX_AGE + 60)
    plan = Plan.restored((PAGER,), pacing.Waits(), position=0, past=[], ahead=topic, log=logs.Log(), now=now)
    for record in topic:
        plan.take(record, now)
    assert [work.notification.alert.fingerprint for work in plan.due(now)] == ["b"]
    assert [(one.offset, one.reason, one.held) for one in plan.finished()] == [
        (0, Reason.TOO_OLD, "too_old"),
        (1, Reason.MUTED, "not_told"),
    ]


def test_a_receiver_that_is_new_in_the_file_is_told_what_fires():
    desk = Desk(PAGER)
    desk.put(an_alert(0))
    desk.send()
    desk.receivers = (PAGER, KEEPER)
    desk.restart()
    assert desk.send() == [("firing", "keeper")]


def test_without_a_log_all_are_taken_to_have_been_told_as_usual():
    desk = Desk(PAGER, KEEPER, CRITICAL)
    desk.put(an_alert(0), an_alert(0, fingerprint="h", held=True))
    desk.send()
    desk.committed = (2, "")
    desk.restart()
    assert desk.send() == [("repeated", "keeper")]
    desk.put(resolved(1), resolved(1, fingerprint="h"))
    assert sorted(desk.send()) == [("resolved", "keeper"), ("resolved", "pager")]


def test_an_erased_incident_is_repeated_no_more():
    desk = Desk(KEEPER)
    desk.put(an_alert(0))
    desk.send()
    desk.plan.forget(an_alert(0).fingerprint)
    desk.wait(1000)
    assert desk.send() == []


def test_nothing_is_remembered_of_what_is_over():
    desk = Desk(PAGER, KEEPER)
    for number in range(50):
        desk.put(an_alert(0, fingerprint=f"f{number}"), resolved(1, fingerprint=f"f{number}"))
        desk.send()
    assert desk.committed == (100, "1|")
    assert desk.plan.waiting() == 0
    assert list(desk.plan.firing()) == []


# ---------------------------------------------------------------------------------------------------- the log

severities = st.sampled_from(sorted(Severity))
names = st.from_regex(r"[a-z0-9][a-z0-9-]{0,12}", fullmatch=True)
tolds = st.builds(Told, st.integers(0, 10_000), severities, severities, st.booleans())
entries = st.dictionaries(
    st.text(min_size=1, max_size=20), st.dictionaries(names, tolds, min_size=1, max_size=4), max_size=8
)


@given(entries)
def test_the_log_says_what_was_written(told):
    text = logs.encode(list(told.items()))
    assert len(text.encode()) <= logs.MAX_BYTES
    assert logs.decode(text) == logs.Log(told, is_whole=True)


def test_a_log_that_is_too_long_keeps_the_newest_and_says_that_it_is_not_whole():
    told = [(f"{number:016x}", {"alertmanager": Told(0, Severity.WARNING, Severity.CRITICAL)}) for number in range(500)]
    text = logs.encode(told)
    found = logs.decode(text)
    assert len(text.encode()) <= logs.MAX_BYTES
    assert not found.is_whole
    assert 120 < len(found.told) < 500
    assert all(f"{number:016x}" in found.told for number in range(400, 500))


@given(st.text(max_size=200) | st.text(max_size=200).map(lambda text: "1|" + text))
def test_any_text_is_a_log(text):
    assert isinstance(logs.decode(text), logs.Log)


# ---------------------------------------------------------------------------------- sequences, with all that happens

STEPS = st.sampled_from(
    ["ok", "ok", "ok", "down", "lost answer", "refused", "crash", "crash before commit", "wait", "wait long"]
)


@st.composite
def incidents(draw):
    """Records of up to three incidents, interleaved, each in its order."""
    lines = []
    for fingerprint in ("a", "b", "c")[: draw(st.integers(1, 3))]:
        held = draw(st.booleans()) and draw(st.booleans())
        updates = draw(st.lists(severities, min_size=1, max_size=4))
        updates.sort(key=["info", "warning", "critical"].index)
        line = [an_alert(n, fingerprint=fingerprint, severity=s, held=held) for n, s in enumerate(updates)]
        if draw(st.booleans()):
            line.append(resolved(len(line), fingerprint=fingerprint, severity=updates[-1], held=held))
        lines.append(line)
    order = draw(st.permutations([number for number, line in enumerate(lines) for _ in line]))
    return [lines[number].pop(0) for number in order]


@settings(max_examples=400, deadline=None)
@given(incidents(), st.lists(STEPS, max_size=30))
def test_whatever_happens_each_incident_fires_once_is_resolved_once_and_in_this_order(alerts, steps):
    desk = Desk(PAGER, KEEPER, CRITICAL)
    arrived = collections.defaultdict(list)  # receiver, fingerprint -> keys and occasions as they arrive
    refused = set()

    def deliver(outcome, commit=True):
        for work in desk.plan.due(desk.now):
            told = work.notification
            place = told.receiver, told.alert.fingerprint
            if outcome in ("ok", "lost answer"):
                arrived[place].append(told)
            if outcome == "ok":
                desk.plan.delivered(work, desk.now)
            elif outcome == "refused":
                refused.add(place)
                desk.plan.refused(work, "no", desk.now)
            else:
                desk.plan.failed(work, "down", desk.now, chance=0.5)
        if commit:
            desk.settle()

    coming = iter(alerts)
    for step in itertools.chain(steps, ["ok"] * len(alerts)):
        alert = next(coming, None)
        if alert is not None:
            desk.put(alert)
        if step.startswith("crash"):
            if step.endswith("commit"):
                deliver("ok", commit=False)
            desk.restart()
        elif step.startswith("wait"):
            desk.wait(4000 if step.endswith("long") else 30)
        else:
            deliver(step)
    for _ in range(12):
        desk.wait(61)
        deliver("ok")

    assert desk.committed[0] == len(alerts)  # nothing holds the offset up for good
    for (name, fingerprint), told in arrived.items():
        records = [alert for alert in alerts if alert.fingerprint == fingerprint]
        assert not any(alert.held for alert in records)
        keys = {occasion: {t.key for t in told if t.occasion is occasion} for occasion in Occasion}
        assert len(keys[Occasion.FIRING]) == 1  # more than once, perhaps, but by the same key
        assert len(keys[Occasion.RESOLVED]) <= 1
        assert told[0].occasion is Occasion.FIRING
        assert len({t.opened_as for t in told}) == 1 or (name, fingerprint) in refused
        first_end = next((at for at, t in enumerate(told) if t.occasion is Occasion.RESOLVED), None)
        if first_end is not None and (name, fingerprint) not in refused:
            rest = {t.occasion for t in told[first_end:]}
            assert Occasion.UPDATED not in rest
            assert Occasion.REPEATED not in rest
    for receiver in desk.receivers:
        for fingerprint in {alert.fingerprint for alert in alerts}:
            records = [alert for alert in alerts if alert.fingerprint == fingerprint]
            place = receiver.name, fingerprint
            wanted = any(
                alert.severity in receiver.severities and alert.status is AlertStatus.FIRING and not alert.held
                for alert in records
            )
            if wanted and place not in refused:
                occasions = {told.occasion for told in arrived[place]}
                assert Occasion.FIRING in occasions
                assert (Occasion.RESOLVED in occasions) == (records[-1].status is AlertStatus.RESOLVED)


@given(incidents())
def test_every_record_becomes_one_thing(alerts):
    desk = Desk(PAGER, KEEPER)
    desk.put(*alerts)
    desk.send()
    assert sorted(one.offset for one in desk.finished) == list(range(len(alerts)))
