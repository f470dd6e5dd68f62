"""`earshot replay`: dead letters back, or past mentions through today's rules into a diff."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.options import broker_option, config_option, fail, load

if TYPE_CHECKING:
    from pipeline.config.model import Config
    from pipeline.runtime.replay import Account


@click.command()
@click.argument("topic")
@config_option
@broker_option
@click.option("--to", metavar="TOPIC", help="Send to this topic instead of the one a letter came from.")
@click.option("--since", metavar="TIME", help="Only what is newer, for example 2026-11-24T09:00:00Z.")
@click.option("--dry-run", is_flag=True, help="Say what is there and why; send nothing.")
@click.option("--again", is_flag=True, help="Also what an earlier replay has sent back already.")
@click.option("--json", "as_json", is_flag=True, help="The account as JSON.")
def replay(
    topic: str,
    config_path: Path | None,
    broker: str | None,
    to: str | None,
    since: str | None,
    dry_run: bool,
    again: bool,
    as_json: bool,
) -> None:
    """Send the dead letters on TOPIC (a name ending in -dlq) back where they came from.

    With another topic, such as mentions-enriched: judge its mentions again with today's configuration and show what
    would change. Nothing is written then.
    """
    from pipeline.cli.broker import attach
    from pipeline.contract.errors import EarshotError
    from pipeline.runtime.replay import SUFFIX, look, send_back

    config = load(config_path)
    after = _instant(since)
    try:
        with attach(broker, config) as client:
            if not topic.endswith(SUFFIX):
                _diff(client, config, topic, after, as_json)
            elif dry_run:
                _show(look(client, topic, to=to, since=after, from_beginning=again), as_json, "would be sent back")
            else:
                account = send_back(client, topic, to=to, since=after, from_beginning=again)
                _show(account, as_json, "sent back")
    except EarshotError as error:
        fail(str(error))


def _instant(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        fail(f"--since {text}: write a time as 2026-11-24T09:00:00Z", code=2)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _show(account: Account, as_json: bool, done: str) -> None:
    count = account.sent if done == "sent back" else account.letters - account.passed_over
    if as_json:
        whole: dict[str, Any] = {"letters": account.letters, "sent": account.sent, "passed_over": account.passed_over}
        click.echo(json.dumps({**whole, "reasons": account.reasons, "targets": account.targets}))
        return
    click.echo(f"{count} of {account.letters} dead letters {done}")
    for title, counts in (("by reason", account.reasons), ("to", account.targets), ("because", account.errors)):
        _counts(title, counts)


def _counts(title: str, counts: Counter[str]) -> None:
    for name, count in counts.most_common(10):
        click.echo(f"  {title:<10} {count:>8}  {name}")


def _diff(client: Any, config: Config, topic: str, after: datetime | None, as_json: bool) -> None:
    from pipeline.runtime.replay import differences

    judged, changes, moves = differences(client, config, topic, after or "beginning")
    if as_json:
        for change in changes:
            click.echo(
                json.dumps(
                    {
                        "id": change.id,
                        "departments": change.departments,
                        "sentiment": change.sentiment,
                        "priority": change.priority,
                    }
                )
            )
        return
    click.echo(f"{len(changes)} of {judged} mentions would be judged differently today")
    for (before, now), count in moves.most_common(20):
        click.echo(
            f"  {count:>8}  {before or 'nobody'}"
            + (f" -> {now or 'nobody'}" if before != now else "  (same departments)")
        )
