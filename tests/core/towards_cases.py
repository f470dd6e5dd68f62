"""What a person says of each brand, written by hand: language, text, label per brand. Brands are made up.

SEEN were looked at while the patterns were written, UNSEEN were not: the second figure is the honest one.
"""

from __future__ import annotations

from typing import Final

Case = tuple[str, str, dict[str, str]]
BRANDS: Final = ("acme", "globex", "initech")


def _(language: str, text: str, **labels: str) -> Case:
    names = {"p": "positive", "n": "negative", "o": "neutral"}
    return language, text, {brand: names[label] for brand, label in labels.items()}


SEEN: Final[tuple[Case, ...]] = (
    _("en", "Switched from Acme to Globex, so much better", acme="n", globex="p"),
    _("en", "I moved from Acme to Globex last week and I regret it", acme="p", globex="n"),
    _("en", "Acme never answers, unlike Globex", acme="n", globex="p"),
    _("en", "love my Acme phone but Globex's network is terrible", acme="p", globex="n"),
    _("en", "Acme is so much better than Globex", acme="p", globex="n"),
    _("en", "Acme is way slower than Globex", acme="n", globex="p"),
    _("en", "Unlike Acme, Globex actually helped me, great support", acme="n", globex="p"),
    _("en", "I love Acme and hate Globex", acme="p", globex="n"),
    _("en", "I love Acme and Globex", acme="p", globex="p"),
    _("en", "Acme, Globex and Initech are all terrible", acme="n", globex="n", initech="n"),
    _("en", "Left Acme for Globex", acme="n", globex="p"),
    _("en", "Ditched my Acme laptop for a Globex one. Best decision ever", acme="n", globex="p"),
    _("en", "I prefer Acme over Globex any day", acme="p", globex="n"),
    _("en", "Is Acme better than Globex?", acme="o", globex="o"),
    _("en", "Why is Acme so much worse than Globex?", acme="n", globex="p"),
    _("en", "Acme > Globex", acme="p", globex="n"),
    _("en", "The Acme app crashes all the time, the Globex app works perfectly", acme="n", globex="p"),
    _("en", "Acme beats Globex on price", acme="p", globex="n"),
    _("en", "Acme isn't as good as Globex", acme="n", globex="p"),
    _("en", "Acme opens a store next to Globex", acme="o", globex="o"),
    _("en", "While Acme is horrible, Globex is wonderful", acme="n", globex="p"),
    _("en", "Acme is awful. Globex is great. They even called me back!", acme="n", globex="p"),
    _("en", "Globex is more reliable than Acme", globex="p", acme="n"),
    _("en", "Going back to Acme, Globex is a joke and the staff is rude", acme="p", globex="n"),
    _("en", "Wish Acme had support like Globex", acme="n", globex="p"),
    _("en", "Acme should learn from Globex how to treat customers", acme="n", globex="p"),
    _("en", "Thanks Acme for the refund! Globex still owes me money, worst company ever", acme="p", globex="n"),
    _("en", "Does Globex sell Acme chargers?", acme="o", globex="o"),
    _("de", "Von Acme zu Globex gewechselt, viel besser", acme="n", globex="p"),
    _("de", "Acme ist schlechter als Globex", acme="n", globex="p"),
    _("de", "Ich liebe mein Acme Handy, aber das Netz von Globex ist furchtbar", acme="p", globex="n"),
    _("de", "Im Gegensatz zu Acme ist Globex super freundlich", acme="n", globex="p"),
    _("es", "Me cambié de Acme a Globex, mucho mejor", acme="n", globex="p"),
    _("es", "Acme es peor que Globex", acme="n", globex="p"),
    _("es", "Me encanta Acme pero Globex es horrible", acme="p", globex="n"),
    _("fr", "Je suis passé d'Acme à Globex, c'est génial", acme="n", globex="p"),
    _("fr", "Acme est pire que Globex", acme="n", globex="p"),
    _("fr", "J'adore Acme mais Globex est nul", acme="p", globex="n"),
    _("it", "Sono passato da Acme a Globex, molto meglio", acme="n", globex="p"),
    _("it", "Acme è peggio di Globex", acme="n", globex="p"),
    _("it", "Adoro Acme ma Globex è pessimo", acme="p", globex="n"),
    _("pt", "Mudei da Acme para a Globex, muito melhor", acme="n", globex="p"),
    _("pt", "A Acme é pior que a Globex", acme="n", globex="p"),
    _("pt", "Adoro a Acme mas a Globex é horrível", acme="p", globex="n"),
)

