"""The query language: Lucene syntax as Kibana and listening tools have it, read by luqum, into our tree.

    acme refund               both words (side by side means AND)
    acme OR "acme corp"       either; AND binds tighter than OR; words side by side and OR need parentheses
    acme -jobs, acme NOT jobs
    +acme                     the same as acme
    "parcel is late"          words next to each other; * and ? work inside, too
    "parcel late"~5           in any order, with at most five other words between them all together
    refund*, wom?n            other letters, any number or one
    #acme, @acme              the tag, the handle; acme finds them as well
    title:crash, rating.value:<3, author.followers:[1000 TO *], created_at:>=2025-01-31, sentiment:negative
    source:(reddit OR x*)     one field for several values
    _exists_:rating           has a value
    /order #?[0-9]+/          regular expression (RE2) anywhere in the text; not bound to words, unlike Lucene's
    *                         every mention

How words are compared is in `words.py`. A query that only excludes is an error. Boosts (^2) and fuzzy words (~1)
are errors: a query matches or it does not.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import re2
from luqum import tree as luqum
from luqum.exceptions import ParseError
from luqum.parser import lexer as luqum_lexer
from luqum.parser import parser as luqum_parser

from pipeline.core.query import fields
from pipeline.core.query.lexing import MAX_LENGTH, MAX_TERMS, QueryError, tokens
from pipeline.core.query.tree import (
    All,
    Between,
    Everything,
    Like,
    Named,
    Near,
    Node,
    Not,
    Pattern,
    Present,
    Query,
    Same,
    Words,
)
from pipeline.core.query.tree import Any as Either
from pipeline.core.query.words import has_signs, positions

__all__ = ["MAX_LENGTH", "MAX_TERMS", "Query", "QueryError", "parse"]

MAX_REGEX: Final = 500
# Letters that stand for wildcards while a word is cut: they pass through normalisation and belong to words.
_STAR: Final = "\ua66e"
_ONE: Final = "\ua9cf"
_CLOSED_RANGE: Final = re.compile(r"[\[{]")


def parse(text: str, *, judged: bool = True) -> Query:
    """Return the parsed query. `judged` allows fields that are known after triage only: sentiment, intent, spam ….

    Raises QueryError, whose message says where the mistake is and what to write instead.
    """
    found = tokens(text)
    feed = iter(found)
    try:
        tree = luqum_parser.parse(None, lexer=luqum_lexer.clone(), tokenfunc=lambda: next(feed, None))
    except ParseError as error:
        raise _syntax(error, text) from None
    reader = _Reader(judged=judged)
    root = reader.node(tree, None)
    if isinstance(root, Not):
        raise QueryError("the query only excludes", 0, "add what to look for; * -word is everything without the word")
    return Query(text, root, tuple(reader.named))


def _syntax(error: ParseError, text: str) -> QueryError:
    found = re.search(r"unexpected\s+'(.*)' at position (\d+)", str(error), re.DOTALL)
    if not found:
        return QueryError(
            "the query ends too early", max(len(text) - 1, 0), "close [ ranges ] and finish the last term"
        )
    position = int(found[2])
    if _CLOSED_RANGE.search(text[:position]):
        return QueryError(
            f"{found[1]} is not expected", position, "a range is written field:[1 TO 5], with * for no bound"
        )
    return QueryError(f"{found[1]} is not expected", position, "put the text in double quotes if it is one term")


class _Reader:
    """Turns luqum's tree into ours. Recursion is bounded: the depth was checked before."""

    def __init__(self, *, judged: bool) -> None:
        self.judged = judged
        self.named: list[Named] = []

    def node(self, item: Any, field: fields.Field | None) -> Node:
        """Return the node of a part of luqum's tree, inside this field."""
        if isinstance(item, luqum.AndOperation):
            return self._all(item, field)
        if isinstance(item, luqum.OrOperation):
            return self._any(item, field)
        if isinstance(item, luqum.Not | luqum.Prohibit):
            inner = self.node(item.children[0], field)
            if isinstance(inner, Not):
                raise QueryError("two negations", item.pos, "leave both out")
            return Not(inner)
        if isinstance(item, luqum.Plus):
            return self.node(item.children[0], field)
        if isinstance(item, luqum.BaseGroup):
            return self.node(item.children[0], field)
        if isinstance(item, luqum.SearchField):
            return self._field(item, field)
        return self._leaf(item, field)

    def _all(self, item: Any, field: fields.Field | None) -> Node:
        parts: list[Node] = []
        for child in item.children:
            part = self.node(child, field)
            parts.extend(part.parts if isinstance(part, All) else (part,))
        if all(isinstance(part, Not) for part in parts):
            raise QueryError(
                "this part only excludes", item.pos, "add what to look for; * -word is everything without the word"
            )
        return All(tuple(parts))

    def _any(self, item: Any, field: fields.Field | None) -> Node:
        parts: list[Node] = []
        for child in item.children:
            if isinstance(child, luqum.Plus):
                raise QueryError("+ beside OR", child.pos, "write a AND (b OR c) when a must be there")
            part = self.node(child, field)
            if isinstance(part, Not):
                raise QueryError("a negation beside OR matches nearly everything", child.pos, "write (a OR b) NOT c")
            parts.extend(part.parts if isinstance(part, Either) else (part,))
        return Either(tuple(parts))

    def _field(self, item: Any, outer: fields.Field | None) -> Node:
        name, value = item.name, item.children[0]
        if outer is not None:
            raise QueryError(
                f"{name}: inside {outer.name}:", item.pos, "name one field for a group, or put the colon in quotes"
            )
        if name == "*" and str(value).strip() == "*":
            return Everything()
        if name == "_exists_":
            return self._exists(value)
        field = fields.FIELDS.get(name)
        if field is None or (field.judged and not self.judged):
            if field is not None:
                raise QueryError(f"{name} is not known yet when brands are looked for", item.pos, "use it in routes")
            raise QueryError(f"unknown field {name}", item.pos, fields.advice(name, judged=self.judged))
        return self.node(value, field)

    def _exists(self, value: Any) -> Node:
        name = _plain(value)
        known = fields.FIELDS.get(name)
        if name not in fields.WHOLES and (known is None or (known.judged and not self.judged)):
            raise QueryError(f"unknown field {name}", value.pos, fields.advice(name, judged=self.judged))
        return Present(name, shown=f"_exists_:{name}")

    def _leaf(self, item: Any, field: fields.Field | None) -> Node:
        if isinstance(item, luqum.Word) and item.value == "*":
            return Everything() if field is None else Present(field.name, shown=f"{field.name}:*")
        if isinstance(item, luqum.Range | luqum.OpenRange):
            return _range(item, field)
        if isinstance(item, luqum.Regex):
            return _regex(item, field)
        if field is None or field.form in ("text", "address"):
            return _text(item, field)
        if isinstance(item, luqum.Proximity):
            raise QueryError(f"{field.name} has one value, not words", item.pos, "leave ~ out")
        if field.form == "name":
            return self._name(item, field)
        return _equal(item, field)

    def _name(self, item: Any, field: fields.Field) -> Node:
        if field.name == "tags":
            return _text(item, None, sign="#")
        value = _plain(item).casefold()
        if field.name == "author.handle":
            value = value.lstrip("@")
        shown = f"{field.name}:{value}"
        if isinstance(item, luqum.Word) and re.search(r"(?<!\\)[*?]", item.value):
            return Like(field.name, _glob(item.value.casefold().lstrip("@")), shown)
        if field.values and value not in field.values:
            raise QueryError(f"{field.name} is never {value}", item.pos, f"write one of {', '.join(field.values)}")
        self.named.append(Named(field.name, value, item.pos))
        return Same(field.name, value, shown)


