"""Quix Streams, exactly once. Runs in an environment of its own, which `make bench` makes."""

from __future__ import annotations

import os
import sys
import time
from typing import Any


def main(bootstrap: str, source: str, target: str, count: int, folder: str) -> None:
    """Print messages per second and end the process."""
    from quixstreams import Application
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    analyzer = SentimentIntensityAnalyzer()
    app = Application(
        broker_address=bootstrap,
        consumer_group=f"bench-quix-{time.time():.0f}",
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        loglevel="ERROR",
        state_dir=folder,
    )
    began: list[float] = []
    done = 0

    def score(value: dict[str, Any]) -> dict[str, Any]:
        nonlocal done
        if not began:
            began.append(time.perf_counter())
        value["score"] = analyzer.polarity_scores(value["text"])["compound"]
        done += 1
        if done >= count:
            print(done / (time.perf_counter() - began[0]), flush=True)
            os._exit(0)
        return value

    frame = app.dataframe(app.topic(source, value_deserializer="json"))
    frame.apply(score).to_topic(app.topic(target, value_serializer="json"))
    app.run()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5])
