"""What the stage learning counts: only what was committed, misrouting by department and rule, versions in service."""

from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import generate_latest

from pipeline.config.model import Config, Learning
from pipeline.contract.codec import mention_from_json
from pipeline.contract.events import Feedback
from pipeline.contract.metrics import Metrics
from pipeline.core.learning.gate import Gate, Refused
from pipeline.core.learning.taking import take
from pipeline.core.triage import Triage
from pipeline.runtime.learning.account import Account

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
STAGE = "learning"


class Learner:
    """Learns as the worker does, and counts."""

    def __init__(self):
        self.metrics = Metrics()
        self.account = Account(self.metrics, STAGE)
        self.triage, self.gate = Triage(Config(version=1)), Gate(Learning())
        self.account.begin()

    def learn(self, number, text="my dongle blinks", **said):
        mention = mention_from_json({"id": str(number), "text": text}, now=NOW)
        word = Feedback(id=mention.id, at=NOW - timedelta(seconds=2), by="Ida", mention=mention, **said)
        refused, learned = None, 0
        self.account.received += 1
        for taken in take(self.triage, self.gate, Learning(), word, mention, NOW):
            if isinstance(taken, Refused):
                refused = taken
            else:
                learned += 1
                self.account.lesson(*taken)
        self.account.feedback(word, None if learned else refused or Refused.NOTHING)

    def commit(self):
        self.account.commit(self.triage.taught, NOW, 0.1)
        self.account.begin()

    def value(self, name, *labels):
        return getattr(self.metrics, name).labels(*labels)._value.get()


@pytest.fixture
def learner():
    return Learner()


def test_nothing_is_counted_before_it_is_committed(learner):
    learner.learn(1, department="design", departments=("support",), rules=("how-to",))
    assert learner.value("received", STAGE) == 0
    assert learner.value("feedback_departments", "support", "wrong") == 0
    learner.commit()
    assert learner.value("received", STAGE) == learner.value("processed", STAGE) == 1
    assert learner.value("feedback_departments", "support", "wrong") == 1
    learner.commit()
    assert learner.value("received", STAGE) == 1


def test_an_aborted_batch_leaves_no_trace(learner):
    learner.learn(1, department="design")
    learner.account.begin()
    learner.commit()
    assert learner.value("received", STAGE) == learner.value("processed", STAGE) == 0


def test_misrouting_is_counted_by_department_and_rule_and_a_repeated_word_once(learner):
    learner.learn(1, department="design", departments=("support", "service"), rules=("how-to", "crash"))
    learner.learn(1, department="design", departments=("support", "service"), rules=("how-to", "crash"))
    learner.learn(2, ours=True, departments=("support",), rules=("crash",))
    learner.commit()
    assert learner.value("feedback_departments", "support", "wrong") == 1
    assert learner.value("feedback_departments", "service", "wrong") == 1
    assert learner.value("feedback_departments", "support", "right") == 1
    assert learner.value("feedback_rules", "crash", "wrong") == learner.value("feedback_rules", "crash", "right") == 1
    assert learner.value("feedback_rules", "how-to", "wrong") == 1
    assert learner.value("discarded", STAGE, "duplicate") == 1


def test_the_confusion_is_of_what_was_said_before_the_label(learner):
    for number in range(12):
        learner.learn(number, department="design")
    learner.commit()
    before = sum(
        learner.value("feedback", "department", said, "design") for said in ("service", "support", "marketing")
    )
    assert before > 0 < learner.value("feedback", "department", "design", "design")
    assert before + learner.value("feedback", "department", "design", "design") == 12
    assert learner.value("model_changes", "department", "promoted") == 1
    assert learner.value("lessons", STAGE) == 12
    assert learner.value("model_loss", "department", "candidate") < learner.value("model_loss", "department", "shipped")


def test_the_version_in_service_is_one_series_a_line(learner):
    learner.commit()
    for number in range(60):
        learner.learn(number, f"dongle {number}", department="design")
        learner.commit()
    page = generate_latest(learner.metrics.registry).decode()
    shown = [line for line in page.splitlines() if line.startswith("earshot_model_info{")]
    assert len(shown) == 3
    kept = learner.triage.taught.lines["department"].kept.version
    assert any(f'about="department",version="{kept[:12]}"' in line for line in shown)
    assert sum('version=""' in line for line in shown) == 2


def test_the_time_from_said_to_learned_is_measured(learner):
    learner.learn(1, department="design")
    learner.commit()
    assert learner.metrics.lesson_seconds.labels(STAGE)._sum.get() == pytest.approx(2.0)


def test_rules_are_counted_by_name_up_to_a_bound(learner, monkeypatch):
    monkeypatch.setattr("pipeline.runtime.learning.account.RULES", 2)
    learner.learn(1, department="design", departments=("support",), rules=("a", "b", "c"))
    learner.commit()
    page = generate_latest(learner.metrics.registry).decode()
    assert 'rule="b"' in page
    assert 'rule="c"' not in page