def _plain(item: Any) -> str:
    """Return the value of a word or phrase without quotes and protecting backslashes."""
    if not isinstance(item, luqum.Word | luqum.Phrase):
        raise QueryError("one value is expected here", item.pos, "put it in double quotes")
    value = item.value[1:-1] if isinstance(item, luqum.Phrase) else item.value
    return re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL).strip()


def _glob(value: str) -> str:
    """Return `*` and `?` with protected characters as a regular expression."""
    parts = re.findall(r"\\.|.", value, re.DOTALL)
    return "".join({"*": "(?s:.*)", "?": "(?s:.)"}.get(part) or re.escape(part[-1]) for part in parts)


def _text(item: Any, field: fields.Field | None, sign: str = "") -> Node:
    """Return the leaf of a word, phrase or near words. `sign` goes before a word that lacks it."""
    slop: int | None = None
    if isinstance(item, luqum.Proximity):
        slop = int(item.degree)
        if field is not None and field.name not in ("text", "title"):
            raise QueryError(
                f"{field.name} takes no near words", item.pos, "leave ~ out; near words work in text and title"
            )
        item = item.children[0]
    quoted = isinstance(item, luqum.Phrase)
    raw: str = item.value[1:-1] if quoted else item.value
    if sign:
        raw = sign + raw.lstrip(sign)
    where = field.name if field else None
    shown = re.sub(r"\\(.)", r"\1", raw)
    parts = [part for part in (_cut(chunk, item.pos, field) for chunk in raw.split()) if part]
    if not parts:
        advice = (
            'write links:"…" to look for a web address' if "/" in raw else "write a word with letters, digits or emoji"
        )
        raise QueryError(f"there is no word in {raw or 'the quotes'}", item.pos, advice)
    shown = f"{where}:{shown}" if where else shown
    if slop is None or len(parts) == 1:
        return Words(tuple(word for part in parts for word in part), where, shown)
    return Near(tuple(parts), slop, where, f'"{shown}"~{slop}')