UNSEEN: Final[tuple[Case, ...]] = (
    _("en", "Cancelled Acme and went to Globex, finally a connection that works", acme="n", globex="p"),
    _("en", "Three weeks waiting for Acme. Globex delivered in two days, amazing", acme="n", globex="p"),
    _("en", "Globex customer service is rude; Acme was lovely on the phone", acme="p", globex="n"),
    _("en", "Acme is cheaper than Globex", acme="p", globex="n"),
    _("en", "My Globex router died again. Should have stayed with Acme", acme="p", globex="n"),
    _("en", "Acme and Globex are both great but Initech is a scam", acme="p", globex="p", initech="n"),
    _("en", "Nothing works since Acme bought Globex", acme="n", globex="n"),
    _("en", "Acme partners with Globex to build a new data centre", acme="o", globex="o"),
    _("en", "Acme takes ages to reply whereas Globex sorted it in five minutes, brilliant", acme="n", globex="p"),
    _("en", "Acme is no better than Globex", acme="n", globex="o"),
    _("en", "@Acme your app is broken. I'm moving to Globex", acme="n", globex="p"),
    _("en", "The Globex camera is stunning compared to my old Acme", acme="n", globex="p"),
    _("en", "Anyone know whether Acme headphones work with a Globex phone?", acme="o", globex="o"),
    _("en", "Acme's delivery was late and the box was damaged, Globex has never let me down", acme="n", globex="p"),
    _("en", "Acme is less reliable than Globex", acme="n", globex="p"),
    _("en", "Replaced my Globex vacuum with an Acme. What a piece of junk.", acme="n", globex="p"),
    _("en", "Would choose Acme over Globex every time", acme="p", globex="n"),
    _("en", "Globex raised prices again, so hello Acme", acme="p", globex="n"),
    _("en", "Oh great, Acme is down again. At least Globex works.", acme="n", globex="p"),
    _("en", "Acme can't compete with Globex", acme="n", globex="p"),
    _("en", "Ordered from Acme through Globex, awesome product, happy with it", acme="p", globex="o"),
    _("en", "Globex told me it is Acme's fault, Acme says it is Globex. I am so angry", acme="n", globex="n"),
    _("en", "Happy with Acme so far, much nicer than Globex", acme="p", globex="n"),
    _("en", "If you want quality buy Acme, not Globex", acme="p", globex="n"),
    _("en", "Acme stole my money! Globex refunded me within a day", acme="n", globex="p"),
    _("de", "Globex antwortet nie, Acme dagegen ist klasse", acme="p", globex="n"),
    _("de", "Lieber Acme als Globex", acme="p", globex="n"),
    _("de", "Acme liefert schneller als Globex", acme="p", globex="n"),
    _("de", "Acme übernimmt Globex", acme="o", globex="o"),
    _("de", "Nach zehn Jahren von Globex zu Acme, der größte Fehler meines Lebens", acme="n", globex="p"),
    _("de", "Acme ist teuer aber gut, Globex ist einfach nur schlecht", acme="p", globex="n"),
    _("es", "Acme funciona mucho mejor que Globex", acme="p", globex="n"),
    _("es", "A diferencia de Globex, Acme es excelente", acme="p", globex="n"),
    _("es", "Dejé Globex por Acme y estoy muy contento", acme="p", globex="n"),
    _("es", "Globex es un desastre, Acme es genial", acme="p", globex="n"),
    _("fr", "Contrairement à Globex, Acme est parfait", acme="p", globex="n"),
    _("fr", "Je préfère Acme à Globex", acme="p", globex="n"),
    _("fr", "Le service de Globex est catastrophique, celui d'Acme est excellent", acme="p", globex="n"),
    _("fr", "Acme et Globex sont excellents", acme="p", globex="p"),
    _("it", "A differenza di Globex, Acme è fantastico", acme="p", globex="n"),
    _("it", "Preferisco Acme a Globex", acme="p", globex="n"),
    _("it", "Acme è più veloce di Globex", acme="p", globex="n"),
    _("it", "Globex è una vergogna mentre Acme è ottimo", acme="p", globex="n"),
    _("pt", "Ao contrário da Globex, a Acme é excelente", acme="p", globex="n"),
    _("pt", "Troquei a Globex pela Acme e estou muito feliz", acme="p", globex="n"),
    _("pt", "A Acme é mais rápida do que a Globex", acme="p", globex="n"),
    _("pt", "Globex é péssima, Acme é maravilhosa", acme="p", globex="n"),
)
