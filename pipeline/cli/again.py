"""A decision made again with the version of what was learned that it names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipeline.cli.options import fail, second

if TYPE_CHECKING:
    from pipeline.config.model import Config
    from pipeline.contract.events import JudgedMention


def again(client: Mapping[str, Any], config: Config, judged: JudgedMention) -> tuple[JudgedMention, str]:
    """Return the decision as it is made with today's configuration and the lessons of then, and a line that compares.

    Ends the program where the lessons of then are not kept any more, or where the mention would only be counted now.
    """
    from pipeline.contract import codec
    from pipeline.core.dedup import Memory
    from pipeline.core.triage import Triage
    from pipeline.core.verdicts import Discard
    from pipeline.runtime.learning.lessons import Lessons

    version = judged.decision.learned
    deep = second(config) if judged.decision.deep is not None else None
    triage = Triage(config, deep=deep.version if deep else None)
    if version is not None:
        reader = Lessons(client)
        try:
            triage.taught = reader.read().taught(config.learning.proof, upto=int(version.partition("-")[0]))
        except (LookupError, ValueError) as error:
            fail(f"the decision was made with version {version} of what was learned: {error}")
        finally:
            reader.close()
        if triage.taught.version != version:
            fail(f"version {version} cannot be made any more: a lesson of it was taken away")
    mention = codec.plain(judged)
    if deep is not None:
        deep.ask(triage, [(mention, Memory(limit=1))])
    now = triage.judge(mention, Memory(limit=1), judged.judged_at or judged.collected_at)
    if isinstance(now, Discard):
        fail(f"with today's configuration it would only be counted: {now.reason.value}")
    return now, compared(judged, now)


def compared(then: JudgedMention, now: JudgedMention) -> str:
    """Return in a line whether two decisions are the same, or what differs."""
    learned = then.decision.learned or "nothing learned"
    differ = [
        name
        for name, one, other in (
            ("departments", then.departments, now.departments),
            ("shares", then.department_scores, now.department_scores),
            ("sentiment", then.sentiment, now.sentiment),
            ("towards", then.towards, now.towards),
            ("spam", then.spam, now.spam),
            ("priority", then.priority, now.priority),
        )
        if one != other
    ]
    if not differ:
        return f"made again with {learned}: the same"
    why = (
        "rules, model or configuration have changed since"
        if then.decision.version != now.decision.version
        else "what triage remembered of other mentions is not part of it"
    )
    return f"made again with {learned}: {', '.join(differ)} differ; {why}"
