"""`earshot completion`: the script that completes commands, options and names in a shell."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.options import DEFAULT_FILE

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    r"""Print what makes SHELL complete commands, options and the names in earshot.yaml.

    \b
    bash   earshot completion bash > ~/.local/share/bash-completion/completions/earshot
    zsh    earshot completion zsh > ~/.zfunc/_earshot     (with fpath+=~/.zfunc before compinit in ~/.zshrc)
    fish   earshot completion fish > ~/.config/fish/completions/earshot.fish

    To try it in this shell only: eval "$(earshot completion bash)"
    """
    from click.shell_completion import get_completion_class

    from pipeline.cli.main import main

    found = get_completion_class(shell)
    assert found is not None
    source: Any = found(main, {}, "earshot", "_EARSHOT_COMPLETE")
    # The script is written out, not run: click's own check of the Bash that happens to be here is not wanted.
    click.echo(source.source_template % source.source_vars())


def departments(ctx: click.Context, _: click.Parameter, begun: str) -> list[CompletionItem]:
    """Complete the name of a department, without those that are written already."""
    named = _names(ctx, "departments") or ["service", "support", "design", "marketing"]
    written = ctx.params.get("departments") or ()
    return _items((name for name in [*named, "review"] if name not in written), begun)


def sources(ctx: click.Context, _: click.Parameter, begun: str) -> list[CompletionItem]:
    """Complete the name of a configured source."""
    return _items(_names(ctx, "sources"), begun)


def types(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
    """Complete the type of a source."""
    from pipeline.contract.errors import EarshotError

    try:
        from connectors.registry import names

        return _items(names(), begun)
    except EarshotError:
        return []


def _items(names: Any, begun: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    return [CompletionItem(name) for name in names if name.startswith(begun)]


def _names(ctx: click.Context, part: str) -> list[str]:
    """Return the names in one part of the configuration, unchecked: a half-written file completes as far as it goes."""
    import yaml

    path = Path(ctx.params.get("config_path") or os.environ.get("EARSHOT_CONFIG") or DEFAULT_FILE)
    try:
        found = yaml.safe_load(path.read_text("utf-8"))
        return [str(name) for name in found[part]]
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError):
        return []
