"""Messages for benchmarks: written here, generated from a seed, the same for every peer."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from confluent_kafka import Producer

from pipeline.config.model import Brand, Config, Route
from pipeline.contract import codec
from pipeline.contract.events import Author, Mention

_OPENINGS = (
    "Third day without an answer from {brand}",
    "Just got my {brand} speaker and",
    "@{brand} your app",
    "So {brand} support told me",
    "Anyone else with a {brand} router?",
    "My {brand} parcel",
    "I have used {brand} for two years and",
    "Dear {brand},",
)
_MIDDLES = (
    "crashes every time I open the settings",
    "is still not here, the tracking page says delayed",
    "the battery lasts longer than promised, love it",
    "they refuse to refund the second invoice",
    "would be nice if it had a dark mode",
    "the person on the phone was rude and hung up",
    "works fine since the last update",
    "shows error 503 when I try to log in",
    "it is not bad, but the old one was better",
    "the new design is confusing and slow",
)
_ENDINGS = (
    "",
    "!!",
    " 😡",
    " #fail",
    " https://example.org/p/{n}",
    " please help",
    ". Never again.",
    " 🎉 great job",
    "?",
)
_CHATTER = (
    "what a lovely morning for a walk by the river",
    "reading about the history of bridges tonight",
    "the match was boring until the last ten minutes",
)


def texts(count: int, seed: int = 1) -> list[str]:
    """Return texts of about the length of a post (17 words)."""
    rng = random.Random(seed)
    made = []
    for number in range(count):
        brand = f"Brand{rng.randrange(10)}"
        text = f"{rng.choice(_OPENINGS)} {rng.choice(_MIDDLES)}, {rng.choice(_MIDDLES)}{rng.choice(_ENDINGS)}"
        made.append(text.format(brand=brand, n=number) if rng.random() < 0.95 else rng.choice(_CHATTER))
    return made


def config(brands: int = 10, routes: int = 40) -> Config:
    """Return a configuration with everything on: brands, routes, shipped rules."""
    words = ("refund", "invoice", "router", "speaker", "parcel", "tracking", "battery", "dark mode", "login", "update")
    return Config(
        version=1,
        brands={
            f"brand{n}": Brand(query=f'Brand{n} OR "brand {n} inc" OR @brand{n}help', own_accounts=[f"brand{n}"])
            for n in range(brands)
        },
        routes=[
            Route(
                name=f"route-{n}",
                when=f'("{words[n % 10]} number {n}" OR (case AND {words[n % 10]}{n}))',
                to=[("service", "support", "design", "marketing")[n % 4]],
            )
            for n in range(routes)
        ],
    )


def mentions(count: int, seed: int = 1, prefix: str = "b") -> Iterator[Mention]:
    """Yield mentions by thousands of authors, nine in ten in conversations of their own."""
    rng = random.Random(seed + 1)
    now = datetime.now(UTC)
    for number, text in enumerate(texts(count, seed)):
        author = rng.randrange(5000)
        conversation = f"bench:{prefix}{rng.randrange(max(1, number))}" if number and rng.random() < 0.1 else None
        yield Mention(
            id=f"bench:{prefix}{number}",
            source="bench",
            native_id=f"{prefix}{number}",
            text=f"{text} {number}",
            created_at=now,
            collected_at=now,
            author=Author(id=str(author), handle=f"user{author}", followers=author * 7 % 9001),
            conversation=conversation,
            language="en" if rng.random() < 0.5 else None,
        )


def fill(client: Mapping[str, Any], topic: str, count: int, seed: int = 1) -> None:
    """Write `count` mentions to a topic, committed, and wait until the broker has them.

    Those of another seed are other mentions: the same ids again would only be counted as duplicates.
    """
    held_back(client, topic, count, seed)()


def held_back(client: Mapping[str, Any], topic: str, count: int, seed: int = 1) -> Callable[[], None]:
    """Write `count` mentions in one transaction and wait until the broker has them; return what commits it.

    Until then nobody sees them, and then everybody at once: workers that start meanwhile begin together.
    """
    producer = Producer(
        {
            **client,
            "transactional.id": f"bench-fill-{seed}",
            "transaction.timeout.ms": 300_000,
            "linger.ms": 50,
            "compression.type": "lz4",
            "partitioner": "murmur2_random",
            "queue.buffering.max.messages": 500_000,
        }
    )
    producer.init_transactions(30)
    producer.begin_transaction()
    for mention in mentions(count, seed, prefix=f"b{seed}-"):
        while True:
            try:
                producer.produce(topic, codec.encode(mention), mention.key)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    producer.flush()
    return partial(producer.commit_transaction, 30)