def _cut(chunk: str, position: int, field: fields.Field | None) -> tuple[str, ...]:
    """Return the words of a piece without spaces, wildcards in them."""
    protected = re.sub(
        r"\\(.)|\*+|\?", lambda part: part[1] or (_STAR if part[0][0] == "*" else _ONE), chunk, flags=re.DOTALL
    )
    if field is not None and field.form == "address":
        protected = re.sub(r"^[a-zA-Z][a-zA-Z0-9+.-]*://|\bwww\.", "", protected)
    words = [forms[0].replace(_STAR, "*").replace(_ONE, "?") for forms in positions(protected)]
    if any(has_signs(word) for word in words):
        while words and not words[0].strip("*"):
            words.pop(0)
        while words and not words[-1].strip("*"):
            words.pop()
        if any(not word.strip("*?") for word in words):
            raise QueryError(
                f"a wildcard inside {chunk}",
                position,
                'this script has no spaces, its words are found anywhere: use "a b"~5 for parts',
            )
    for word in words:
        if ("*" in word or "?" in word) and len(word.strip("#@").replace("*", "").replace("?", "")) < 2:
            raise QueryError(f"{chunk} fits nearly every word", position, "write at least two letters beside * and ?")
    return tuple(words)


def _regex(item: Any, field: fields.Field | None) -> Node:
    if field is not None and field.form in ("number", "instant", "flag", "address"):
        raise QueryError(f"{field.name} takes no regular expression", item.pos, "write a value, a range or a wildcard")
    source = item.value[1:-1].replace("\\/", "/")
    if len(source) > MAX_REGEX:
        raise QueryError(f"the regular expression has more than {MAX_REGEX} characters", item.pos, "make several of it")
    try:
        compiled = regex(source)
    except re2.error as error:
        reason = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else error.args[0]
        raise QueryError(
            f"the regular expression is not valid ({reason})",
            item.pos,
            "write RE2 syntax: no look-around, no back references",
        ) from None
    if compiled.search(b""):
        raise QueryError("the regular expression fits an empty text", item.pos, "write + instead of *, or a longer one")
    where = field.name if field else None
    return Pattern(source, where, f"{where}:/{source}/" if where else f"/{source}/")


def regex(source: str) -> Any:
    """Return a compiled RE2 pattern without case, for bytes in UTF-8: linear in time, bounded in memory."""
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    options.max_mem = 4 << 20
    return re2.compile(source.encode("utf-8", "replace"), options)


def _range(item: Any, field: fields.Field | None) -> Node:
    if field is None:
        raise QueryError("a range without a field", item.pos, "write for example rating.value:<3")
    if field.form not in ("number", "instant"):
        raise QueryError(f"{field.name} is neither a number nor a date", item.pos, "write a value or a wildcard")
    if isinstance(item, luqum.Range):
        low, high = item.low, item.high
        with_low, with_high = item.include_low, item.include_high
    elif isinstance(item, luqum.From):
        low, high, with_low, with_high = item.children[0], None, item.include, True
    else:
        low, high, with_low, with_high = None, item.children[0], True, item.include
    bottom = _bound(low, field, item.pos, upper=False, included=with_low)
    top = _bound(high, field, item.pos, upper=True, included=with_high)
    if bottom is None and top is None:
        raise QueryError("the range has no bound", item.pos, f"write _exists_:{field.name} for any value")
    if bottom is not None and top is not None and bottom > top:
        raise QueryError("the range ends before it begins", item.pos, "turn the bounds round")
    shown = f"{field.name}:{str(item).strip()}"
    if field.form == "instant":
        return Between(field.name, bottom, top, True, False, shown)
    return Between(field.name, bottom, top, with_low, with_high, shown)


def _equal(item: Any, field: fields.Field) -> Node:
    """Return the leaf of a number, date or flag that is given by its value."""
    value, shown = _plain(item), f"{field.name}:{_plain(item)}"
    if field.form == "flag":
        if value.lower() not in ("true", "false"):
            raise QueryError(f"{field.name} is never {value}", item.pos, "write true or false")
        number = float(value.lower() == "true")
        return Between(field.name, number, number, shown=shown)
    if field.form == "instant":
        low = _bound(item, field, item.pos, upper=False, included=True)
        return Between(field.name, low, _bound(item, field, item.pos, upper=True, included=True), True, False, shown)
    low = _bound(item, field, item.pos, upper=False, included=True)
    return Between(field.name, low, low, shown=shown)


def _bound(item: Any, field: fields.Field, position: int, *, upper: bool, included: bool) -> float | None:
    """Return one bound as a number. Instants become half-open: from `low` on, before `high`."""
    if item is None:
        return None
    value = "-" + _plain(item.children[0]) if isinstance(item, luqum.Prohibit) else _plain(item)
    if value == "*":
        return None
    if field.form == "number":
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if number != number or "_" in value or number in (float("inf"), float("-inf")):  # noqa: PLR0124 - NaN
            raise QueryError(
                f"{field.name} is a number, {value} is not", position, f"write {field.name}:[1 TO 5] or :>=3"
            )
        return number
    try:
        moment = datetime.fromisoformat(value)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
        whole_day = len(value) <= 10
        if upper == included:  # the value itself is inside above, or outside below: step over it
            moment += timedelta(days=1) if whole_day else timedelta(microseconds=1)
        return moment.timestamp()
    except (ValueError, OverflowError):
        raise QueryError(
            f"{field.name} is a date, {value} is not", position, "write 2025-01-31 or 2025-01-31T08:00:00Z"
        ) from None
