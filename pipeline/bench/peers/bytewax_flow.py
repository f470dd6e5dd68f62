"""A Bytewax flow, at least once. Runs in an environment of its own: Bytewax pins its Kafka client."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any


def main(bootstrap: str, source: str, target: str, count: int) -> None:
    """Print messages per second and end the process."""
    from bytewax import operators as op
    from bytewax.connectors.kafka import KafkaSinkMessage
    from bytewax.connectors.kafka import operators as kafka
    from bytewax.dataflow import Dataflow
    from bytewax.run import cli_main
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    analyzer = SentimentIntensityAnalyzer()
    began: list[float] = []
    done = 0

    def score(message: Any) -> Any:
        nonlocal done
        if not began:
            began.append(time.perf_counter())
        value = json.loads(message.value)
        value["score"] = analyzer.polarity_scores(value["text"])["compound"]
        done += 1
        if done >= count:
            print(done / (time.perf_counter() - began[0]), flush=True)
            os._exit(0)
        return KafkaSinkMessage(message.key, json.dumps(value).encode())

    flow = Dataflow("bench")
    mentions = kafka.input("in", flow, brokers=[bootstrap], topics=[source], batch_size=1000)
    kafka.output("out", op.map("score", mentions.oks, score), brokers=[bootstrap], topic=target)
    cli_main(flow)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
