"""Texts of the load: made of parts, in several moods. What they become is decided by triage, not assumed here."""

from __future__ import annotations

import random

GOOD = (
    "I love {brand}, the new version is great and so quick",
    "{brand} helped me at once today, wonderful people and a happy customer",
    "Very pleased with {brand}, best purchase this year",
)
PLAIN = (
    "Does {brand} open on Sunday? I could not find the hours anywhere",
    "Moved my things to {brand} this week and we will see how that goes",
    "How do I change the address of my {brand} account, please?",
    "It would be useful if {brand} had a dark theme in the settings",
)
BAD = (
    "{brand} keeps crashing and I am furious, this is terrible, worst update ever",
    "Charged twice by {brand} and nobody answers, awful, I hate this horrible service",
    "{brand} is broken again, angry and disappointed, a disgusting failure",
)
NOBODY = ("The weather is mild and the river is high", "We had soup for dinner and then went for a walk by the lake")


def a_text(chance: random.Random, brand: str | None, *, storm: bool, tag: str) -> str:
    """Return a text about a brand, or about none. `tag` makes it unlike every other."""
    if brand is None:
        return f"{chance.choice(NOBODY)} {tag}"
    mood = chance.random()
    kind = (BAD if mood < 0.85 else PLAIN) if storm else (GOOD if mood < 0.35 else BAD if mood < 0.42 else PLAIN)
    return f"{chance.choice(kind).format(brand=brand)} {tag}"
