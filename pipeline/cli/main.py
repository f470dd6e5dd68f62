"""`earshot`: the command line. Commands are imported when they run, so that `earshot --help` stays quick."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS: Final[dict[str, tuple[str, str]]] = {
    # name: (module:attribute, one line of help)
    "up": ("pipeline.cli.up:up", "Run everything on this machine."),
    "run": ("pipeline.cli.up:run", "Run one role, as a cluster runs it."),
    "topics": ("pipeline.cli.topics:topics", "Create or change topics as declared; show the map."),
    "config": ("pipeline.cli.config:config", "Check the configuration file."),
    "connectors": ("pipeline.cli.connectors:connectors", "List, check and make connectors."),
    "parse": ("pipeline.cli.parse:parse", "Recorded answers of a source to mentions, no network."),
    "import": ("pipeline.cli.import_:import_", "Mentions as JSON Lines to the topic mentions."),
    "backfill": ("pipeline.cli.backfill:backfill", "A source's past to the topic mentions."),
    "triage": ("pipeline.cli.judge:triage", "Mentions as JSON Lines to decisions, no broker."),
    "detect": ("pipeline.cli.detect:detect", "CSV of counts to CSV with anomaly scores."),
    "tail": ("pipeline.cli.tail:tail", "What departments get, live."),
    "explain": ("pipeline.cli.judge:explain", "Why a mention went where it went."),
    "feedback": ("pipeline.cli.feedback:feedback", "Say what is right about a mention: the router learns from it."),
    "evaluate": ("pipeline.cli.judge:evaluate", "Scores against labels."),
    "simulate": ("pipeline.cli.simulate:simulate", "Mentions of a made-up company, and the truth about them."),
    "replay": ("pipeline.cli.replay:replay", "Dead letters back, or past mentions through today's rules."),
    "bench": ("pipeline.cli.bench:bench", "Benchmarks, as JSON."),
    "completion": ("pipeline.cli.completion:completion", "What makes a shell complete commands and names."),
}


class Lazy(click.Group):
    """A group whose commands are modules imported on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import one command; None where there is no such name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the names from the table: a shell asks at every press of a key."""
        from click.shell_completion import CompletionItem

        found = [CompletionItem(name, help=text) for name, (_, text) in COMMANDS.items() if name.startswith(incomplete)]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.command(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="earshot")
def main() -> None:
    """Listen to what customers say, and tell the department that can do something about it."""
