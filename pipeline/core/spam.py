"""How likely a mention is spam, with reasons. Precision first: what is marked is set aside for a person, not lost.

Signs are counted in points; from 2 points on the score is 0.5 and more. The wordings are in `pipeline/rules/spam.yaml`.
A genuine complaint may have one sign (a link, capitals, "free"), hardly ever several of different kinds; and who speaks
to an account about an own order, flight or bill is believed more than who speaks to everybody.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final, NamedTuple

import yaml

from pipeline.core.native import pick
from pipeline.core.routing.wordings import Wordings

ENOUGH: Final = 2.0
MOST_OF_EACH: Final = 4  # words of an advertisement that count
WEAK: Final = 1.0  # signs below say nothing alone
WRAPPED: Final = "//t.co/"  # how X writes pictures and quoted posts: no link somebody spreads
ADDRESSED: Final = 0.8  # points taken from who speaks to an account
FEW_WORDS: Final = 25  # those of the link itself among them
LINK_ALONE: Final = 3  # a link and at most so many words beside it are no words of one's own

_ADDRESS: Final = re.compile(r"(?:https?://|\bwww\.)\S+", re.IGNORECASE)
_DOMAIN: Final = re.compile(r"\b[\w-]{1,63}\.(?:com|net|info|biz|xyz|top|click|ru|tk|tv)\b\S*", re.IGNORECASE)
_DOMAIN_END: Final = re.compile(r"\.(?:com|net|info|biz|xyz|top|click|ru|tk|tv)\b", re.IGNORECASE)  # seen sooner
# Who follows these brings somebody money or followers.
_REFERRAL: Final = re.compile(r"[?&](?:ref|r|a|aff|friend|invite)=\w|#friend=|\bwatch\?v=", re.IGNORECASE)
_COLLECTS: Final = (
    *("gofundme.com", "indiegogo.com", "kickstarter.com", "patreon.com", "soundcloud.com/"),
    *("adf.ly", "linkbucks", "binbox", "shorte.st"),
)
_SHOWS: Final = ("ebay.", "facebook.com/", "vimeo.com/")
_SHOWS_ITSELF: Final = re.compile(
    r"ebay\.[a-z.]+/(?:itm|usr)|facebook\.com/(?:pages|photo|profile|groups|video|events)|vimeo\.com/\d"
)
_NUMBERS: Final = re.compile(
    r"[0-9](?:[0-9]{4}| ?[pP](?:[^a-zA-Z]|$|[a-z]{2,4}\b)|/[mwM])"
)  # what is said of numbers counts with one of these
_PREMIUM: Final = re.compile(
    r"\b0[89]\d{2} ?\d{3} ?\d{2} ?\d{1,3}\b|\b070\d{8}\b|\b80009\d{5}\b|\b0[89]\d{8,9}\w?", re.IGNORECASE
)
_ORDER: Final = re.compile(r"\b(?:txt|text|send|sms)\s+[\"'(]?\w+[\"')]?\s+(?:to|2)[: ]*\d{4,6}\b", re.IGNORECASE)
_CODE: Final = re.compile(r"(?<!\w)[4-9][0-9]{4}(?!\w)")
_ASKED: Final = re.compile(r"\b(?:txt|text|send|sms|call|to|on)\b", re.IGNORECASE)
_NEAR: Final = 40  # characters between what is asked and the short code
_LONGEST_ASKED: Final = 4
_LONG_S: Final = "\u017f"  # an s where case is ignored
_PENCE_FOR: Final = re.compile(
    r"[0-9] ?p(?:ence)? ?(?:/|(?:per|a|pm)\b|min|msg|txt|sms)", re.IGNORECASE
)  # what a call or a message costs
_POUNDS_FOR: Final = re.compile(r"£ ?\d[\d.]* ?(?:/|per|a) ?(?:min|wk|week|msg|txt|month)", re.IGNORECASE)
_COIN: Final = re.compile(
    r"\b(?:airdrop|presale|memecoin|shitcoin|forex|binary options|btc|eth|usdt|nft mint|whitelist spot|100x)\b|\$[A-Z]{3,6}\b"
)


_ANY, _SHORT_CODE, _PENCE, _COSTLY = 1, 2, 4, 8
_DIGITS: Final = re.compile("[0-9]+")


def numbers_twin(text: str) -> int:
    """Return a sum that says which numbers a text has.

    1 if there may be one of _NUMBERS, 2 a _CODE, 4 pence, 8 a premium number. Most texts have none, and that is seen
    sooner than with what is asked afterwards.
    """
    found = 0
    for run in _DIGITS.finditer(text):
        start, end = run.span()
        behind = text[end : end + 2]
        if behind[:1] in ("p", "P") or behind in (" p", " P"):
            found |= _ANY | _PENCE
        if end - start >= 5 or behind in ("/m", "/w", "/M", "/W"):
            found |= _ANY
        if end - start > 2 and (start == 0 or not _is_of_word(text[start - 1])):
            number = run[0]
            if end - start == 5 and number[0] >= "4" and not _is_of_word(behind[:1]):
                found |= _SHORT_CODE
            if (number[0] == "0" and number[1] >= "7") or number.startswith("80009"):
                found |= _COSTLY
    return found


def _is_of_word(char: str) -> bool:
    return char.isalnum() or char == "_"


_numbers: Final[Callable[[str], int]] = pick("numbers", numbers_twin)


class Spam(NamedTuple):
    """`score` is 0 to 1, 0.5 and above is quarantined; `reasons` name the signs."""

    score: float
    reasons: tuple[str, ...]


class Sign(NamedTuple):
    """A kind of spam: what each of its wordings is worth, and whether several of them count more than one."""

    name: str
    points: float
    each: bool


class Signs:
    """The shipped signs, ready to be looked for. `version` is the SHA-256 of their file."""

    def __init__(self, text: str) -> None:
        rows: list[Mapping[str, Any]] = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))["signs"]  # noqa: S506 - both are safe
        self.version = hashlib.sha256(text.encode()).hexdigest()
        self.rows = rows
        self.signs = tuple(Sign(row["name"], float(row["points"]), bool(row.get("each", False))) for row in rows)
        numbered: dict[int, Sequence[str]] = {}
        for index, row in enumerate(rows):
            numbered[index] = row["when"]
            numbered[-1 - index] = row.get("unless", ())
        self._wordings = Wordings(numbered)

    def find(self, words: Sequence[str]) -> dict[str, float]:
        """Return the points of the signs that the words give."""
        hits = self._wordings.find(words)
        if not hits:
            return {}
        found: dict[int, set[tuple[str, ...]]] = {}
        forbidden: set[int] = set()
        for start, end, says in hits:
            for number in says:
                if number < 0:
                    forbidden.add(-1 - number)
                else:
                    found.setdefault(number, set()).add(tuple(words[max(0, start) : end]))
        points: dict[str, float] = {}
        for number, wordings in found.items():
            sign = self.signs[number]
            if number not in forbidden:
                points[sign.name] = sign.points * (min(MOST_OF_EACH, len(wordings)) if sign.each else 1)
        return points


@lru_cache(maxsize=1)
def shipped() -> Signs:
    """Return the signs that come with earshot."""
    return Signs((files("pipeline") / "rules" / "spam.yaml").read_text(encoding="utf-8"))


_CLEAN: Final = Spam(0.0, ())


def score(text: str, words: Sequence[str]) -> Spam:
    """Return how likely a text is spam; `words` are its lower-case words. Linear in the length of the text."""
    signs = shipped().find(words)
    if signs or (len(words) <= FEW_WORDS and WRAPPED not in text and ("http" in text or "www" in words)):
        _judge_links(text, signs)
    numbers = _numbers(text)
    if numbers or "£" in text:
        _judge_numbers(text, numbers, signs)
    if not signs:
        return _CLEAN
    strongest = max(signs.values())
    if strongest >= WEAK:
        if "$" in text or "€" in text or "£" in text:
            signs["price"] = 0.5
        if _COIN.search(text) is not None:
            signs["coin"] = max(signs.get("coin", 0.0), 1.2)
    total = sum(signs.values()) if strongest >= WEAK else min(1.0, sum(signs.values()))
    if text.startswith("@"):
        total -= ADDRESSED
    if total <= 0:
        return _CLEAN
    return Spam(round(min(0.99, 0.5 * (total / ENOUGH) ** 1.5), 3), tuple(signs))


def _judge_links(text: str, signs: dict[str, float]) -> None:
    """Add what the links of a text say."""
    if "." not in text:
        return
    rest, links = _ADDRESS.subn(" ", text)
    if _DOMAIN_END.search(rest) is not None:
        rest, more = _DOMAIN.subn(" ", rest)
        links += more
    if not links:
        return
    if _brings(text):
        signs["brings its author something"] = 1.6
    if "@" not in rest and "#" not in rest and WRAPPED not in text and sum(map(str.isalpha, rest)) <= 5 * LINK_ALONE:
        signs["a link without words"] = 2.0
    elif (signs and WRAPPED not in text) or links > 2:
        signs["link"] = 0.5 + (1.0 if links > 2 else 0.0)


def _brings(text: str) -> bool:
    """Whether who follows a link brings somebody money or followers."""
    if "=" in text and _REFERRAL.search(text) is not None:
        return True
    lower = text.lower()
    if any(map(lower.__contains__, _COLLECTS)):
        return True
    return any(map(lower.__contains__, _SHOWS)) and _SHOWS_ITSELF.search(lower) is not None


def _judge_numbers(text: str, numbers: int, signs: dict[str, float]) -> None:
    """Add what telephone numbers, short codes and tariffs say.

    What a pattern cannot do without is looked for first: many texts have an order number, few have one of these, and a
    pattern that ignores case costs ten times as much as what is asked before it.
    """
    lower = text.lower()
    has_pounds = "£" in text
    found: dict[str, float] = {}
    if numbers & _COSTLY and _PREMIUM.search(text) is not None:
        found["premium number"] = 1.6
    if ("text" in lower or "txt" in lower or "send" in lower or "sms" in lower or _LONG_S in text) and _ORDER.search(
        text
    ) is not None:
        found["text to a number"] = 2.0
    elif numbers & _SHORT_CODE and _asks_for_code(text):
        found["short code"] = 1.3
    if (
        "ppm" in lower
        or "150p" in lower
        or "po box" in lower
        or "pobox" in lower
        or (numbers & _PENCE and _PENCE_FOR.search(text) is not None)
        or (has_pounds and _POUNDS_FOR.search(text) is not None)
    ):
        found["tariff"] = 1.4
    if found and (has_pounds or _NUMBERS.search(text) is not None):
        signs.update(found)
    if has_pounds and signs:
        signs["price"] = 0.5


def _asks_for_code(text: str) -> bool:
    """Whether somebody is to call, write or send to a short code: both stand near each other."""
    for code in _CODE.finditer(text):
        start = code.start()
        for asked in _ASKED.finditer(text, max(0, start - _NEAR - _LONGEST_ASKED), start):
            if start - asked.end() <= _NEAR:
                return True
    return False
