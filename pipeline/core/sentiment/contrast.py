"""How six languages set one brand against another: the words, as data, and the patterns made of them.

Brands are single private-use characters by the time these patterns see a text (`pipeline.core.sentiment.places`). All gaps
are bounded, so a text costs in proportion to its length.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Final

MARKS: Final = "\ue000-\uf8ff"  # what stands for a group of brands
_END: Final = r".!?;\n…"
_GAP: Final = rf"[^\w{MARKS}{_END}]+(?:\w+[^\w{MARKS}{_END}]+){{0,4}}?"  # up to four words
_A: Final = rf"(?P<a>[{MARKS}])"
_B: Final = rf"(?P<b>[{MARKS}])"


class Kind(Enum):
    """What a wording says of two brands."""

    LEFT = "left"  # from `a` to `b`; what follows says how that turned out
    ABANDONED = "abandoned"  # the same, and the words say that `a` was not liked; `a` is the brand before where unnamed
    OVER = "over"  # `a` is better than `b`
    UNDER = "under"  # `b` is better than `a`


@dataclass(frozen=True, slots=True)
class Contrast:
    """The patterns of one language."""

    splits: re.Pattern[str]
    """Where another clause begins, whatever stands there."""
    joins: re.Pattern[str]
    """Where a clause about two brands is cut between them."""
    lists: re.Pattern[str]
    """What stands between brands that are named together: `A and B`, `A, B`."""
    ands: re.Pattern[str]
    relations: tuple[tuple[Kind, re.Pattern[str]], ...]
    than: re.Pattern[str]
    """A comparison with the brand `b`; `how` are the words before it."""
    unlike: re.Pattern[str]
    """The brand `b` is not like the other one."""
    better: frozenset[str]
    worse: frozenset[str]
    more: frozenset[str]
    less: frozenset[str]
    denials: frozenset[str]
    asks_why: frozenset[str]


_WORDS: Final[dict[str, dict[str, str]]] = {
    "en": {
        "but": "but|however|although|though|while|whereas|yet|meanwhile|on the other hand|because|cause|cuz|since|except",
        "and": "and|&|plus|or|n",
        "articles": "the|my|our|your|both|also",
        "than": "than",
        "unlike": "unlike|in contrast to|as opposed to|compared to|compared with|in comparison to|not like",
        "better": "better faster cheaper nicer easier smoother superior stronger cleaner friendlier quicker safer smarter "
        "simpler greater healthier fairer kinder brighter clearer happier tastier fresher ahead",
        "worse": "worse slower pricier buggier ruder weaker harder uglier inferior dearer costlier poorer shittier "
        "crappier behind lower dumber",
        "more": "more",
        "less": "less fewer",
        "denials": "not no isnt isn't aint ain't arent aren't wasnt wasn't never hardly doesnt doesn't don't dont nor",
        "why": "why how",
    },
    "de": {
        "but": "aber|doch|jedoch|während|wohingegen|hingegen|dagegen|allerdings|sondern|obwohl|weil|denn|da",
        "and": "und|&|oder|sowie",
        "articles": "der|die|das|dem|den|mein|meine|beim|bei|auch|beide",
        "than": "als|wie",
        "unlike": "im gegensatz zu|im gegensatz zur|im gegensatz zum|anders als|verglichen mit|im vergleich zu|im vergleich zur",
        "better": "besser bessere besseren besserer besseres schneller schnellere billiger günstiger günstigere freundlicher "
        "freundlichere zuverlässiger stabiler einfacher schöner netter sicherer leckerer",
        "worse": "schlechter schlechtere schlechteren langsamer langsamere teurer teurere schlimmer unfreundlicher "
        "komplizierter unzuverlässiger schwächer mieser",
        "more": "mehr",
        "less": "weniger",
        "denials": "nicht kein keine nie niemals kaum nix",
        "why": "warum wieso weshalb",
    },
    "es": {
        "but": "pero|sin embargo|mientras que|mientras|en cambio|aunque|sino|porque|ya que",
        "and": "y|e|o|&",
        "articles": "el|la|los|las|mi|de|a|también",
        "than": "que la|que el|que los|que|de lo que",
        "unlike": "a diferencia de|al contrario que|al contrario de|en comparación con|comparado con|comparada con",
        "better": "mejor mejores rápido rápida rápidos barato barata baratos fácil fiable fiables estable amable amables cómodo "
        "seguro segura",
        "worse": "peor peores lento lenta lentos caro cara caros difícil inestable",
        "more": "más mas",
        "less": "menos",
        "denials": "no nunca tampoco ni",
        "why": "qué",
    },
    "fr": {
        "but": "mais|cependant|pourtant|alors que|tandis que|en revanche|par contre|bien que|parce que|car",
        "and": "et|ou|&",
        "articles": "le|la|les|l|mon|ma|de|chez|d|aussi",
        "than": "que chez|que|qu",
        "unlike": "contrairement à|à la différence de|par rapport à|comparé à|comparée à|pas comme",
        "better": "meilleur meilleure meilleurs meilleures mieux rapide rapides fiable fiables simple simples sympa aimable "
        "aimables stable stables facile bon bonne bien",
        "worse": "pire pires lent lente lents cher chère chers chères compliqué compliquée nul nulle",
        "more": "plus",
        "less": "moins",
        "denials": "pas jamais aucun aucune ni guère",
        "why": "pourquoi",
    },
    "it": {
        "but": "ma|però|mentre|invece|tuttavia|anche se|perché|poiché",
        "and": "e|ed|o|&",
        "articles": "il|la|lo|i|gli|le|l|di|mio|mia|anche",
        "than": "rispetto a|rispetto alla|rispetto al|di|del|della|dello|dell|che|che con",
        "unlike": "a differenza di|a differenza della|a differenza del|al contrario di|in confronto a|non come",
        "better": "migliore migliori meglio veloce veloci economico economica affidabile affidabili semplice facile gentile "
        "gentili stabile comodo sicuro conveniente",
        "worse": "peggio peggiore peggiori lento lenta lenti caro cara cari costoso costosa difficile complicato",
        "more": "più piu",
        "less": "meno",
        "denials": "non mai nemmeno neanche",
        "why": "perché perche",
    },
    "pt": {
        "but": "mas|porém|contudo|enquanto|já|entretanto|no entanto|embora|porque|pois",
        "and": "e|ou|&",
        "articles": "o|a|os|as|da|do|meu|minha|também",
        "than": "do que a|do que o|do que|que a|que o|que",
        "unlike": "ao contrário da|ao contrário do|ao contrário de|diferente da|diferente do|diferente de|diferentemente da|"
        "comparado com|comparada com|comparado à|em comparação com",
        "better": "melhor melhores rápido rápida rápidos barato barata baratos fácil confiável confiáveis estável simples seguro "
        "segura prático",
        "worse": "pior piores lento lenta lentos caro cara caros difícil instável",
        "more": "mais",
        "less": "menos",
        "denials": "não nao nunca nem jamais",
        "why": "quê",
    },
}
LANGUAGES: Final = tuple(_WORDS)

# `A` and `B` are the brands, `_` up to four words. An apostrophe of a name's genitive counts as such a word's edge.
_RELATIONS: Final[dict[str, tuple[tuple[Kind, str], ...]]] = {
    "en": (
        (
            Kind.LEFT,
            r"(?:switch|mov|chang|migrat|port|jump|upgrad|transfer|went|gone|go|came|com)\w*_from_A_(?:to|onto|over to)_B",
        ),
        (Kind.LEFT, r"(?:switch|mov|chang|migrat|port|jump|went|gone|going|go|came|coming)\w*_to_B_from_A"),
        (
            Kind.ABANDONED,
            r"(?:left|leave|leaving|ditch\w*|dump\w*|quit\w*|drop\w*|abandon\w*|swapp?\w*|trad\w+|replac\w+|cancel\w*)_A_(?:for|with|and (?:went|moved|switched|go|going|joined)(?: with| to)?)_B",
        ),
        (
            Kind.OVER,
            r"(?:prefer\w*|rather have|rather use|chose|choos\w+|pick\w*|recommend\w*)_A_(?:to|over|than|instead of)_B",
        ),
        (Kind.OVER, r"A_(?:beats?|destroys?|crush\w*|outperforms?|smokes|trumps|outclass\w*|wins? (?:over|against))_B"),
        (Kind.OVER, r"A_(?:over|instead of|rather than)_B"),
        (Kind.OVER, r"A\s*>+\s*B"),
        (Kind.UNDER, r"A\s*<+\s*B"),
        (Kind.UNDER, r"wish\w*_A_(?:like|as \w+ as)_B"),
        (Kind.UNDER, r"A_(?:should|could|can|must|needs? to|has to)_(?:learn|take a leaf|take notes|copy)_B"),
        (Kind.UNDER, r"A_(?:not|isn'?t|aren'?t|nowhere near|doesn'?t|don'?t|can'?t|never)_as \w+ as_B"),
        (
            Kind.UNDER,
            r"A_(?:can'?t|cannot|doesn'?t|won'?t|could never)_(?:compete with|match|touch|compare to|hold a candle to)_B",
        ),
        (Kind.OVER, r"A,? (?:and )?not B"),
        (Kind.ABANDONED, r"(?:should have|should've|shoulda)_(?:stayed|stuck|gone|bought|chosen|kept)_B"),
        (
            Kind.ABANDONED,
            r"(?:mov(?:e|ed|ing)|switch\w*|chang(?:ed|ing)|go|going|went|gone|heading)_(?:back |over )?to_B",
        ),
        (Kind.ABANDONED, r"(?:sticking|stick|staying|hello)(?: with)?_B"),
    ),
    "de": (
        (Kind.OVER, r"A,? nicht B"),
        (Kind.LEFT, r"(?:von|vom)_A_(?:zu|zum|zur|auf|nach)_B"),
        (Kind.LEFT, r"(?:gewechselt|wechsel\w*|umgestiegen)_zu_B_(?:von|weg von)_A"),
        (Kind.ABANDONED, r"A_(?:verlassen|gekündigt)_(?:zu|bei|für)_B"),
        (Kind.OVER, r"A_(?:statt|anstatt|anstelle von|lieber als)_B"),
        (Kind.OVER, r"(?:lieber)_A_als_B"),
        (Kind.OVER, r"A_(?:schlägt|übertrifft)_B"),
        (Kind.OVER, r"A\s*>+\s*B"),
        (Kind.UNDER, r"A_(?:nicht|nie|kein\w*)_so \w+ wie_B"),
        (Kind.UNDER, r"A_(?:sollte|könnte|kann)_(?:von|an)_B"),
    ),
    "es": (
        (Kind.OVER, r"A,? no B"),
        (Kind.LEFT, r"(?:cambi|pas|mud|migr)\w*_de_A_a_B"),
        (Kind.ABANDONED, r"(?:dej|abandon|cambi|cambié)\w*_A_por_B"),
        (Kind.OVER, r"prefier\w*_A_(?:a|que|antes que|en vez de|sobre)_B"),
        (Kind.OVER, r"A_(?:en vez de|en lugar de|gana a|supera a)_B"),
        (Kind.OVER, r"A\s*>+\s*B"),
        (Kind.UNDER, r"A_(?:no|nunca)_tan \w+ como_B"),
        (Kind.UNDER, r"A_(?:debería|podría|tiene que)_aprender_B"),
    ),
    "fr": (
        (Kind.OVER, r"A,? pas B"),
        (Kind.LEFT, r"(?:pass|chang|migr|part|bascul)\w*_(?:de|d)_A_(?:à|a|chez|vers|pour)_B"),
        (Kind.ABANDONED, r"(?:quitt|abandonn|lâch|laiss|remplac|troqu)\w*_A_(?:pour|par|contre)_B"),
        (Kind.OVER, r"préf[éè]r\w*_A_(?:à|a|plutôt que)_B"),
        (Kind.OVER, r"A_(?:plutôt que|au lieu de|bat|surpasse)_B"),
        (Kind.OVER, r"A\s*>+\s*B"),
        (Kind.UNDER, r"A_(?:pas|jamais)_aussi \w+ que_B"),
        (Kind.UNDER, r"A_(?:devrait|pourrait)_(?:prendre exemple|s'inspirer|apprendre)_B"),
    ),
    "it": (
        (Kind.OVER, r"A,? non B"),
        (Kind.LEFT, r"(?:passat|cambiat|migrat|pass|cambi)\w*_(?:da|dalla|dal)_A_(?:a|alla|al)_B"),
        (Kind.ABANDONED, r"(?:lasciat|abbandonat|mollat|lasci)\w*_A_per_B"),
        (Kind.OVER, r"preferi\w*_A_(?:a|alla|al|piuttosto che)_B"),
        (Kind.OVER, r"A_(?:invece di|al posto di|piuttosto che|batte|supera)_B"),
        (Kind.OVER, r"A\s*>+\s*B"),
        (Kind.UNDER, r"A_(?:non|mai)_(?:così|tanto) \w+ come_B"),
    ),
    "pt": (
        (Kind.OVER, r"A,? não B"),
        (Kind.LEFT, r"(?:mud|pass|migr|troqu|saí|fui)\w*_(?:da|do|de)_A_(?:para|pra|pro)_B"),
        (Kind.ABANDONED, r"(?:troqu|troc|larg|deix|abandon|substitu)\w*_A_(?:pela|pelo|por)_B"),
        (Kind.OVER, r"prefiro_A_(?:à|a|ao|do que|em vez de)_B"),
        (Kind.OVER, r"A_(?:em vez de|em vez da|no lugar de|supera|ganha da)_B"),
        (Kind.OVER, r"A\s*>+\s*B"),
        (Kind.UNDER, r"A_(?:não|nunca)_tão \w+ (?:quanto|como)_B"),
        (Kind.UNDER, r"A_(?:devia|deveria|podia)_aprender_B"),
    ),
}


@lru_cache(maxsize=len(LANGUAGES))
def contrast(language: str) -> Contrast:
    """Return the patterns of a language of LANGUAGES, compiled once."""
    words = _WORDS[language]
    edge = r"(?<!\w)"
    together = rf"(?:[,/+&]\s*)?(?:{words['and']})(?!\w)|[,/+&]"
    return Contrast(
        splits=re.compile(rf"[.!?…]+(?=\s|$)|[;\n]+|\s[-–—|/]+\s|—|{edge}(?:{words['but']})(?!\w)", re.IGNORECASE),
        joins=re.compile(rf",|:|{edge}(?:{words['and']})(?!\w)", re.IGNORECASE),
        lists=re.compile(rf"\s*(?:(?:{together})\s*(?:(?:{words['articles']})(?:\s+|['’])){{0,2}})?", re.IGNORECASE),
        ands=re.compile(rf"{edge}(?:{words['and']})(?!\w)", re.IGNORECASE),
        relations=tuple((kind, _pattern(text)) for kind, text in _RELATIONS[language]),
        than=re.compile(
            rf"(?<![\w'’])(?P<how>(?:[\w'’]+[^\w{MARKS}{_END}]+){{1,6}})(?:{words['than']})(?!\w){_GAP}{_B}",
            re.IGNORECASE,
        ),
        unlike=re.compile(rf"{edge}(?:{words['unlike']})(?!\w){_GAP}{_B}", re.IGNORECASE),
        **_sets(words),
    )


def _sets(words: Mapping[str, str]) -> dict[str, frozenset[str]]:
    named = {name: frozenset(words[name].split()) for name in ("better", "worse", "more", "less", "denials")}
    return {**named, "asks_why": frozenset(words["why"].split())}


def _pattern(text: str) -> re.Pattern[str]:
    """Return a wording of _RELATIONS as an expression."""
    written = re.sub(r"(?<![\\\w])([AB])(?!\w)|(?<=_)([AB])(?=_|$)|^([AB])(?=_)", _brand, text)
    # Behind a brand's name its product may stand: "my A phone for a B one".
    written = written.replace("_", _GAP)
    return re.compile(("" if text.startswith(("A", "B")) else r"(?<!\w)") + written, re.IGNORECASE)


def _brand(found: re.Match[str]) -> str:
    return _A if "A" in found[0] else _B
