"""`earshot feedback`: what a person says about a mention, so that the next one like it goes right."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.options import broker_option, config_option, fail, load

if TYPE_CHECKING:
    from pipeline.config.model import Config
    from pipeline.contract.events import Feedback

SOURCE = "/earshot/feedback/command"


@click.command()
@click.argument("mention_id", metavar="ID")
@click.option("--department", metavar="NAME", help="The department that it belongs to.")
@click.option("--ours", is_flag=True, help="It was routed rightly; with --department, to that one.")
@click.option("--done", is_flag=True, help="It was dealt with by who got it.")
@click.option("--sentiment", type=click.Choice(("negative", "neutral", "positive")), help="How it feels.")
@click.option("--spam/--not-spam", "spam", default=None, help="Whether it is spam.")
@click.option("--by", required=True, metavar="NAME", help="Who says it.")
@config_option
@broker_option
def feedback(mention_id: str, by: str, config_path: Path | None, broker: str | None, **said: Any) -> None:
    """Say what is right about the mention with this ID; the router learns from it within seconds.

    ID is `source:native_id`, as `earshot tail` and `explain` show it. The same word by the same person counts once.
    """
    from pipeline.cli.broker import attach
    from pipeline.contract.errors import BrokerUnavailableError, InvalidMessageError
    from pipeline.contract.feedback import feedback_from_json

    config = load(config_path)
    from datetime import UTC, datetime

    try:
        given = {"id": mention_id, "by": by, **{name: value for name, value in said.items() if value is not None}}
        what = feedback_from_json(given, now=datetime.now(UTC))
    except InvalidMessageError as error:
        fail(str(error).replace("`", ""), code=2)
    check(config, what)
    try:
        with attach(broker, config) as client:
            told = give(client, what)
    except BrokerUnavailableError as error:
        fail(str(error))
    click.echo(told)


def check(config: Config, what: Feedback) -> None:
    """End the program with advice where the department is none of the configuration's."""
    known = (*config.departments, "review")
    if what.department is not None and what.department not in known:
        fail(f"there is no department {what.department!r}; departments are {', '.join(known)}", code=2)


def give(client: Any, what: Feedback) -> str:
    """Write the feedback with the decision that it is about; return what to tell the person.

    Ends the program where no such decision is kept, or where it is not clear whose the mention is said to be.
    """
    from uuid import uuid4

    from pipeline.core.learning.saying import said
    from pipeline.runtime.finding import newest
    from pipeline.runtime.learning.giving import Giver, about

    judged = newest(client, [what.id]).get(what.id)
    if judged is None:
        fail(
            f"no decision about {what.id} is kept: it was about no brand, is older than the retention, or the id is wrong"
        )
    whole = about(what, judged)
    if what.ours and said(whole).department is None:
        had = ", ".join(judged.departments) or "nobody"
        fail(f"{what.id} went to {had}: say with --department which one it belongs to", code=2)
    giver = Giver(client, SOURCE)
    try:
        giver.give([whole], f"command-{uuid4().hex}")
    finally:
        giver.close()
    had = ", ".join(judged.departments) or "nobody"
    return f"thank you: {what.id} (went to {had}, decided by {judged.decision.by}) is on the topic feedback"
