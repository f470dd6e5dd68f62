"""Learning on real Kafka: from a word to its effect in all workers, exactly once through kill -9, and what survives."""

import base64
import collections
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
import zlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from confluent_kafka import Producer
from standardwebhooks import Webhook as Standard

from pipeline.config.model import Config
from pipeline.contract import codec
from pipeline.contract.codec import header, mention_from_json
from pipeline.contract.events import Erasure, Feedback, JudgedMention, Label, Lesson, State, Voice
from pipeline.contract.metrics import Metrics
from pipeline.core.dedup import Memory
from pipeline.core.learning.shelf import Shelf
from pipeline.core.triage import Triage
from pipeline.runtime.health import Health
from pipeline.runtime.learning.lessons import Lessons
from pipeline.runtime.learning.role import serve
from pipeline.runtime.learning.worker import STAGE, LearningWorker
from pipeline.runtime.reading import Reader
from pipeline.runtime.roles import Role
from pipeline.runtime.triage import TriageWorker

pytestmark = pytest.mark.kafka
ROOT = Path(__file__).parents[2]
NOW = datetime.now(UTC)
SIMPLE = Config(version=1)


def until(condition, seconds=60.0, every=0.02):
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(every)
    return answer


def a_mention(number, text, **more):
    row = {"id": str(number), "source": "forum", "text": text, "language": "en", **more}
    return mention_from_json(row, now=datetime.now(UTC))


def a_word(number, text="my dongle blinks", by="Ida", **said):
    mention = a_mention(number, text)
    return Feedback(id=mention.id, at=datetime.now(UTC), by=by, mention=mention, **said)


def send(client, topic, events):
    producer = Producer({**client, "partitioner": "murmur2_random", "message.max.bytes": 2_500_000})
    for event in events:
        value = event if isinstance(event, bytes) else codec.encode(event)
        producer.produce(topic, value, None if isinstance(event, bytes) else getattr(event, "key", event.id))
    assert producer.flush(20) == 0


def read(client, *topics):
    with Reader(client, topics, "beginning") as reader:
        return list(reader.until_end())


def lessons(client):
    """Every lesson that was committed, also those that were taken away since."""
    records = [
        message for message in read(client, "lessons") if message.key().startswith(b"lesson/") and message.value()
    ]
    return [codec.decode(Lesson, message.value()) for message in records]


class Told:
    """What the role tells the supervisor."""

    def __init__(self):
        self.facts = {}

    def tell(self, **facts):
        self.facts.update(facts)


class Running:
    """A worker in a thread of this process."""

    def __init__(self, worker, metrics, stage):
        self.worker, self.metrics, self.stage, self.error = worker, metrics, stage, None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        try:
            self.worker.run()
        except Exception as error:
            self.error = error

    def value(self, metric, *labels):
        return metric.labels(*labels)._value.get()

    def received(self):
        return self.value(self.metrics.received, self.stage)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.worker.stop()
        self.thread.join(30)
        assert not self.thread.is_alive()


def learning(client, config=SIMPLE, instance="l"):
    metrics = Metrics()
    return Running(LearningWorker(config, client, metrics, instance=instance), metrics, STAGE)


def triage(client, instance, config=SIMPLE):
    metrics = Metrics()
    return Running(TriageWorker(config, client, metrics, instance=instance), metrics, "triage")


def decided(client):
    """The newest decision about each mention."""
    found = {}
    for message in read(client, "mentions-enriched"):
        judged = codec.decode(JudgedMention, message.value())
        found[judged.id] = judged
    return found


def sums(running):
    metrics = running.metrics
    discarded = sum(running.value(metrics.discarded, STAGE, why) for why in ("duplicate", "capped", "nothing_to_learn"))
    dead = sum(
        running.value(metrics.dead_letters, STAGE, why)
        for why in ("undecodable", "invalid", "too_large", "failed", "unknown_mention", "unknown_department")
    )
    return running.received(), running.value(metrics.processed, STAGE), discarded, dead


def command(client, *words):
    """One command as a person gives it."""
    return subprocess.run(
        [sys.executable, "-m", "pipeline", *words, "--broker", client["bootstrap.servers"]],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "EARSHOT_CONFIG": str(Path(__file__).with_name("smallest.yaml"))},
        timeout=60,
        check=False,
    )


