"""What gets into a log line, and what does not."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from pipeline.config.model import Config
from pipeline.contract.errors import ConfigError
from pipeline.contract.events import Mention, Reason
from pipeline.runtime import logs

SECRET = "s3cr3t/with ümlaut&more"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def restore_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in (*logs._TALKATIVE, *logs._INDISCREET)}
    shown = warnings.showwarning
    yield
    logging.captureWarnings(capture=False)
    warnings.showwarning = shown
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def written(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def log(stream: io.StringIO) -> Any:
    secrets = logs.configure(stream=stream, environment={})
    secrets.add(SecretStr(SECRET))
    return structlog.get_logger("pipeline.test")


def test_a_line_is_json_with_time_level_and_facts(log: Any, stream: io.StringIO) -> None:
    log.info("page published", connector="hackernews", mentions=20)
    (line,) = written(stream)
    assert list(line)[:4] == ["at", "level", "logger", "event"]
    assert datetime.fromisoformat(line.pop("at")).tzinfo is not None
    assert line == {
        "level": "info",
        "logger": "pipeline.test",
        "event": "page published",
        "connector": "hackernews",
        "mentions": 20,
    }


def test_a_terminal_gets_readable_lines(stream: io.StringIO) -> None:
    terminal = Terminal()
    logs.configure(stream=terminal, environment={"NO_COLOR": "1"})
    structlog.get_logger("x").warning("source silent", connector="hackernews")
    assert "source silent" in terminal.getvalue()
    assert "connector=hackernews" in terminal.getvalue()
    assert not terminal.getvalue().startswith("{")
    assert "\x1b" not in terminal.getvalue()


def test_the_level_comes_from_the_environment(stream: io.StringIO) -> None:
    logs.configure(stream=stream, environment={"EARSHOT_LOG": "Warning"})
    log = structlog.get_logger("x")
    log.info("quiet")
    log.warning("loud")
    assert [line["event"] for line in written(stream)] == ["loud"]


def test_an_unknown_level_is_a_config_error_that_names_the_levels(stream: io.StringIO) -> None:
    with pytest.raises(ConfigError, match="debug, info, warning, error"):
        logs.configure(stream=stream, environment={"EARSHOT_LOG": "loud"})


@pytest.mark.parametrize("name", ["aiokafka.consumer", "faust.app", "librdkafka", "some.library"])
def test_libraries_come_through_the_same_way(log: Any, stream: io.StringIO, name: str) -> None:
    logging.getLogger(name).warning("connection to %s lost", SECRET)
    (line,) = written(stream)
    assert line["event"] == f"connection to {logs.CENSORED} lost"
    assert (line["logger"], line["level"]) == (name, "warning")


def test_librdkafka_has_a_logger_to_hand_over(log: Any, stream: io.StringIO) -> None:
    logs.librdkafka().error("broker down")
    assert written(stream)[0]["logger"] == "librdkafka"


def test_talkative_libraries_are_heard_from_warning_on(log: Any, stream: io.StringIO) -> None:
    for name in ("aiokafka", "faust", "httpx"):
        logging.getLogger(name).info("all is well")
    assert not stream.getvalue()


def test_addresses_that_httpx_logs_stay_out_even_at_debug(stream: io.StringIO) -> None:
    logs.configure(stream=stream, environment={"EARSHOT_LOG": "debug"})
    logging.getLogger("httpx").info("HTTP Request: GET https://example.org/?token=abc")
    logging.getLogger("aiokafka").info("joined")
    assert [line["logger"] for line in written(stream)] == ["aiokafka"]


def test_warnings_are_log_lines(log: Any, stream: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("old call", UserWarning, stacklevel=1)
    assert "old call" in written(stream)[0]["event"]


@pytest.mark.parametrize("key", sorted(logs.PERSONAL))
def test_personal_keys_are_removed_with_a_marker(log: Any, stream: io.StringIO, key: str) -> None:
    log.info("mention", **{key: "Jane says the app crashes", "source": "hackernews"})
    log.info("mention", facts={"deep": [{key.upper(): "Jane says the app crashes"}]})
    first, second = written(stream)
    assert first[key] == logs.REMOVED
    assert first["source"] == "hackernews"
    assert second["facts"] == {"deep": [{key.upper(): logs.REMOVED}]}


def test_an_event_is_named_by_its_type_only(log: Any, stream: io.StringIO) -> None:
    now = datetime.now(UTC)
    mention = Mention(id="a:1", source="a", native_id="1", created_at=now, collected_at=now, text="Jane says")
    log.info("bad", mention=mention, several=[mention])
    (line,) = written(stream)
    assert (line["mention"], line["several"]) == ("[Mention]", ["[Mention]"])


def test_bytes_are_told_by_their_number(log: Any, stream: io.StringIO) -> None:
    log.info("undecodable", value=b"Jane says")
    assert written(stream)[0]["value"] == "[9 bytes]"


def test_plain_facts_come_through(log: Any, stream: io.StringIO) -> None:
    log.info(
        "x", reason=Reason.DUPLICATE, path=Path("a/b"), offsets={"0": 5}, share=0.5, none=None, ok=True, s={"b", "a"}
    )
    (line,) = written(stream)
    for unwanted in ("at", "level", "logger", "event"):
        del line[unwanted]
    assert line == {
        "reason": "duplicate",
        "path": "a/b",
        "offsets": {"0": 5},
        "share": 0.5,
        "none": None,
        "ok": True,
        "s": ["a", "b"],
    }


@pytest.mark.parametrize(
    "form",
    [SECRET, "s3cr3t%2Fwith%20%C3%BCmlaut%26more", "s3cr3t%2Fwith+%C3%BCmlaut%26more"],
    ids=["plain", "quoted", "form"],
)
def test_a_registered_secret_is_censored_in_every_form(log: Any, stream: io.StringIO, form: str) -> None:
    event = f"refused {form}"
    log.error(event, url=f"https://example.org/?key={form}", nested={"headers": [form]})
    assert form not in stream.getvalue()
    (line,) = written(stream)
    assert line["event"] == f"refused {logs.CENSORED}"
    assert line["nested"] == {"headers": [logs.CENSORED]}


def test_a_secret_in_a_traceback_is_censored(log: Any, stream: io.StringIO) -> None:
    def fail(password: str) -> None:
        raise RuntimeError(f"login failed with {password}")

    try:
        fail(SECRET)
    except RuntimeError as error:
        log.exception("failed", error=error)
        logging.getLogger("library").exception("failed too")
    first, second = written(stream)
    assert SECRET not in stream.getvalue()
    assert first["error"] == f"RuntimeError: login failed with {logs.CENSORED}"
    assert "Traceback" in first["exception"]
    assert logs.CENSORED in second["exception"]


def test_passwords_in_addresses_and_authorization_values_are_censored_unregistered(
    log: Any, stream: io.StringIO
) -> None:
    log.info("x", url="https://jane:hunter2hunter2@example.org/a", header="Authorization: Bearer abcdefgh.ijk")
    (line,) = written(stream)
    assert line["url"] == f"https://{logs.CENSORED}@example.org/a"
    assert line["header"] == f"Authorization: Bearer {logs.CENSORED}"


def test_a_secret_that_contains_another_leaves_no_rest() -> None:
    secrets = logs.Secrets()
    secrets.add("abcd", "abcdefgh", None, "xy")
    assert secrets.censor("abcdefgh abcd xy") == f"{logs.CENSORED} {logs.CENSORED} xy"


def test_secrets_that_the_settings_name_are_found_wherever_they_are(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from a file\n", "utf-8")
    (tmp_path / "kafka").write_text("from kafka", "utf-8")
    config = Config.model_validate(
        {
            "version": 1,
            "sources": {"a": {"type": "mastodon", "token": {"env": "TOKEN"}, "more": [{"key": {"env": "ABSENT"}}]}},
            "notifiers": {"b": {"type": "webhook", "secret": {"file": str(tmp_path / "token")}}},
        }
    )
    environment = {"TOKEN": "from a variable", "EARSHOT_KAFKA_SASL_PASSWORD_FILE": str(tmp_path / "kafka")}
    assert set(logs.secrets_in(config, environment)) == {"from a variable", "from a file", "from kafka"}


def test_a_secret_file_that_cannot_be_read_is_left_to_who_needs_it(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    settings = [{"file": str(tmp_path / "absent")}, {"file": str(tmp_path / "binary")}, {"file": "a\0b"}]
    assert logs.secrets_in(settings, {}) == []


@given(
    st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=4, max_size=40),
    st.text(max_size=20),
    st.text(max_size=20),
)
def test_a_secret_never_survives_censoring(secret: str, before: str, after: str) -> None:
    secrets = logs.Secrets()
    secrets.add(secret)
    if secret in logs.CENSORED:
        return
    parts = secrets.censor(before + secret + after).split(logs.CENSORED)
    assert all(secret not in part for part in parts)


def test_a_line_cannot_steer_a_terminal(stream: io.StringIO) -> None:
    terminal = Terminal()
    logs.configure(stream=terminal, environment={"NO_COLOR": ""}, readable=True)
    structlog.get_logger("x").info("a\x1b[2Jb", source="c\x9bd\u202ee", broken="\ud800")
    out = terminal.getvalue()
    assert not {"\x1b", "\x9b", "\u202e", "\ud800"} & set(out)
    assert "\\x1b[2J" in out


def test_json_lines_are_one_line_whatever_they_say(log: Any, stream: io.StringIO) -> None:
    log.info("a\nb\u2028c\x1b[2J\ud800", connector="x\ny")
    assert len(stream.getvalue().splitlines()) == 1
    assert stream.getvalue().isascii()


def test_context_is_on_every_line(log: Any, stream: io.StringIO) -> None:
    with structlog.contextvars.bound_contextvars(stage="triage"):
        log.info("a")
        logging.getLogger("library").warning("b")
    assert [line["stage"] for line in written(stream)] == ["triage", "triage"]


def test_setting_up_twice_does_not_write_twice(log: Any, stream: io.StringIO) -> None:
    logs.configure(stream=stream, environment={})
    structlog.get_logger("x").info("once")
    assert len(written(stream)) == 1


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_repeated_error_is_said_once_in_ten_seconds_with_its_count(log: Any, stream: io.StringIO) -> None:
    clock = Clock()
    repeats = logs.Repeats(clock=clock)
    for clock.now in (0.0, 1.0, 9.9, 10.0, 19.9, 20.0):
        repeats.say(log.error, "receiver down", key="pager", notifier="pager")
    assert [line.get("held_back") for line in written(stream)] == [None, 2, 1]


def test_what_a_kafka_client_says_over_and_over_is_said_once(log: Any, stream: io.StringIO) -> None:
    for tried in range(300):
        logs.librdkafka().error("FAIL [one]: Connection refused (after %dms in state CONNECT)", tried)
    logs.librdkafka().error("FAIL [two]: Connection refused (after 0ms in state CONNECT)")
    for _ in range(2):
        logging.getLogger("websockets").error("ours to pace")
    assert [line["event"][:10] for line in written(stream)] == ["FAIL [one]", "FAIL [two]", "ours to pa", "ours to pa"]


def test_different_keys_do_not_silence_each_other(log: Any, stream: io.StringIO) -> None:
    repeats = logs.Repeats(clock=Clock())
    assert repeats.say(log.error, "down", key="a")
    assert repeats.say(log.error, "down", key="b")
    assert not repeats.say(log.error, "down", key="a")
    assert len(written(stream)) == 2


def test_the_number_of_remembered_keys_is_bounded() -> None:
    clock = Clock()
    repeats = logs.Repeats(clock=clock, limit=3)
    for number in range(100):
        repeats.due(str(number))
    assert len(repeats._said) == 3
    assert repeats.due("99") is None
