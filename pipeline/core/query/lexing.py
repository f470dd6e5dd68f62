"""From a query's text to tokens that luqum's grammar reads in one way only.

What the grammar would read differently than people mean it is an error here, with advice: words side by side next to
OR, operators in small letters, operators of other tools. Depth and number of terms are bounded here, before anything
recursive sees the query.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from luqum.exceptions import IllegalCharacterError
from luqum.head_tail import TokenValue
from luqum.parser import lexer as luqum_lexer
from luqum.tree import Word
from ply.lex import LexToken  # type: ignore[import-untyped]

from pipeline.contract.errors import ConfigError

MAX_LENGTH: Final = 20_000
"""Characters of a query."""
MAX_TERMS: Final = 2_000
"""Words, phrases and other terms of a query; each word of a phrase counts."""
MAX_DEPTH: Final = 25
"""Parentheses within parentheses."""

MAX_SLOP: Final = 100
"""Words between near words."""

_STARTS: Final = frozenset(
    {"TERM", "PHRASE", "REGEX", "LPAREN", "LBRACKET", "PLUS", "MINUS", "NOT", "LESSTHAN", "GREATERTHAN", "TO"}
)
_ENDS: Final = frozenset({"TERM", "PHRASE", "REGEX", "APPROX", "BOOST", "RPAREN", "RBRACKET", "TO"})
_SIGNS: Final = frozenset({"PLUS", "MINUS", "NOT"})
_BINARY: Final = frozenset({"AND_OP", "OR_OP"})
_FOREIGN: Final = {
    "and": 'write AND in capitals, or "and" in quotes for the word',
    "or": 'write OR in capitals, or "or" in quotes for the word',
    "not": 'write NOT in capitals, or "not" in quotes for the word',
    "&&": "write AND",
    "||": "write OR",
    "|": "write OR",
    "&": "write AND",
    "!": "write NOT",
}
# As many characters as before, so that positions stay true.
_QUOTES: Final = str.maketrans({**dict.fromkeys("“”„‟«»＂", '"'), **dict.fromkeys("‘’", "'"), "\u3000": " "})


class QueryError(ConfigError):
    """A query is wrong. `position` counts characters from 0; `problem` and `advice` are for a person."""

    def __init__(self, problem: str, position: int | None, advice: str) -> None:
        position = position or 0
        super().__init__(f"{problem} at character {position + 1} — {advice}")
        self.problem = problem
        self.advice = advice
        self.position = position


def tokens(text: str) -> list[LexToken]:
    """Return the tokens with every operator written out. Raises QueryError."""
    if len(text) > MAX_LENGTH:
        raise QueryError(
            f"the query has {len(text):,} characters, {MAX_LENGTH:,} are allowed",
            MAX_LENGTH,
            "make two brands or routes of it",
        )
    found = _lexed(text.translate(_QUOTES))
    if not found:
        raise QueryError("the query is empty", 0, "write what to look for, or * for every mention")
    found = list(_joined_numbers(found))
    _check_operators(found)
    _check_size(found)
    return list(_with_and(found))


def _lexed(text: str) -> list[LexToken]:
    lexer = luqum_lexer.clone()
    lexer.input(text)
    try:
        return list(iter(lexer.token, None))
    except IllegalCharacterError:
        position = lexer.lexpos
        raise QueryError(f"{text[position]!r} is not expected", position, _advice_on(text[position])) from None


def _advice_on(character: str) -> str:
    return {
        '"': "close the quotation with another double quote",
        "/": "close the regular expression with another slash, or put a word with a slash in double quotes",
        "'": "use double quotes for phrases",
        "\\": "a backslash stands before the character it protects",
    }.get(character, "put the word in double quotes")


def _joined_numbers(found: Sequence[LexToken]) -> Iterator[LexToken]:
    """Join `<` `-` `0.5` into `<` `-0.5`: the grammar has no negative numbers there."""
    skip = False
    for at, token in enumerate(found):
        if skip:
            skip = False
            before = token.value
            token.value = Word("-" + before.value, pos=before.pos, size=before.size, head=before.head, tail=before.tail)
        elif (
            token.type == "MINUS"
            and at
            and found[at - 1].type in ("LESSTHAN", "GREATERTHAN")
            and at + 1 < len(found)
            and found[at + 1].type == "TERM"
        ):
            skip = True
            continue
        yield token


def _check_operators(found: Sequence[LexToken]) -> None:
    for before, token in zip((None, *found), found, strict=False):
        kind = token.type
        if kind in _BINARY and (before is None or before.type in _BINARY | _SIGNS | {"LPAREN"}):
            raise QueryError(
                f"nothing stands before {_text(token)}", token.lexpos, f"leave {_text(token)} out or add a word"
            )
        if kind == "BOOST":
            raise QueryError("a boost", token.lexpos, "leave ^ out: a query matches or it does not")
        if kind == "APPROX":
            _check_distance(before, token)
        if before is None:
            continue
        if before.type in _SIGNS and (kind in _SIGNS or kind == "RPAREN"):
            raise QueryError(
                f"{_text(token)} follows {_text(before)}", token.lexpos, "one sign before a word is enough"
            )
        if before.type in _BINARY and kind == "RPAREN":
            raise QueryError(
                f"nothing stands after {_text(before)}", before.lexpos, f"leave {_text(before)} out or add a word"
            )
        if before.type == "LPAREN" and kind == "RPAREN":
            raise QueryError("the parentheses are empty", before.lexpos, "leave them out or put words in")
        if before.type == "COLUMN" and kind == "RPAREN":
            raise QueryError(
                "the field has no value", before.lexpos, "write field:value, or _exists_:field for any value"
            )
    last = found[-1]
    if last.type in _BINARY | _SIGNS:
        raise QueryError(f"nothing stands after {_text(last)}", last.lexpos, f"leave {_text(last)} out or add a word")
    if last.type == "COLUMN":
        raise QueryError("the field has no value", last.lexpos, "write field:value, or _exists_:field for any value")


def _check_distance(before: LexToken | None, token: LexToken) -> None:
    if before is None or before.type != "PHRASE":
        raise QueryError("~ after a single word", token.lexpos, 'write the spellings with OR; ~ is for "near words"~5')
    distance = str(token.value.value or "")
    if not distance.isdecimal() or len(distance) > 3 or int(distance) > MAX_SLOP:
        raise QueryError(f"~{distance} is no distance", token.lexpos, f"write a whole number of words up to {MAX_SLOP}")


def _check_size(found: Sequence[LexToken]) -> None:
    open_at: list[int] = []
    terms = 0
    for at, token in enumerate(found):
        if token.type == "LPAREN":
            open_at.append(token.lexpos)
            if len(open_at) > MAX_DEPTH:
                raise QueryError(
                    f"more than {MAX_DEPTH} parentheses within each other",
                    token.lexpos,
                    "leave out those that are not needed",
                )
        elif token.type == "RPAREN":
            if not open_at:
                raise QueryError("a parenthesis is closed that was not opened", token.lexpos, "leave it out or add a (")
            open_at.pop()
        elif token.type == "COLUMN" and at > 1 and found[at - 2].type == "COLUMN":
            raise QueryError("a second colon", token.lexpos, "put a value with colons in double quotes")
        elif token.type in ("TERM", "PHRASE", "REGEX"):
            terms += 1 + (str(token.value.value).count(" ") if token.type == "PHRASE" else 0)
            if terms > MAX_TERMS:
                raise QueryError(
                    f"more than {MAX_TERMS:,} words", token.lexpos, "use wildcards or make two brands or routes of it"
                )
    if open_at:
        raise QueryError("a parenthesis is not closed", open_at[-1], "add a ) where it ends")


def _with_and(found: Sequence[LexToken]) -> Iterator[LexToken]:
    """Write AND between terms that stand side by side; that is an error where OR stands beside them, too."""
    beside: list[int | None] = [None]  # one entry per open parenthesis: where words stand side by side …
    either: list[bool] = [False]  # … and whether there is an OR
    in_range = False
    before: LexToken | None = None
    for token in found:
        if before is not None and not in_range and before.type in _ENDS and token.type in _STARTS:
            beside[-1] = beside[-1] or token.lexpos
            yield _and(token)
        if token.type == "OR_OP":
            either[-1] = True
        _refuse_foreign(token, in_range=in_range)
        if either[-1] and beside[-1] is not None:
            raise QueryError(
                "words side by side (which means AND) are mixed with OR",
                beside[-1],
                "say with parentheses what belongs together: (a OR b) c",
            )
        if token.type == "LBRACKET":
            in_range = True
        elif token.type == "RBRACKET":
            in_range = False
        elif token.type == "LPAREN":
            beside.append(None)
            either.append(False)
        elif token.type == "RPAREN":
            beside.pop()
            either.pop()
        before = token
        yield token


def _refuse_foreign(token: LexToken, *, in_range: bool) -> None:
    if token.type != "TERM" or in_range:
        return
    word = str(token.value.value)
    if word in _FOREIGN:
        raise QueryError(f"{word} is read as a word here", token.lexpos, _FOREIGN[word])
    if word.startswith("!"):
        raise QueryError(f"{word} is read as a word here", token.lexpos, f"write NOT {word[1:]}")
    if word.upper().startswith(("NEAR/", "WITHIN/", "ONEAR/")):
        raise QueryError(
            f"{word} is not known", token.lexpos, 'write "two words"~5 for words with five others between at most'
        )


def _and(beside: LexToken) -> LexToken:
    token = LexToken()
    token.type, token.value = "AND_OP", TokenValue("AND")
    token.lineno, token.lexpos = beside.lineno, beside.lexpos
    return token


def _text(token: LexToken) -> str:
    value: Any = getattr(token.value, "value", token.value)
    return str(value)