def test_a_word_is_followed_by_both_workers_in_less_than_five_seconds_and_each_decision_can_be_repeated(own_kafka):
    with learning(own_kafka) as learner, triage(own_kafka, "a") as one, triage(own_kafka, "b") as two:
        until(lambda: learner.worker.is_learning and one.worker.next and two.worker.next)
        send(own_kafka, "mentions", [a_mention(f"before-{n}", "my dongle blinks") for n in range(40)])
        until(lambda: len(decided(own_kafka)) == 40)
        assert {judged.decision.learned for judged in decided(own_kafka).values()} == {None}
        for number in range(8):  # the last of them proves that what was learned is better
            send(own_kafka, "feedback", [a_word(number, f"dongle blinks {number}", department="design")])
        said_at = time.monotonic()
        until(lambda: all(w.worker.triage.taught.version for w in (one, two)), 5)
        took = time.monotonic() - said_at  # 0.2 to 0.6 s on two cores that are busy with all of it
        send(own_kafka, "mentions", [a_mention(f"after-{n}", "my dongle blinks") for n in range(40)])
        until(lambda: len(decided(own_kafka)) == 80)
        assert one.received() > 0 < two.received()
        assert took < 5
    found = decided(own_kafka)
    after = [judged for name, judged in found.items() if "after" in name]
    assert {judged.departments for judged in after} == {("design",)}
    assert {judged.departments for name, judged in found.items() if "before" in name} != {("design",)}
    (version,) = {judged.decision.learned for judged in after}
    again = Triage(SIMPLE)
    reader = Lessons(own_kafka)
    again.taught = reader.read().taught(SIMPLE.learning.proof, upto=int(version.split("-")[0]))
    reader.close()
    assert again.taught.version == version
    first = after[0]
    repeated = again.judge(codec.plain(first), Memory(1), NOW)
    assert (repeated.decision, repeated.department_scores) == (first.decision, first.department_scores)
    told = command(own_kafka, "explain", first.id, "--again")
    assert told.returncode == 0, told.stderr
    assert f"made again with {version}: the same" in told.stdout


def test_received_is_learned_and_discarded_and_dead_lettered_each_with_its_reason(own_kafka):
    config = Config.model_validate(
        {
            "version": 1,
            "departments": {"support": {}, "design": {}, "lost-and-found": {}},
            "learning": {"per_author": 3},
        }
    )
    send(own_kafka, "mentions", [a_mention("known", "It keeps crashing")])
    with triage(own_kafka, "a", config):
        until(lambda: decided(own_kafka))
    words = [
        a_word(1, department="design"),
        a_word(1, department="design"),  # the same again
        a_word(1, department="design", by="Jo"),
        a_word(2, department="lost-and-found"),  # stands for none that is learned
        a_word(3, ours=True),  # nobody knows whose
        Feedback(id="forum:known", at=NOW, by="Jo", department="support"),
        Feedback(id="forum:never", at=NOW, by="Jo", department="support"),
        a_word(4, department="sales"),
        a_word(5),
        a_word(6, sentiment=Label.NEGATIVE, spam=False),
        a_word(7, department="design"),  # more than Ida may
        b"\xff",
        b"{}",
        b"[" * 100_000,
        b'"' + b"a" * 1_100_000 + b'"',
    ]
    send(own_kafka, "feedback", words)
    with learning(own_kafka, config) as running:
        until(lambda: running.received() == len(words))
        assert sums(running) == (15, 4, 4, 7)
        why = {
            name: running.value(running.metrics.discarded, STAGE, name)
            for name in ("duplicate", "capped", "nothing_to_learn")
        }
        assert why == {"duplicate": 1, "capped": 1, "nothing_to_learn": 2}
    letters = read(own_kafka, "feedback-dlq")
    reasons = collections.Counter(header(letter.headers(), "dlq_reason") for letter in letters)
    assert reasons == {
        "unknown_mention": 1,
        "unknown_department": 1,
        "invalid": 3,
        "undecodable": 1,
        "too_large": 1,
    }
    assert [lesson.number for lesson in lessons(own_kafka)] == [1, 2, 3, 4, 5]
    by_name = [lesson for lesson in lessons(own_kafka) if lesson.id == "forum:known"]
    assert "crashing" in by_name[0].words
    assert running.value(running.metrics.feedback_departments, "support", "right") == 1


