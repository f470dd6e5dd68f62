"""The naive Faust app: an agent, one message at a time, VADER, `send` for each."""

from __future__ import annotations

import os
import sys
import time
from typing import Any


def main(bootstrap: str, source: str, target: str, count: int, folder: str) -> None:
    """Print messages per second and end the process."""
    import faust
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    analyzer = SentimentIntensityAnalyzer()
    app = faust.App(
        f"bench-faust-{time.time():.0f}",
        broker=f"kafka://{bootstrap}",
        store="memory://",
        datadir=folder,
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        consumer_auto_offset_reset="earliest",
        value_serializer="json",
    )
    mentions, scored = app.topic(source), app.topic(target)
    began: list[float] = []
    done = 0

    @app.agent(mentions)
    async def score(stream: Any) -> None:
        nonlocal done
        async for value in stream:
            if not began:
                began.append(time.perf_counter())
            value["score"] = analyzer.polarity_scores(value["text"])["compound"]
            await scored.send(key=value["id"], value=value)
            done += 1
            if done >= count:
                # Not print: Faust makes a log line of it, at a level that is not shown.
                os.write(1, f"\n{done / (time.perf_counter() - began[0])}\n".encode())
                os._exit(0)

    sys.argv = [sys.argv[0], "worker", "-l", "error", "--without-web"]
    app.main()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5])
