"""What the stage learning counts: gathered in a batch, counted once it is committed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from math import exp
from typing import Final

import structlog

from pipeline.contract.events import About, Feedback, Lesson
from pipeline.contract.metrics import Metrics
from pipeline.core.learning.gate import Refused
from pipeline.core.learning.line import Change, Predicted
from pipeline.core.learning.quality import Quality
from pipeline.core.learning.saying import verdicts
from pipeline.core.taught import CLASSES, KEEP_EVERY, Taught

RULES: Final = 500  # rules with feedback that are counted each by its name: a closed set, but a company's own
SHOWN: Final = 12  # digits of a version

log = structlog.get_logger(__name__)


class Account:
    """The sums of a batch, and how well what is in service does."""

    def __init__(self, metrics: Metrics, stage: str) -> None:
        self._metrics = metrics
        self._stage = stage
        self._quality = {about: Quality() for about in About}
        self._rules: set[str] = set()
        self._infos: dict[About, str] = {}
        self.begin()
        for about, classes in CLASSES.items():
            for change in Change:
                metrics.model_changes.labels(about.value, change.value)
            for said in classes:
                for truth in classes:
                    metrics.feedback.labels(about.value, said, truth)
            metrics.model_drift.labels(about.value)
        metrics.lessons.labels(stage)

    def begin(self) -> None:
        """Begin a batch."""
        self.received = self.dead = 0
        self.wrote_state = False
        self.sent: Counter[str] = Counter()
        self._counts: list[Callable[[], None]] = []
        self._said: list[datetime] = []

    def feedback(self, feedback: Feedback, refused: Refused | None) -> None:
        """Count a feedback: learned, or why not; and what it says of the decision it is about."""
        metrics, stage = self._metrics, self._stage
        if refused is not None:
            self._counts.append(metrics.discarded.labels(stage, refused.value).inc)
        else:
            self._counts.append(metrics.processed.labels(stage).inc)
            self._said.append(feedback.at)
        if refused is Refused.DUPLICATE:
            return  # it was counted when it was said first
        found = verdicts(feedback)
        for department, verdict in found.items():
            self._counts.append(metrics.feedback_departments.labels(department, verdict).inc)
        if found:
            verdict = min(found.values())  # `right` before `wrong`
            for rule in feedback.rules:
                if rule in self._rules or len(self._rules) < RULES:
                    self._rules.add(rule)
                    self._counts.append(metrics.feedback_rules.labels(rule, verdict).inc)

    def lesson(self, lesson: Lesson, predicted: Predicted) -> None:
        """Count a lesson, and what was said about it before."""
        classes = CLASSES[lesson.about]
        said = classes[max(range(len(classes)), key=predicted.service.__getitem__)]
        self._counts.append(self._metrics.feedback.labels(lesson.about.value, said, lesson.truth).inc)
        self._quality[lesson.about].count(predicted)
        self.wrote_state |= lesson.number % KEEP_EVERY == 0
        if predicted.change is not None:
            change = predicted.change
            self._counts.append(self._metrics.model_changes.labels(lesson.about.value, change.value).inc)
            log.info(
                "model changed", stage=self._stage, about=lesson.about.value, change=change.value, lesson=lesson.number
            )

    def letter(self, reason: str) -> None:
        """Count a dead letter."""
        self.dead += 1
        self._counts.append(self._metrics.dead_letters.labels(self._stage, reason).inc)

    def commit(self, taught: Taught, now: datetime, seconds: float) -> None:
        """Move the counters. `seconds` is what the batch took."""
        metrics, stage = self._metrics, self._stage
        metrics.received.labels(stage).inc(self.received)
        for count in self._counts:
            count()
        for topic, sent in self.sent.items():
            metrics.sent.labels(stage, topic).inc(sent)
        metrics.transactions.labels(stage, "committed").inc()
        metrics.stage_seconds.labels(stage).observe(seconds)
        for at in self._said:
            metrics.lesson_seconds.labels(stage).observe(max(0.0, (now - at).total_seconds()))
        self.state(taught)

    def state(self, taught: Taught) -> None:
        """Show which versions there are and how they do."""
        metrics = self._metrics
        metrics.lessons.labels(self._stage).set(taught.number)
        for about, line in taught.lines.items():
            name = about.value
            shown = "" if line.kept is None else line.kept.version[:SHOWN]  # what was kept last: it changes seldom
            before = self._infos.get(about)
            if before is not None and before != shown:
                metrics.model_info.remove(name, before)
            self._infos[about] = shown
            metrics.model_info.labels(name, shown).set(1)
            metrics.model_evidence.labels(name, "better").set(exp(line.better))
            metrics.model_evidence.labels(name, "worse").set(exp(line.worse))
            metrics.model_drift.labels(name).set(self._quality[about].drift)
            for model, loss in self._quality[about].losses.items():
                metrics.model_loss.labels(name, model).set(loss)