def test_what_was_learned_and_counted_survives_a_restart(own_kafka):
    config = Config.model_validate({"version": 1, "learning": {"per_author": 150}})
    send(own_kafka, "feedback", [a_word(n, f"dongle blinks {n}", department="design") for n in range(130)])
    with learning(own_kafka, config) as running:
        until(lambda: running.received() == 130)
        before = running.worker.triage.taught
    send(own_kafka, "feedback", [a_word(n, f"dongle blinks {n}", department="design") for n in range(160)])
    with learning(own_kafka, config) as running:
        until(lambda: running.worker.is_learning)
        restored = running.worker.triage.taught
        until(lambda: running.received() == 160)
        assert running.value(running.metrics.discarded, STAGE, "duplicate") == 130
        assert running.value(running.metrics.discarded, STAGE, "capped") == 10
    assert restored is not before
    assert [lesson.number for lesson in lessons(own_kafka)] == list(range(1, 151))
    reader = Lessons(own_kafka)
    shelf = reader.read()
    reader.close()
    assert shelf.whole() == [100]
    assert shelf.taught(5, upto=130).version == before.version
    scratch = Shelf()
    scratch.lessons = shelf.lessons  # from the first lesson on, without the state that was written down
    assert scratch.taught(5).dump() == shelf.taught(5).dump()


def test_stars_teach_how_texts_feel_and_less_than_people_do(own_kafka):
    reviews = [
        a_mention(n, f"zippy little gizmo number {n}", kind="review", rating={"value": 5}, author={"id": f"a{n % 3}"})
        for n in range(24)
    ]
    send(own_kafka, "mentions", [*reviews, a_mention("plain", "zippy"), a_mention("bare", "", rating={"value": 1})])
    with triage(own_kafka, "a") as worker:
        until(lambda: worker.received() == 26)
    words = [codec.decode(Feedback, message.value()) for message in read(own_kafka, "feedback")]
    assert {(word.voice, word.sentiment) for word in words} == {(Voice.STARS, Label.POSITIVE)}
    assert sorted(word.id for word in words) == sorted(review.id for review in reviews)
    with learning(own_kafka) as running:
        until(lambda: running.received() == 24)
        assert running.value(running.metrics.discarded, STAGE, "capped") == 24 - 3 * 5
    learned = lessons(own_kafka)
    assert {(lesson.about, lesson.truth, lesson.weight) for lesson in learned} == {("sentiment", "positive", 0.25)}
    assert len({lesson.author for lesson in learned}) == 3
    assert all(lesson.known[2] < -0.1 for lesson in learned), "the stars themselves are not held against the text"


def test_one_learns_and_the_other_stands_by_until_it_is_needed(own_kafka):
    send(own_kafka, "feedback", [a_word(n, department="design") for n in range(3)])
    with learning(own_kafka, instance="two") as second:
        with learning(own_kafka, instance="one") as first:
            until(
                lambda: (
                    first.worker.is_learning != second.worker.is_learning
                    and first.worker.has_partition != second.worker.has_partition
                )
            )
            until(lambda: first.received() + second.received() == 3)
        until(lambda: second.worker.is_learning)
        send(own_kafka, "feedback", [a_word("more", department="design")])
        until(lambda: len(lessons(own_kafka)) == 4)
    assert [lesson.number for lesson in lessons(own_kafka)] == [1, 2, 3, 4]


def process(client, instance, failpoints=""):
    command = [sys.executable, "-m", "pipeline", "run", "learning", "--broker", client["bootstrap.servers"]]
    command += ["--instance", instance, "--config", str(Path(__file__).with_name("smallest.yaml"))]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "EARSHOT_FAILPOINTS": failpoints},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def test_a_learner_killed_in_the_middle_learns_nothing_twice_and_forgets_nothing(own_kafka):
    """It dies before its first commit, then after one, then before the next: a batch has at most 200 of the 240."""
    words = [a_word(n, f"dongle {n} blinks", by=f"person {n % 5}", department="design") for n in range(240)]
    send(own_kafka, "feedback", words)
    plans = ["learning.before_commit=kill", "learning.after_commit=kill", "learning.before_commit=kill", ""]
    deaths = 0
    worker = process(own_kafka, "k", plans[deaths])

    def all_learned():
        nonlocal worker, deaths
        if worker.poll() is not None:
            deaths += worker.returncode == -signal.SIGKILL  # who cannot begin yet ends, too, and is started again
            worker = process(own_kafka, "k", plans[deaths])
        return deaths == 3 and len(lessons(own_kafka)) >= 240

    try:
        until(all_learned, 90, every=0.2)
    finally:
        worker.kill()
        worker.wait()
    found = lessons(own_kafka)
    assert [lesson.number for lesson in found] == list(range(1, 241))
    assert collections.Counter(lesson.id for lesson in found) == dict.fromkeys((word.id for word in words), 1)


