"""Reading what platforms send: JSON, JSON Lines, server-sent events, HTML texts. Pure, and safe with anything."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from html import unescape
from html.parser import HTMLParser
from typing import Any, Final

import msgspec

from pipeline.contract import codec
from pipeline.contract.errors import InvalidMessageError

MAX_DEPTH: Final = 200  # of nested objects: no platform answers deeper
MAX_REJECTED_BYTES: Final = 200_000  # kept of a part that could not be read

_JSON: Final = msgspec.json.Decoder()
_ADDRESS: Final = re.compile(r"https?://[^\s<>\"`|\\^{}\[\]]+")


def json_value(body: bytes) -> Any:
    """Return the JSON value in the bytes. Raises ValueError when there is none."""
    try:
        return _JSON.decode(body.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:  # lone surrogates written as \ud800, and NaN: invalid, but platforms send them
        value = json.loads(body.decode("utf-8-sig", "replace"))
        return json.loads(codec.clean(json.dumps(value, ensure_ascii=False)))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON: {type(error).__name__}") from None


def documents(body: bytes) -> Iterator[Any]:
    """Yield the JSON values in an answer: one value, JSON Lines, or the data of server-sent events.

    A broken line is left out. Raises InvalidMessageError when nothing in it is JSON and there was something.
    """
    try:
        yield json_value(body)
        return
    except ValueError:
        pass
    count = filled = 0
    for line in body.decode("utf-8", "replace").splitlines():
        if not line.strip() or line.startswith((":", "event:", "id:", "retry:")):
            continue
        filled += 1
        try:
            value = json_value(line.removeprefix("data:").strip().encode("utf-8", "replace"))
        except ValueError:
            continue
        count += 1
        yield value
    if filled and not count:
        raise InvalidMessageError("not an answer of this source: it is neither JSON nor JSON Lines nor an event stream")


def walk(values: Iterator[Any]) -> Iterator[dict[str, Any]]:
    """Yield every object in the values, outer ones first, in the order they are written. Not deeper than MAX_DEPTH."""
    pending: list[tuple[Any, int]] = [(value, 0) for value in values][::-1]
    while pending:
        value, depth = pending.pop()
        inner: list[Any] = []
        if isinstance(value, dict):
            yield value
            inner = list(value.values())
        elif isinstance(value, list):
            inner = value
        if depth < MAX_DEPTH:
            pending.extend((part, depth + 1) for part in reversed(inner) if isinstance(part, dict | list))


def as_bytes(row: Any) -> bytes:
    """Return a part of an answer as bytes for the dead letters."""
    if isinstance(row, bytes):
        return row[:MAX_REJECTED_BYTES]
    try:
        return msgspec.json.encode(row)[:MAX_REJECTED_BYTES]
    except (TypeError, ValueError, msgspec.EncodeError, RecursionError):
        return repr(type(row)).encode()


def mapping(value: Any) -> dict[str, Any]:
    """Return the object that a part of an answer is; an empty one where it is something else."""
    return value if isinstance(value, dict) else {}


def objects(value: Any) -> list[dict[str, Any]]:
    """Return the objects in a list of an answer; none where it is something else."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def timestamp(value: Any) -> datetime | None:
    """Return the instant in epoch seconds, milliseconds or microseconds, or in ISO 8601; None where there is none."""
    if value is None or isinstance(value, bool) or value == "":
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        try:
            at = datetime.fromisoformat(str(value))
        except ValueError:
            return None
        try:
            return (at.replace(tzinfo=UTC) if at.tzinfo is None else at).astimezone(UTC)
        except OverflowError:
            return None
    for scale in (1_000_000, 1_000):
        if abs(number) >= 100_000_000 * scale:
            number /= scale
            break
    try:
        return datetime.fromtimestamp(number, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def whole(value: Any) -> int | None:
    """Return a count as a whole number of at least 0; None where there is none."""
    try:
        return max(0, int(float(value))) if value is not None and not isinstance(value, bool) else None
    except (TypeError, ValueError, OverflowError):
        return None


@dataclass(frozen=True, slots=True)
class Rich:
    """An HTML text as plain text, with what would be lost: where its links lead."""

    text: str
    links: tuple[str, ...] = ()


_BLOCKS: Final = frozenset(
    [
        "p",
        "div",
        "blockquote",
        "pre",
        "li",
        "ul",
        "ol",
        "table",
        "tr",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "section",
        "article",
        "header",
        "footer",
        "figure",
        "figcaption",
    ]
)
_LINES: Final = frozenset(("br", "li", "tr", "dt", "dd"))
_SILENT: Final = frozenset(("script", "style", "template", "head", "iframe", "object", "noscript"))


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.links: list[str] = []
        self._silent = 0
        self._anchors: list[tuple[str, int]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in _SILENT:
            self._silent += 1
        if tag in _BLOCKS:
            self.parts.append("\n" if tag in _LINES else "\n\n")
        elif tag in _LINES:
            self.parts.append("\n")
        if tag == "img" and not self._silent:
            self.parts.append(given.get("alt") or "")
        if tag == "a":
            address = (given.get("href") or "").strip()
            # Names of people and tags lead to their pages: no links of the text.
            is_name = "mention" in (given.get("class") or "").split() or "tag" in (given.get("rel") or "").split()
            self._anchors.append(("" if is_name else address, len(self.parts)))

    def handle_endtag(self, tag: str) -> None:
        if tag in _SILENT:
            self._silent = max(0, self._silent - 1)
        if tag in _BLOCKS and tag not in _LINES:
            self.parts.append("\n\n")
        if tag == "a" and self._anchors:
            address, start = self._anchors.pop()
            if address.startswith(("http://", "https://")):
                self.links.append(address)
                shown = "".join(self.parts[start:])
                cut = shown.rstrip(".…")
                if cut != shown and cut and address.startswith(cut):  # shortened for display
                    self.parts[start:] = [address]

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.parts.append(data)


def from_html(html: str | None, *, keep_lines: bool = False) -> Rich:
    """Return the text a reader would see, with line breaks, emoji and full addresses.

    Line breaks of the source code are spaces unless `keep_lines`. Broken HTML is read as far as it goes.
    """
    if not html:
        return Rich("")
    if "<" not in html and "&" not in html:
        return Rich(html.strip())
    reader = _Reader()
    marked = html if keep_lines else re.sub(r"[ \t]*[\r\n]+[ \t]*", " ", html)
    try:
        reader.feed(marked)
        reader.close()
    except (AssertionError, ValueError, RecursionError):
        reader.parts.append(re.sub(r"<[^>]{0,10000}>", " ", marked))
    text = "".join(reader.parts).replace("\r\n", "\n").replace("\xa0", " ")
    text = re.sub(r"[ \t]+", " ", text)
    text = re.sub(r" ?\n ?", "\n", text)
    return Rich(re.sub(r"\n{3,}", "\n\n", text).strip(), tuple(dict.fromkeys(reader.links)))


def from_plain(text: str | None) -> Rich:
    """Return a text that is no HTML, in which entities may stand for characters all the same, with its addresses."""
    bare = unescape(text or "").replace("\r\n", "\n").strip()
    return Rich(bare, addresses(bare))


def addresses(text: str | None) -> tuple[str, ...]:
    """Return the addresses that stand in a plain or Markdown text, each once, without the marks around them."""
    return tuple(dict.fromkeys(_bare(found) for found in _ADDRESS.findall(text or "")))


def _bare(address: str) -> str:
    """Return the address up to a bracket that was not opened inside, without what the sentence adds at its end."""
    depth = 0
    for place, letter in enumerate(address):
        depth += (letter == "(") - (letter == ")")
        if depth < 0:
            address = address[:place]
            break
    return address.rstrip(".,;:!?*_~'")
