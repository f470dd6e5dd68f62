"""The command line is a contract: every command that scripts rely on is there, with the options they use."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from pipeline.cli.main import COMMANDS, main
from tests.cli.running import environment, inside

CONFIG = ("--config",)
BROKER = ("--config", "--broker")
CONTRACT = {
    # command: (options, arguments) that must stay
    "up": ((*BROKER, "--http"), ()),
    "run": (BROKER, ("role",)),
    "topics apply": (BROKER, ()),
    "topics show": (CONFIG, ()),
    "config check": (CONFIG, ()),
    "connectors list": ((*BROKER, "--http", "--json"), ()),
    "connectors check": (CONFIG, ("name",)),
    "connectors new": (("--into",), ("name",)),
    "parse": (("--source",), ("files",)),
    "import": (BROKER, ("files",)),
    "backfill": ((*BROKER, "--source", "--since", "--until"), ()),
    "triage": ((*CONFIG, "--feedback"), ("files",)),
    "detect": ((), ("file",)),
    "tail": ((*BROKER, "--json"), ("departments",)),
    "explain": ((*BROKER, "--text"), ()),
    "evaluate sentiment": (CONFIG, ()),
    "evaluate routing": (CONFIG, ()),
    "evaluate spam": (CONFIG, ()),
    "evaluate detect": ((), ()),
    "replay": ((*BROKER, "--to", "--since", "--dry-run"), ("topic",)),
    "bench core": ((), ()),
    "bench triage": ((), ()),
    "bench latency": ((), ()),
    "completion": ((), ("shell",)),
}


def command(path: str):
    found = main
    for word in path.split():
        made = found.get_command(None, word)
        if made is None:
            pytest.fail(f"there is no command `earshot {path}`")
        found = made
    return found


def every(found=main, path: str = ""):
    """Yield every command with its path, groups included."""
    for name in found.list_commands(None):
        inner = found.get_command(None, name)
        yield f"{path}{name}", inner
        if hasattr(inner, "list_commands"):
            yield from every(inner, f"{path}{name} ")


@pytest.mark.parametrize("path", CONTRACT)
def test_a_command_of_the_contract_has_its_options_and_arguments(path):
    found = command(path)
    options, arguments = CONTRACT[path]
    there = {word for one in found.params if one.param_type_name == "option" for word in one.opts}
    assert [word for word in options if word not in there] == []
    named = {one.name for one in found.params if one.param_type_name == "argument"}
    assert [name for name in arguments if name not in named] == []


def test_config_and_broker_come_from_the_environment_too():
    for path, (options, _) in CONTRACT.items():
        for one in command(path).params:
            if "--config" in one.opts:
                assert one.envvar == "EARSHOT_CONFIG", path
            if "--broker" in one.opts and "--broker" in options:
                assert one.envvar == "EARSHOT_BROKER", path


def test_the_help_of_every_command_says_what_it_does():
    for path, found in every():
        done = inside(*path.split(), "--help")
        shown = done.stdout.decode()
        assert done.returncode == 0, path
        assert "Usage:" in shown, path
        assert found.help, f"`earshot {path}` does not say what it does"
        assert inside(*path.split(), "-h").stdout == done.stdout


def test_the_list_of_commands_is_the_table_and_imports_none_of_them():
    code = (
        "import sys; from pipeline.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "slow = ('pydantic', 'httpx', 'confluent_kafka', 'aiokafka', 'faust', 'rich', 'msgspec', 'yaml')\n"
        "print([name for name in slow if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment(), timeout=60)
    assert done.stderr.decode().strip() == "[]"
    shown = done.stdout.decode()
    assert [name for name in COMMANDS if f"\n  {name} " not in shown] == []


def test_help_takes_only_a_few_times_as_long_as_python_itself():
    def processor_time(*arguments: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *arguments], capture_output=True, env=environment(), check=True, timeout=60)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    both = [(processor_time("-m", "pipeline", "--help"), processor_time("-c", "pass")) for _ in range(6)]
    assert min(ours for ours, _ in both) < 8 * min(python for _, python in both)


def test_an_unknown_command_is_answered_in_words():
    done = inside("lisen")
    assert done.returncode == 2
    assert "No such command 'lisen'" in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()
