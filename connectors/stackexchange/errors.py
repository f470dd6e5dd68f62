"""What Stack Exchange means by its errors, which stand in the body. Pure."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from connectors import reading
from connectors.http import Answer, UnavailableError
from pipeline.contract.errors import EarshotError, RateLimitedError, SourceRefusedError

THROTTLED: Final = 502  # in the body; the status is 400: https://api.stackexchange.com/docs/error-handling
PASSING: Final = frozenset((500, 503))


def error_in(answer: Answer, now: datetime) -> EarshotError | None:  # noqa: ARG001 - a `Meaning`
    """Return the error that a body tells: the status of all of them is 400."""
    try:
        body = reading.json_value(answer.body) if answer.status >= 400 else None
    except ValueError:
        return None
    if not isinstance(body, dict) or "error_id" not in body:
        return None
    said = f"{body.get('error_name') or 'error'}: {str(body.get('error_message') or '')[:160]}"
    if body["error_id"] == THROTTLED:
        seconds = re.search(r"(\d{1,6}) seconds", said)
        return RateLimitedError("Stack Exchange asks to wait", float(seconds[1]) if seconds else None)
    if body["error_id"] in PASSING:
        return UnavailableError(f"Stack Exchange answers with an error of its own ({body['error_id']})")
    return SourceRefusedError(f"Stack Exchange refuses ({said}) — look at `site`, `query`, `tags` and `key`")
