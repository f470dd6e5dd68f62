"""Apache Kafka's jars: fetched once through jgo, pinned, and checked against `kafka.lock` before every start.

`kafka.lock` has a line for each jar: SHA-256, size in bytes, file name. `python -m pipeline.broker.jars lock` writes it
anew; `python -m pipeline.broker.jars` fetches what is missing, so that later starts need no network.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from pipeline.contract.errors import BrokerUnavailableError

VERSION: Final = "4.1.2"
# slf4j-jdk14 writes Kafka's log through java.util.logging, which rotates files by itself and brings no jars along.
ENDPOINT: Final = f"org.apache.kafka:kafka_2.13:{VERSION}+org.slf4j:slf4j-jdk14:1.7.36"
HTTP_TIMEOUT: Final = 30  # seconds without a byte
LOCK: Final = Path(__file__).with_name("kafka.lock")


@dataclass(frozen=True, slots=True)
class Jar:
    """One pinned file."""

    sha256: str
    size: int
    name: str


def home() -> Path:
    """Return earshot's own folder: EARSHOT_HOME, else the place this system keeps such things."""
    if given := os.environ.get("EARSHOT_HOME"):
        return Path(given)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "earshot"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "earshot"


def pinned(lock: Path = LOCK) -> list[Jar]:
    """Return the jars of the lock file."""
    rows = (line.split(maxsplit=2) for line in lock.read_text("utf-8").splitlines() if not line.startswith("#"))
    return [Jar(sha256, int(size), name) for sha256, size, name in rows]


def digest(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def wrong(folder: Path, jars: list[Jar]) -> list[str]:
    """Return the names of jars that are missing in the folder or are not what the lock file says."""
    return [jar.name for jar in jars if not (folder / jar.name).is_file() or digest(folder / jar.name) != jar.sha256]


def ensure(console: Console | None = None) -> Path:
    """Return the folder with Kafka's jars, fetched if they are not there yet, and checked.

    Raises BrokerUnavailableError with advice when they cannot be fetched or are not what the lock file says.
    """
    folder = home() / f"kafka-{VERSION}"
    jars = pinned()
    if not wrong(folder, jars):
        return folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            for path in _fetch(Path(scratch), jars, console or Console(stderr=True)):
                if path.name in {jar.name for jar in jars}:
                    partial = folder / f".{path.name}.{os.getpid()}"
                    shutil.copyfile(path, partial)
                    partial.replace(folder / path.name)  # whole or not at all, whoever else fetches it too
    except OSError as error:
        raise BrokerUnavailableError(
            f"cannot write Kafka's files to {folder}: {error.strerror or error}. Free some space there (60 MB), or say "
            "where they may go with EARSHOT_HOME"
        ) from None
    if bad := wrong(folder, jars):
        for name in bad:
            (folder / name).unlink(missing_ok=True)
        raise BrokerUnavailableError(
            f"what was fetched is not what is recorded in kafka.lock: {', '.join(bad)}. It was not used. Try again; if "
            "it stays so, the repository you fetch from changes files: use your own Kafka with --broker HOST:PORT"
        )
    return folder


def classpath(folder: Path) -> str:
    """Return the pinned jars of this folder for Java; another jar that lies there is not among them."""
    return os.pathsep.join(str(folder / jar.name) for jar in pinned())


def _fetch(scratch: Path, jars: list[Jar], console: Console) -> list[Path]:
    """Resolve and download all jars with one progress bar; a plain line where there is no terminal."""
    total = sum(jar.size for jar in jars)
    console.print(f"fetching Apache Kafka {VERSION} ({total / 1e6:.0f} MB), this once", highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("Apache Kafka", total=total)
        try:
            return resolve(scratch, lambda count: progress.advance(task, count))
        except Exception as error:
            if _is_local(error):
                raise
            raise BrokerUnavailableError(
                f"Apache Kafka could not be fetched ({_short(error)}). Is there a network, and may it reach Maven "
                "Central? Without one: `--broker HOST:PORT` for a Kafka you have, or `--broker memory` to look around "
                "(nothing is kept)"
            ) from error


def resolve(scratch: Path, advance: Callable[[int], None]) -> list[Path]:
    """Return the jars, downloaded into `scratch`; `advance` is told the bytes as they come.

    Nothing goes to or comes from ~/.m2: what an interrupted download leaves there would be taken for the whole file.
    """
    from jgo.env import EnvironmentBuilder
    from jgo.maven import MavenContext, PythonResolver

    @contextlib.contextmanager
    def one_file(*_: Any) -> Iterator[Callable[[int], None]]:
        yield advance

    resolver = PythonResolver(progress_callback=one_file)
    context = MavenContext(resolver=resolver, repo_cache=scratch / "repository", timeout=HTTP_TIMEOUT)
    environment = EnvironmentBuilder(context, cache_dir=scratch / "environment").from_endpoint(ENDPOINT)
    return [Path(path) for path in environment.all_jars]


def _is_local(error: Exception) -> bool:
    """Whether this machine's disk is at fault. Errors of requests are OSErrors too, but of the network."""
    return isinstance(error, OSError) and not type(error).__module__.startswith(("requests", "urllib3"))


def _short(error: BaseException) -> str:
    """Return the innermost cause in a few words: the outer ones repeat addresses and objects at length."""
    texts = [str(error)]
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
        texts.append(str(error))
    text = next((text for text in reversed(texts) if text), type(error).__name__)
    return text.splitlines()[0][:200]


def main() -> None:
    """Fetch the jars, or with `lock` write the lock file anew from what is resolved today."""
    if sys.argv[1:] == ["lock"]:
        write_lock()
        return
    try:
        ensure()
    except BrokerUnavailableError as error:
        sys.exit(f"earshot: {error}")


def write_lock() -> None:
    """Write the lock file anew from what is resolved today."""
    with tempfile.TemporaryDirectory() as scratch:
        paths = sorted(_fetch(Path(scratch), [], Console(stderr=True)), key=lambda path: path.name)
        rows = [f"{digest(path)} {path.stat().st_size} {path.name}" for path in paths]
    head = [f"# {ENDPOINT}", "# SHA-256, bytes, file. Made by: python -m pipeline.broker.jars lock"]
    LOCK.write_text("\n".join([*head, *rows, ""]), "utf-8")


if __name__ == "__main__":
    main()