def test_the_command_finds_the_mention_and_its_word_is_learned(own_kafka):
    send(own_kafka, "mentions", [a_mention("7", "It keeps crashing since the update")])
    with triage(own_kafka, "a"):
        until(lambda: decided(own_kafka))

    done = command(own_kafka, "feedback", "forum:7", "--ours", "--by", "Ida")
    assert done.returncode == 0, done.stderr
    assert "forum:7 (went to support" in done.stdout
    (message,) = read(own_kafka, "feedback")
    given = json.loads(message.value())
    assert given["departments"] == ["support"]
    assert given["rules"]
    assert "decision" not in given["mention"]
    with learning(own_kafka) as running:
        until(lambda: running.received() == 1)
    (lesson,) = lessons(own_kafka)
    assert (lesson.about, lesson.truth, lesson.author[:7]) == ("department", "support", "person:")
    assert "Ida" not in lesson.author
    unknown = command(own_kafka, "feedback", "forum:8", "--spam", "--by", "Ida")
    assert unknown.returncode == 1
    assert "no decision about forum:8 is kept" in unknown.stderr


def test_a_signed_request_is_learned_and_a_repeated_one_is_not_learned_twice(own_kafka, monkeypatch):
    secret = "whsec_" + base64.b64encode(b"thirty-two bytes of a test secret").decode()
    monkeypatch.setenv("FEEDBACK_SECRET", secret)
    config = Config.model_validate(
        {"version": 1, "learning": {"webhook": {"secret": {"env": "FEEDBACK_SECRET"}, "port": 0}}}
    )
    role = Role(STAGE, config, own_kafka, "t", Metrics(), Health(), Told(), threading.Event())
    thread = threading.Thread(target=serve, args=(role,))
    thread.start()
    try:
        url = until(lambda: role.status.facts.get("address"))
        until(lambda: not role.health.why_not_ready())
        body = json.dumps({"mention": {"id": "1", "text": "dongle"}, "department": "design", "by": "Ida"}).encode()

        def send(delivery):
            at = datetime.now(UTC)
            signature = Standard(secret).sign(delivery, at, body.decode())
            headers = {
                "webhook-id": delivery,
                "webhook-timestamp": str(int(at.timestamp())),
                "webhook-signature": signature,
            }
            with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=20) as answer:
                return json.loads(answer.read())

        assert send("one") == {"accepted": 1}
        assert len(read(own_kafka, "feedback")) == 1, "it is answered when Kafka has it"
        assert send("one") == {"accepted": 1, "repeated": True}
        assert send("two") == {"accepted": 1}
        until(lambda: role.metrics.received.labels(STAGE)._value.get() == 2)
        assert role.metrics.discarded.labels(STAGE, "duplicate")._value.get() == 1
    finally:
        role.stop.set()
        thread.join(30)
    assert not thread.is_alive()
    assert [lesson.id for lesson in lessons(own_kafka)] == ["import:1"]


def test_what_was_erased_is_forgotten_by_the_learner_and_by_those_who_follow(own_kafka):
    words = [a_word(n, f"dongle blinks secretword{n}", department="design") for n in range(12)]
    send(own_kafka, "feedback", words)
    with learning(own_kafka) as learner, triage(own_kafka, "a") as worker:
        until(lambda: worker.worker.triage.taught.number == 12)
        before = worker.worker.triage.taught.version
        send(own_kafka, "erasures", [Erasure(id="forum:3", reason=State.DELETED, at=NOW)])
        until(lambda: worker.worker.triage.taught.version not in ("", before))
        send(own_kafka, "feedback", [words[3], a_word(99, "dongle", department="design")])
        until(lambda: worker.worker.triage.taught.number == 13)
        assert learner.value(learner.metrics.discarded, STAGE, "erased") == 1
        versions = {running.worker.triage.taught.version for running in (learner, worker)}
        known = [learner.worker.triage.taught.dump(), worker.worker.triage.taught.dump()]
    with triage(own_kafka, "b") as late:
        until(lambda: late.worker.triage.taught.number == 13)
        assert versions == {late.worker.triage.taught.version}
        assert known == [late.worker.triage.taught.dump()] * 2
    assert b"secretword3" not in zlib.decompress(known[0])
    assert b"secretword4" in zlib.decompress(known[0])
    with learning(own_kafka) as again:
        until(lambda: again.worker.is_learning)
        assert again.worker.triage.taught.version in versions
        assert "forum:3" not in {lesson.id for lesson in again.worker._shelf.lessons.values()}
