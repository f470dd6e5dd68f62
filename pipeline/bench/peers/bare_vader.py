"""The loop that everything is compared with: vaderSentiment on every text, nothing else."""

from __future__ import annotations

import sys
import time

from pipeline.bench.messages import texts


def main(count: int) -> None:
    """Print texts per second."""
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    analyzer = SentimentIntensityAnalyzer()
    made = [f"{text} {number}" for number, text in enumerate(texts(count))]
    for text in made[:200]:
        analyzer.polarity_scores(text)
    began = time.perf_counter()
    for text in made:
        analyzer.polarity_scores(text)
    print(count / (time.perf_counter() - began))


if __name__ == "__main__":
    main(int(sys.argv[1]))
