"""Asks the stronger model about a batch's uncertain texts, within its time, while the batch is being looked through.

The model works in a thread of its own and leaves Python's lock while it does: the texts that follow are looked through
and the batch before is committed meanwhile. What does not fit into the budget keeps the shipped model's answer, and is
counted. Answers are remembered, so a text that is said by many is asked about once.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

import structlog

from pipeline.config.model import Config, Deep
from pipeline.contract.events import Mention
from pipeline.contract.metrics import Metrics
from pipeline.core.dedup import Memory
from pipeline.core.sentiment.score import own_words
from pipeline.core.sentiment.tiers import Answer
from pipeline.core.triage import Triage
from pipeline.runtime.deep.classifying import Classifier
from pipeline.runtime.deep.loading import load

REMEMBERED: Final = 20_000  # texts whose answers are kept; then the memory begins anew
SLOWER: Final = 0.3  # weight of the newest batch in what a text is thought to take
WARM_UP: Final = "The parcel came a week late, nobody answered my letters, and in the end they sent the wrong one."
OUTCOMES: Final = ("asked", "known", "over_budget", "failed")

log = structlog.get_logger(__name__)


class Second:
    """The stronger tier of one worker. Not for several threads at once.

    `clock` gives seconds; the budget is of the model's time, not of waiting. Without `metrics` nothing is counted.
    """

    def __init__(
        self,
        classifier: Classifier,
        settings: Deep,
        metrics: Metrics | None = None,
        *,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.version = classifier.version
        self.counts: defaultdict[str, int] = defaultdict(int)
        self._classifier, self._settings, self._metrics, self._clock = classifier, settings, metrics, clock
        self._known: dict[str, Answer] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sentiment-deep")
        self._spent = 0.0
        self._has_failed = False
        classifier.shares([WARM_UP])  # the first run makes plans and takes longer
        began = clock()
        classifier.shares([WARM_UP] * settings.batch)
        self._each = (clock() - began) / settings.batch  # seconds that a text is thought to take

    def ask(self, triage: Triage, mentions: Iterable[tuple[Mention, Memory]]) -> None:
        """Ask about the uncertain ones of these mentions, and let `triage` have the answers for judging them."""
        self._spent = 0.0
        triage.answers({})  # those of the batch before would make their texts look certain
        before, answers = dict(self.counts), {}
        waiting: dict[str, None] = {}
        running: list[Future[dict[str, Answer]]] = []
        for mention, memory in mentions:
            text = _doubt(triage, mention, memory)
            if text is None or text in waiting or text in answers:
                continue
            known = self._known.get(text)
            if known is not None:
                answers[text] = known
                self.counts["known"] += 1
                continue
            waiting[text] = None
            if len(waiting) % self._settings.batch == 0:
                running.append(self._thread.submit(self._run, list(waiting)[-self._settings.batch :]))
        rest = len(waiting) % self._settings.batch
        if rest:
            running.append(self._thread.submit(self._run, list(waiting)[-rest:]))
        for one in running:
            answers.update(one.result())
        if len(self._known) + len(answers) > REMEMBERED:
            self._known.clear()
        self._known.update(answers)
        triage.answers(answers)
        self._count(before)

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=True)

    def _run(self, texts: Sequence[str]) -> dict[str, Answer]:
        """Return the answers for as many texts as the time that is left is thought to do for."""
        left = self._settings.budget - self._spent
        fits = len(texts) if self._each <= 0 else max(0, min(len(texts), int(left / self._each)))
        self.counts["over_budget"] += len(texts) - fits
        if not fits:
            return {}
        began = self._clock()
        try:
            found = self._classifier.shares([own_words(text) for text in texts[:fits]])
        except Exception as error:  # a model of somebody else's: whatever it raises, the shipped one goes on
            self.counts["failed"] += fits
            if not self._has_failed:
                self._has_failed = True
                log.warning("the stronger sentiment model failed; the shipped one goes on", error=type(error).__name__)
            return {}
        took = self._clock() - began
        self._spent += took
        self._each += SLOWER * (took / fits - self._each)
        self.counts["asked"] += fits
        return dict(zip(texts, found, strict=False))

    def _count(self, before: dict[str, int]) -> None:
        if self._metrics is None:
            return
        for outcome in OUTCOMES:
            self._metrics.deep_texts.labels(outcome).inc(self.counts[outcome] - before.get(outcome, 0))
        self._metrics.deep_seconds.inc(self._spent)


def _doubt(triage: Triage, mention: Mention, memory: Memory) -> str | None:
    """Return the text to ask about; none where an error of ours stands in the way, which judging will report."""
    try:
        return triage.doubt(mention, memory)
    except Exception:
        return None


def second_of(config: Config, metrics: Metrics | None = None) -> Second | None:
    """Return the tier that a configuration names, None where it names none. Raises ConfigError with advice."""
    settings = config.sentiment.deep
    return None if settings is None else Second(load(settings), settings, metrics)


def patient(config: Config) -> Config:
    """Return a configuration whose stronger model has all the time it needs: on files nobody waits for a batch."""
    deep = config.sentiment.deep
    if deep is None:
        return config
    waits = deep.model_copy(update={"budget": 3600.0})
    return config.model_copy(update={"sentiment": config.sentiment.model_copy(update={"deep": waits})})
