"""How likely a mention is spam, with reasons. Precision first: what is marked is set aside for a person, not lost.

Signs are counted in points; from 2 points on the score is 0.5 and more. A genuine complaint may have one sign (a
link, capitals, "free"), hardly ever several of different kinds. The wordings are written here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

_LINK: Final = re.compile(
    r"https?://[^\s]+|\bwww\.[^\s]+|\b[a-z0-9-]+\.(?:com|net|info|biz|xyz|top|click|ru|tk|ly|co/)[^\s]*", re.IGNORECASE
)
_PRICE: Final = re.compile(r"[£$€]\s?\d[\d,.]*|\b\d[\d,.]*\s?(?:usd|gbp|eur|dollars|pounds|p/min|ppm)\b", re.IGNORECASE)
_PREMIUM: Final = re.compile(
    r"\b(?:0[89]\d{8,9}|\d{5})\b|\b\d+p(?:/| per )?(?:min|msg|text)|150p|p&p|txt\b.*\bto\b.*\d{4,}", re.IGNORECASE
)
_COIN: Final = re.compile(
    r"\b(?:airdrop|presale|memecoin|shitcoin|forex|binary options|crypto signals?|btc|eth|usdt|nft mint|whitelist spot|100x)\b|\$[A-Z]{3,6}\b"
)

# Points a wording is worth. In text order of effort: two points alone are enough.
_WORDINGS: Final[dict[str, tuple[float, tuple[str, ...]]]] = {
    "asks to subscribe": (
        2.0,
        (
            "subscribe to my",
            "sub to my",
            "subscribe my",
            "sub me",
            "subscribe back",
            "sub4sub",
            "sub 4 sub",
            "check out my channel",
            "check my channel",
            "checkout my channel",
            "visit my channel",
            "my youtube channel",
            "check out my video",
            "check out my new",
            "check out my music",
            "check out our channel",
            "check out this channel",
            "check out my cover",
            "check out our",
            "please subscribe",
            "plz subscribe",
            "pls subscribe",
            "subscribe me",
            "follow me on",
            "follow for follow",
            "f4f",
            "like my page",
            "like my video",
            "add me on",
            "watch my video",
            "watch my videos",
            "my new song",
            "my latest song",
            "give my",
            "on my channel",
            "look at my channel",
            "come check",
            "my first video",
            "my remix",
            "i make videos",
            "subscribe and",
            "and subscribe",
            "subscribe for",
            "subscribe if",
            "subscribe pls",
            "subscribe please",
            "subscribe now",
            "ill sub back",
            "check out this video",
            "check out my",
            "check out this playlist",
            "support my",
            "support me",
            "share our",
            "our songs",
            "check us out",
            "visit our",
            "new channel",
            "my channel",
            "our channel",
            "my cover",
            "this channel",
            "sub to",
            "subscribers",
            "check me out",
            "please check out",
            "plz check out",
            "pls check out",
            "go check out",
            "check this out",
            "check out mine",
        ),
    ),
    "promises money": (
        2.0,
        (
            "earn money",
            "make money",
            "making money",
            "extra income",
            "work from home",
            "passive income",
            "financial freedom",
            "per day from home",
            "easy money",
            "get rich",
            "double your",
            "guaranteed returns",
            "dm me for",
            "inbox me",
            "whatsapp me",
            "investment platform",
            "trading signals",
            "paid surveys",
            "free money",
            "cash prize",
            "cash reward",
            "got paid",
            "money online",
            "online jobs",
            "earning money",
        ),
    ),
    "prize or giveaway": (
        2.0,
        (
            "you have won",
            "you've won",
            "u have won",
            "have been selected",
            "been chosen",
            "claim your",
            "to claim",
            "claim call",
            "claim code",
            "win a free",
            "won a guaranteed",
            "guaranteed gift",
            "free gift card",
            "gift card giveaway",
            "giveaway alert",
            "click the link to win",
            "retweet to win",
            "rt to win",
            "rt and follow",
            "follow and rt",
            "follow and retweet",
            "tag 3 friends",
            "tag three friends",
            "enter to win",
            "free entry",
            "weekly draw",
            "prize draw",
            "prize guaranteed",
            "bonus prize",
            "awarded a",
            "holiday prize",
            "winner announced",
            "lucky winner",
            "free iphone",
            "free ringtone",
            "free followers",
            "free likes",
            "get free followers",
            "urgent you",
            "final attempt",
            "final notice",
            "attempt to contact",
            "awarded",
        ),
    ),
    "text to a number": (
        2.0,
        (
            "text stop",
            "reply stop",
            "txt stop",
            "stop to",
            "to unsubscribe text",
            "unsubscribe text",
            "call from landline",
            "from landline",
            "from land line",
            "free msg",
            "freemsg",
            "per msg",
            "150p",
            "tone of the",
            "polyphonic",
            "mobile content",
            "sms services",
            "sexy singles",
            "cust care",
            "nokia mobile",
            "colour mobile",
            "optout",
            "caller prize",
            "await collection",
            "blind date",
            "ringtone",
            "ringtones",
            "tones",
            "premium phone",
        ),
    ),
    "advertisement": (
        1.0,
        (
            "txt",
            "call now",
            "call free",
            "reply yes",
            "national rate",
            "ts and cs",
            "tcs",
            "t&cs",
            "camcorder",
            "free camera",
            "latest nokia",
            "chat now",
            "txts",
            "voucher",
            "opt out",
            "identifier code",
            "land line",
            "18+",
            "xxx",
            "matches",
            "reward",
            "awarded",
            "selected",
            "winner",
            "prize",
            "unredeemed",
            "hottest",
            "download",
            "text",
            "rcvd",
            "unsubscribe",
            "subscription",
            "subscribed",
            "customers",
            "competition",
            "offer",
        ),
    ),
    "adult": (
        2.0,
        (
            "sexy girls",
            "hot girls",
            "hot singles",
            "xxx",
            "porn",
            "onlyfans",
            "nudes",
            "adult cam",
            "webcam girls",
            "horny",
            "local girls",
            "sex cam",
            "milf",
            "18+",
            "dating service",
        ),
    ),
    "coin": (
        2.0,
        (
            "airdrop",
            "presale",
            "crypto giveaway",
            "bitcoin giveaway",
            "free bitcoin",
            "btc giveaway",
            "send eth",
            "token launch",
            "to the moon",
            "pump group",
        ),
    ),
    "buys attention": (
        0.8,
        (
            "free",
            "click here",
            "click this",
            "link in bio",
            "limited time",
            "act now",
            "order now",
            "cheap",
            "discount code",
            "promo code",
            "use code",
            "sign up",
            "signup",
            "win",
            "visit",
        ),
    ),
}
_ENOUGH: Final = 2.0


class Spam(NamedTuple):
    """`score` is 0 to 1, 0.5 and above is quarantined; `reasons` name the signs."""

    score: float
    reasons: tuple[str, ...]


def _index() -> dict[str, list[tuple[tuple[str, ...], str, float]]]:
    found: dict[str, list[tuple[tuple[str, ...], str, float]]] = {}
    for reason, (points, phrases) in _WORDINGS.items():
        for phrase in phrases:
            first, *rest = phrase.split()
            found.setdefault(first, []).append((tuple(rest), reason, points))
    return found


_PHRASES: Final = _index()
_CLEAN: Final = Spam(0.0, ())


def score(text: str, words: Sequence[str]) -> Spam:
    """Return how likely a text is spam; `words` are its lower-case words. Linear in the length of the text."""
    signs: dict[str, float] = {}
    for place, known in enumerate(map(_PHRASES.get, words)):
        if known is None:
            continue
        for rest, reason, points in known:
            if signs.get(reason, 0.0) < points and tuple(words[place + 1 : place + 1 + len(rest)]) == rest:
                signs[reason] = points
    if not signs:
        return _CLEAN  # links, prices and numbers alone are no spam
    if "." in text and ("http" in text or "www" in text or _LINK.search(text)):
        signs["link"] = 0.5 + (1.0 if text.count("http") > 2 else 0.0)
    if _PREMIUM.search(text):
        signs["premium number"] = 1.0
    if _PRICE.search(text):
        signs["price"] = 0.6
    if _COIN.search(text):
        signs["coin"] = max(signs.get("coin", 0.0), 1.2)
    total = sum(signs.values())
    strongest = max(signs.values())
    if strongest < 1.0:  # weak signs only
        total = min(total, 1.0)
    return Spam(round(min(0.99, 0.5 * (total / _ENOUGH) ** 1.5), 3), tuple(signs))
