"""What types cannot say: queries are readable, names exist, examples match. All of it is found in one go."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from pipeline.config.document import Document, Path, Problem, shown
from pipeline.config.model import DEFAULT_DEPARTMENTS
from pipeline.core.query.examples import fits, matches
from pipeline.core.query.parse import Query, QueryError, parse

REVIEW: Final = "review"
_COMMENT: Final = re.compile(r"[ \t]+#(?=\w)")
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")


class Checks:
    """Walks over the values of a file. Values of the wrong type are passed over: the types were checked elsewhere."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[Problem] = []
        data = document.data if isinstance(document.data, dict) else {}
        self.data: Mapping[str, Any] = data
        self.brands = tuple(name for name, _ in _parts(data, "brands"))
        self.campaigns = tuple(name for name, _ in _parts(data, "campaigns"))
        listed = data.get("departments")
        self.departments = tuple(listed if isinstance(listed, dict) else DEFAULT_DEPARTMENTS)

    def run(self) -> list[Problem]:
        """Return all problems, in no order."""
        self._broker()
        self._brands()
        self._campaigns()
        self._routes()
        self._deep()
        for name, _ in _parts(self.data.get("alerts"), "brands"):
            self._known(("alerts", "brands", name), name, self.brands, "brand", at_key=True)
        return self.problems

    def _problem(self, path: Path, what: str, advice: str, place: tuple[int, int] | None = None) -> None:
        line, column = place or self.document.value_place(path)
        self.problems.append(Problem(line, column, shown(path), what, advice))

    # ----------------------------------------------------------------------------------------------- parts

    def _broker(self) -> None:
        broker = self.data.get("broker")
        if not isinstance(broker, str) or broker in ("embedded", "memory"):
            return
        for address in broker.split(","):
            if not re.fullmatch(r"\s*(\[[0-9a-fA-F:]+\]|[^\s:,]+):\d{1,5}\s*", address):
                self._problem(("broker",), "is no address", "write embedded, memory or host:port, several with commas")

    def _brands(self) -> None:
        for name, brand in _parts(self.data, "brands"):
            self._query(("brands", name, "query"), brand.get("query"), judged=False)
            for at, code in _texts(brand.get("languages")):
                if not _LANGUAGE.fullmatch(code):
                    self._problem(
                        ("brands", name, "languages", at), "is no language", "write codes such as en or pt-BR"
                    )

    def _campaigns(self) -> None:
        for name, campaign in _parts(self.data, "campaigns"):
            self._query(("campaigns", name, "query"), campaign.get("query"), judged=False)
            brand = campaign.get("brand")
            if isinstance(brand, str):
                self._known(("campaigns", name, "brand"), brand, self.brands, "brand")
            starts = self._date(("campaigns", name, "starts"), campaign.get("starts"))
            ends = self._date(("campaigns", name, "ends"), campaign.get("ends"))
            if starts and ends and starts > ends:
                self._problem(("campaigns", name, "ends"), "is before it starts", "turn the two dates round")

    def _deep(self) -> None:
        deep = next((part for name, part in _parts(self.data, "sentiment") if name == "deep"), {})
        labels = deep.get("labels")
        if isinstance(labels, dict) and labels:
            lacking = [name for name in ("negative", "positive") if name not in labels.values()]
            if lacking:
                self._problem(
                    ("sentiment", "deep", "labels"),
                    f"no label means {' or '.join(lacking)}",
                    "write what each of the model's labels means: {LABEL_0: negative, LABEL_1: positive}",
                )
        for at, code in _texts(deep.get("languages")):
            if not _LANGUAGE.fullmatch(code):
                self._problem(
                    ("sentiment", "deep", "languages", at), "is no language", "write codes such as en or pt-BR"
                )

    def _routes(self) -> None:
        first: dict[str, int] = {}
        routes = self.data.get("routes")
        for at, route in enumerate(routes if isinstance(routes, list) else []):
            if not isinstance(route, dict):
                continue
            path: Path = ("routes", at)
            name = route.get("name")
            if isinstance(name, str):
                if name in first:
                    what = f"the name {name} is there twice, first in line {first[name]}"
                    self._problem((*path, "name"), what, "name each route differently: decisions say which one fired")
                first.setdefault(name, self.document.value_place((*path, "name"))[0])
            query = self._query((*path, "when"), route.get("when"), judged=True)
            self._targets(path, route)
            if query is not None:
                self._examples(path, route, query)

    def _targets(self, path: Path, route: Mapping[str, Any]) -> None:
        for key in ("to", "not_to"):
            for at, name in _texts(route.get(key)):
                self._known((*path, key, at), name, (*self.departments, REVIEW), "department")
        to, not_to = ({name for _, name in _texts(route.get(key))} for key in ("to", "not_to"))
        for name in sorted(to & not_to):
            self._problem((*path, "not_to"), f"{name} is in to and in not_to", "leave it out of one of them")
        if route.get("mute") is True and to:
            self._problem((*path, "mute"), "the route mutes and sends", "leave out mute, or to")
        if not (to or not_to or route.get("mute") or route.get("priority") or route.get("stop")):
            self._problem(path, "the route does nothing", "write to: [department], not_to, mute: true or priority")

    def _examples(self, path: Path, route: Mapping[str, Any], query: Query) -> None:
        for at, text in _texts(route.get("examples")):
            if not fits(query, text):
                self._problem(
                    (*path, "examples", at),
                    f"the example {_quoted(text)} does not match",
                    "change the query, or the example",
                )
        for at, text in _texts(route.get("counter_examples")):
            if matches(query, text):
                what = f"the counter-example {_quoted(text)} matches"
                self._problem(
                    (*path, "counter_examples", at), what, "narrow the query with AND or NOT, or leave it out"
                )

    # ------------------------------------------------------------------------------------------ small ones

    def _query(self, path: Path, text: object, *, judged: bool) -> Query | None:
        """Return the parsed query; report what is wrong with it where it stands."""
        if not isinstance(text, str) or not text.strip():
            return None
        self._cut_by_comment(path)
        try:
            query = parse(text, judged=judged)
        except QueryError as error:
            excerpt = " ".join(text[max(0, error.position - 15) : error.position + 15].split())
            self._problem(
                path,
                f"{error.problem} near {_quoted(excerpt)}",
                error.advice,
                self.document.inside(path, error.position),
            )
            return None
        known = {"brand": self.brands, "campaign": self.campaigns, "department": self.departments}
        for named in query.named:
            if named.field in known:
                place = self.document.inside(path, named.position)
                self._known(path, named.value, known[named.field], named.field, place=place)
        return query

    def _cut_by_comment(self, path: Path) -> None:
        """Report `acme #fail`, of which YAML takes only `acme`."""
        place = self.document.places.get(path)
        if place is None or getattr(place.node, "style", None) is not None:
            return
        end = place.node.end_mark.index
        found = _COMMENT.match(self.document.text, end)
        if found:
            at = self.document.place(path)[0]
            column = found.end() - self.document.text.rfind("\n", 0, end) - 1
            self._problem(path, "YAML ends the query at #", "put the whole query in single quotes", (at, column))

    def _known(
        self,
        path: Path,
        name: str,
        names: Sequence[str],
        kind: str,
        *,
        at_key: bool = False,
        place: tuple[int, int] | None = None,
    ) -> None:
        if name in names:
            return
        near = difflib.get_close_matches(name, names, n=1)
        there = f"{kind}s are {', '.join(names)}" if names else f"there are no {kind}s; add it under {kind}s:"
        advice = f"did you mean {near[0]}? {there}" if near else there
        self._problem(path, f"{_quoted(name)} is no {kind}", advice, self.document.place(path) if at_key else place)

    def _date(self, path: Path, written: object) -> datetime | None:
        if not isinstance(written, str):
            return None
        try:
            return datetime.fromisoformat(written).replace(tzinfo=None)
        except ValueError:
            self._problem(path, "is no date", "write 2025-01-31 or 2025-01-31T08:00:00Z")
            return None


