"""Words for what went wrong in a connector's code: where, and of which kind, without what a message may hold."""

from __future__ import annotations

import traceback
from pathlib import Path


def place_of(error: BaseException) -> str:
    """Return kind, file and line of an error of ours. Its own message may quote a text or a secret and stays out."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).name == "connector.py"] or frames
    if not ours:
        return type(error).__name__
    last = ours[-1]
    file = Path(last.filename)
    return f"{type(error).__name__} in {file.parent.name}/{file.name}, line {last.lineno}"
