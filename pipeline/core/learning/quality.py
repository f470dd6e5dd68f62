"""How well the version in service does, from the labels that come: what it had said, held against what was said."""

from __future__ import annotations

from collections import deque
from math import log, sqrt
from typing import Final

from pipeline.core.learning.line import Predicted

RECENT: Final = 200  # labels that are looked at
FEW: Final = 20  # below so many labels there is no drift to speak of
_SLOW: Final = 0.02  # how fast the mean losses follow
_LEAST: Final = 1e-4


class Quality:
    """The last labels of one thing that is learned."""

    def __init__(self) -> None:
        self._recent: deque[tuple[float, bool]] = deque(maxlen=RECENT)
        self.losses: dict[str, float] = {}
        """Mean log-loss, newest first, of what is shipped, of the version in service and of the candidate."""

    def count(self, predicted: Predicted) -> None:
        """Count one label and what was said about it."""
        service = predicted.service
        best = max(range(len(service)), key=service.__getitem__)
        self._recent.append((service[best], best == predicted.target))
        for name, said in (
            ("shipped", predicted.shipped),
            ("service", service),
            ("candidate", predicted.candidate),
        ):
            loss = -log(max(_LEAST, said[predicted.target]))
            self.losses[name] = loss if name not in self.losses else (1 - _SLOW) * self.losses[name] + _SLOW * loss

    @property
    def drift(self) -> float:
        """How many standard deviations more often it was right than it said; below -3 it no longer knows its texts.

        Each prediction says how sure it is, so how often it should have been right is known; 0 with too few labels.
        """
        if len(self._recent) < FEW:
            return 0.0
        expected = sum(sure for sure, _ in self._recent)
        right = sum(is_right for _, is_right in self._recent)
        spread = sqrt(sum(sure * (1 - sure) for sure, _ in self._recent))
        return (right - expected) / max(spread, 0.5)