def check_plugins(
    document: Document, kind: str, check: Callable[[str, Any], Sequence[str]], parts: Mapping[str, Any]
) -> list[Problem]:
    """Return what a check of the plug-ins' own settings finds. Its lines may begin with KIND.NAME.setting: .

    `kind` is `sources` or `notifiers`.
    """
    problems = []
    for name, part in parts.items():
        for line in check(name, part):
            found = re.match(rf"{kind}\.{re.escape(name)}(?:\.(\w+)[\w.]*)?(?:: | (?=is ))", line)
            path: Path = (kind, name, *((found[1],) if found and found[1] else ()))
            rest = line[found.end() :] if found else line
            what, advice = next(
                ((one, other) for sign in (" — ", "; ", ": ") for one, _, other in (rest.partition(sign),) if other),
                (rest, f"see the README of the {'connector' if kind == 'sources' else 'notifiers'}"),
            )
            place = document.value_place(path) if path in document.places else document.place(path)
            problems.append(Problem(*place, shown(path), what, advice))
    return problems


def check_deep(document: Document, lines: Sequence[str]) -> list[Problem]:
    """Return what is wrong with the stronger sentiment model as problems; its lines begin with a setting and a colon."""
    problems = []
    for line in lines:
        where, _, rest = line.partition(": ")
        what, _, advice = rest.partition(" — ")
        path: Path = tuple(where.split("."))
        place = document.value_place(path) if path in document.places else document.place(path)
        problems.append(Problem(*place, shown(path), what, advice))
    return problems


def _parts(data: object, key: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    found = data.get(key) if isinstance(data, dict) else None
    for name, part in found.items() if isinstance(found, dict) else ():
        yield name, part if isinstance(part, dict) else {}


def _texts(value: object) -> Iterator[tuple[int, str]]:
    for at, text in enumerate(value if isinstance(value, list) else []):
        if isinstance(text, str):
            yield at, text


def _quoted(text: str) -> str:
    """Return a text in quotes on one line, cut where it is long, with control characters shown as such."""
    one_line = " ".join(text.split())
    cut = one_line if len(one_line) <= 60 else one_line[:59] + "…"
    return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in cut) + '"'
