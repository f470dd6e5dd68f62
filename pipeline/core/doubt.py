"""Which mentions the stronger sentiment model is asked about, found before a batch is judged."""

from __future__ import annotations

from pipeline.contract.events import Mention
from pipeline.core.dedup import Memory
from pipeline.core.language import UNKNOWN, Identifier
from pipeline.core.matching import Queries
from pipeline.core.relevance import whole_text
from pipeline.core.routing.router import Router
from pipeline.core.routing.wordings import words
from pipeline.core.sentiment.tiers import Tiered
from pipeline.core.spam import score as score_spam


def in_doubt(
    mention: Mention,
    memory: Memory,
    *,
    queries: Queries | None,
    identifier: Identifier,
    router: Router,
    feeling: Tiered,
    quarantine: float,
) -> str | None:
    """Return the text to ask about; None where the mention will not be read, or the shipped model is sure.

    `queries` is None where every mention is relevant. Nothing is remembered by it.
    """
    known = memory.latest(mention.id)
    if mention.is_withdrawn or (known is not None and mention.revision <= known.revision):
        return None
    text = whole_text(mention)
    if not text:
        return None
    found = words(text)
    spoken = identifier.identify(text, mention.language, found).code
    if not feeling.reads(spoken):
        return None
    if queries is not None and known is None and not queries.early(mention, {"language": spoken}).brands:
        return None
    if score_spam(text, found)[0] >= quarantine:
        return None
    look = router.look(found, None if spoken == UNKNOWN else spoken)
    return text if feeling.doubts(feeling.judge(text, spoken, found, mention.rating, look.intents), spoken) else None
