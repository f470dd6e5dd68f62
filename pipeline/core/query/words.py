"""What a word is: for queries and for the texts they are held against.

A text is cut at white space into chunks, a chunk into positions. A position is the tuple of forms under which a
query may find it, the primary form first:

- letters are compared without case and in Unicode's compatibility form (full-width letters are letters);
- `café` is found by `café` and by `cafe`; `cafe` is not found by `café`;
- `#acme` and `@acme` are found as such and as `acme`; `@acme@example.social` and `@acme.example.social` as `@acme`;
- `Acme's` is found by `acme`, `acmes` and `acme's`; `don't` by `dont`; `l'Acme` and `Acme'nin` by `acme`;
- `AT&T`, `C++`, `Disney+`, `C#` are one position, found as written and by their parts;
- scripts without spaces between words (Han, kana, Hangul, Thai, Lao, Khmer, Burmese) are one position a character,
  so that a query word of several characters is a phrase of them: it is found wherever the characters stand;
- an emoji is a position; its skin tone is left out;
- web addresses have no positions: search them with `url:` or `links:`.

All of it is linear in the length of the chunk.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from typing import Final

Forms = tuple[str, ...]

# Han with its iteration mark, kana, Hangul, Thai, Lao, Burmese, Khmer.
_NO_SPACES: Final = (
    "\u3005-\u3007\u3040-\u30fb\u30fc-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U000323af\u1100-\u11ff\uac00-\ud7a3\u0e00-\u0e7f\u0e80-\u0eff\u1000-\u109f\u1780-\u17ff"
)
_EMOJI: Final = "\u2600-\u27bf\u2b50\u2b55\u3030\U0001f000-\U0001f3fa\U0001f400-\U0001faff"
# Soft hyphen, joiners, byte-order mark, variation selectors, skin tones: they do not change what is meant.
_UNSEEN: Final = re.compile("[\u00ad\u200c\u200d\u2060\ufe00-\ufe0f\ufeff\U0001f3fb-\U0001f3ff]")
_ADDRESS: Final = re.compile(r"(?:[a-z][a-z0-9+.-]{1,15}://|www\.)\S*", re.IGNORECASE)
# Marks that may be left out in writing; vowel signs of Indic scripts and kana voicing are not among them.
_ACCENTS: Final = re.compile("[\u0300-\u036f\u0591-\u05c7\u064b-\u0652\u0670]")
_APOSTROPHES: Final = str.maketrans(dict.fromkeys("‘’ʼ´`＇", "'"))
LONGEST_WORD: Final = 100
"""What is longer without a space is cut into pieces of this many characters, in queries and in texts."""


def _marks() -> str:
    """Return all combining marks as ranges of a character class: Python's own class of word characters leaves them out."""
    ranges: list[list[int]] = []
    for code in range(0x300, 0x1E000):
        if unicodedata.category(chr(code)) in ("Mn", "Mc"):
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)


_LETTER: Final = rf"[^\W{_NO_SPACES}]"
_MARK: Final = f"[{_marks()}]"
_WORD: Final = rf"{_LETTER}(?:{_LETTER}|(?![{_NO_SPACES}]){_MARK})*"
_PIECE: Final = re.compile(
    rf"(?P<handle>(?<!\w)@\w[\w.-]*(?:@\w[\w.-]*)?)"
    rf"|(?P<tag>(?<!\w)\#(?:\w|{_MARK})+)"
    rf"|(?P<word>{_WORD}(?:['&+]{_WORD})*(?:\+{{1,2}}(?!\w)|\#(?!\w)|'(?!\w))?)"
    rf"|(?P<sign>[{_NO_SPACES}])"
    rf"|(?P<emoji>[{_EMOJI}])",
    re.VERBOSE,
)
_SIGN: Final = re.compile(f"[{_NO_SPACES}]")


def normal(text: str) -> str:
    """Return the text as it is compared: compatibility form, without case, plain apostrophes, nothing invisible."""
    if text.isascii():
        return text.lower().translate(_APOSTROPHES) if "`" in text else text.lower()
    text = text.translate(_APOSTROPHES)  # before the compatibility form, which takes an acute accent apart
    return _UNSEEN.sub("", unicodedata.normalize("NFKC", text).casefold())


def without_accents(word: str) -> str:
    """Return a normal word without the marks that people leave out."""
    if word.isascii():
        return word
    return unicodedata.normalize("NFC", _ACCENTS.sub("", unicodedata.normalize("NFD", word)))


def has_signs(text: str) -> bool:
    """Whether there is a character of a script without spaces between words."""
    return _SIGN.search(text) is not None


def positions(chunk: str) -> list[Forms]:
    """Return the positions of a chunk, each with its forms; the first is the one a query is looked up by."""
    if ":" in chunk or "www." in chunk:
        chunk = _ADDRESS.sub(" ", chunk)
    if len(chunk) > LONGEST_WORD:
        return [forms for part in _bounded(chunk) for forms in _positions(part)]
    return _positions(chunk)


def _bounded(chunk: str) -> list[str]:
    """Cut what is too long to be normalised as one: sorting combining marks takes the square of their number."""
    return [chunk[start : start + LONGEST_WORD] for start in range(0, len(chunk), LONGEST_WORD)]


def _positions(chunk: str) -> list[Forms]:
    found: list[Forms] = []
    for piece in _PIECE.finditer(normal(chunk)):
        kind, text = piece.lastgroup, piece[0]
        if kind == "word":
            found.append(_unique(_of_word(text)))
        elif kind == "handle":
            found.append(_unique(_of_handle(text)))
        elif kind == "tag":
            found.extend(_of_tag(text))
        else:
            found.append((sys.intern(text),))
    return found


def _of_word(text: str) -> list[str]:
    if not text[-1].isalnum() and text[-1] in "+#'":
        whole, bare = text, text.rstrip("+#'")
        forms = [whole, bare] if whole[-1] != "'" else [bare]  # users' is users
        return forms + (_of_word(bare)[1:] if "'" in bare or "&" in bare or "+" in bare else [])
    if "'" in text:
        before, _, after = text.rpartition("'")
        joined = text.replace("'", "")
        if after == "s" or (after == "t" and before.endswith("n")) or after in ("m", "ve"):
            forms = [joined, text]  # people leave these apostrophes out, and no other word looks the same
        else:
            forms = [text]
        if not (after == "t" and before.endswith("n")):
            forms.append(before)
        if len(before) <= 5 and len(after) > 2:
            forms.append(after)
        return forms
    if "&" in text or "+" in text:
        return [text, *re.split("[&+]", text)]
    return [text]


def _of_handle(text: str) -> list[str]:
    text = text.rstrip(".-")
    first = re.split("[.@]", text[1:], maxsplit=1)[0]
    return [text, "@" + first, text[1:], first]


def _of_tag(text: str) -> list[Forms]:
    word = text[1:]
    if not has_signs(word):
        return [_unique([text, word])]
    inner = _positions(word)
    return [_unique([text, *inner[0]]), *inner[1:]]


def _unique(forms: list[str]) -> Forms:
    """Return the forms with those without accents, each once, in order."""
    seen = dict.fromkeys(form for form in forms if form)
    for form in tuple(seen):
        seen.setdefault(without_accents(form))
    return tuple(seen)
