"""Read `earshot.yaml` into a checked `Config`. Every mistake is reported, with its line and what to write instead."""

from __future__ import annotations

import codecs
import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipeline.config.checks import Checks, check_deep, check_plugins
from pipeline.config.document import Document, Problem
from pipeline.config.document import read as read_document
from pipeline.config.model import Config, Deep, Notifier, Source
from pipeline.config.wording import problem_of
from pipeline.contract.errors import ConfigError

CheckSource = Callable[[str, Source], Sequence[str]]
"""Given a source's name and its part of the file, returns what is wrong with its own settings, one line each."""
CheckNotifier = Callable[[str, Notifier], Sequence[str]]
"""The same for a notifier."""
CheckDeep = Callable[[Deep], Sequence[str]]
"""Given the stronger sentiment model's settings, returns what is wrong, each as `setting: what — advice`."""


class InvalidConfigError(ConfigError):
    """The file has mistakes: `problems`, in the order of the file."""

    def __init__(self, name: str, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(f"{name}:{one.line}:{one.column}: {one}" for one in problems))
        self.name = name
        self.problems = tuple(problems)


def read(
    path: Path,
    *,
    check_source: CheckSource | None = None,
    check_notifier: CheckNotifier | None = None,
    check_model: CheckDeep | None = None,
) -> Config:
    """Return the configuration in that file. Raises ConfigError with a line of advice for every mistake."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        advice = "name the file with --config or EARSHOT_CONFIG" if isinstance(error, FileNotFoundError) else "check it"
        raise ConfigError(f"{path}: cannot be read: {error.strerror} — {advice}") from None
    return parse(
        _decoded(raw, str(path)),
        str(path),
        check_source=check_source,
        check_notifier=check_notifier,
        check_model=check_model,
    )


def parse(
    text: str,
    name: str = "earshot.yaml",
    *,
    check_source: CheckSource | None = None,
    check_notifier: CheckNotifier | None = None,
    check_model: CheckDeep | None = None,
) -> Config:
    """Return the configuration in that text; `name` is what mistakes call the file.

    `check_source` checks the settings that belong to connectors, for sources that are enabled, `check_notifier` those
    that belong to notifiers, `check_model` whether the stronger sentiment model is there. Raises ConfigError.
    """
    document = read_document(text)
    if document.data is None and not document.problems:
        document.problems.append(Problem(1, 1, "", "the file is empty", "the smallest valid file is: version: 1"))
    elif document.data is not None and not isinstance(document.data, dict):
        what = "the file is no mapping of settings"
        document.problems.append(Problem(1, 1, "", what, "write settings as name: value, first version: 1"))
        document.data = None
    if document.data is None:
        raise InvalidConfigError(name, document.problems)
    problems = list(document.problems)
    config: Config | None = None
    try:
        config = Config.model_validate(_filled(document.data))
    except ValidationError as error:
        problems += [problem_of(dict(one), document) for one in error.errors(include_url=False)]
    problems += Checks(document).run()
    if check_source is not None:
        problems += check_plugins(document, "sources", check_source, _enabled(document))
    if check_notifier is not None:
        problems += check_plugins(document, "notifiers", check_notifier, _notifiers(document))
    if check_model is not None and config is not None and config.sentiment.deep is not None:
        problems += check_deep(document, check_model(config.sentiment.deep))
    if problems or config is None:
        raise InvalidConfigError(name, sorted(set(problems)))
    return config


def _decoded(raw: bytes, name: str) -> str:
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ConfigError(f"{name}:1:1: the file is in UTF-16 — save it as UTF-8")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - (raw.rfind(b"\n", 0, error.start) + 1) + 1
        raise ConfigError(f"{name}:{line}:{column}: the file is not in UTF-8 from here on — save it as UTF-8") from None


def _filled(data: dict[str, Any]) -> dict[str, Any]:
    """Return the values without parts that have only their heading: `brands:` with nothing below it is no brand."""
    filled = {key: value for key, value in data.items() if value is not None or key == "version"}
    departments = filled.get("departments")
    if isinstance(departments, dict):
        filled["departments"] = {name: {} if value is None else value for name, value in departments.items()}
    return filled


def _enabled(document: Document) -> dict[str, Source]:
    """Return the sources that are enabled and whose common settings are right."""
    found = {}
    sources = document.data.get("sources")
    for name, source in sources.items() if isinstance(sources, dict) else ():
        try:
            one = Source.model_validate(source)
        except ValidationError:
            continue
        if one.enabled:
            found[name] = one
    return found


def _notifiers(document: Document) -> dict[str, Notifier]:
    """Return the notifiers whose common settings are right."""
    found = {}
    notifiers = document.data.get("notifiers")
    for name, notifier in notifiers.items() if isinstance(notifiers, dict) else ():
        with contextlib.suppress(ValidationError):
            found[name] = Notifier.model_validate(notifier)
    return found
