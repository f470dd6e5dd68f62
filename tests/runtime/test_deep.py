"""The stronger sentiment tier, with a model of a few words that the test makes."""

import sys
import time
from datetime import UTC, datetime
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace

import pytest

from pipeline.config.model import Config, Deep
from pipeline.contract import codec
from pipeline.contract.errors import ConfigError
from pipeline.contract.events import JudgedMention, Label, Mention, Rating
from pipeline.contract.metrics import Metrics
from pipeline.core.dedup import Memory
from pipeline.core.sentiment.tiers import Answer
from pipeline.core.triage import Triage
from pipeline.runtime.deep import loading
from pipeline.runtime.deep.asking import Second, patient, second_of
from pipeline.runtime.deep.classifying import answer, meanings, softmax
from tests.runtime.tiny_model import TONES, write

pytest.importorskip("onnxruntime", reason="the extra earshot[deep] is not installed: make deep")
pytest.importorskip("tokenizers", reason="the extra earshot[deep] is not installed: make deep")

NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
DOUBTFUL = "the parcel is beige"
POSITIVE = Answer(0.1, 0.1, 0.8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def closing():
    """Ends the threads of what was made."""
    made = []
    yield lambda one: made.append(one) or one
    for one in made:
        one.close()


def configured(folder, **parts):
    return Config.model_validate(
        {"version": 1, "sentiment": {"deep": {"model": str(folder), "uncertain": 1.0, **parts}}}
    )


def mention(text, native="1", **changes):
    given = {"id": f"test:{native}", "source": "test", "native_id": native, "created_at": NOW, "collected_at": NOW}
    return Mention(**{**given, "text": text, "language": "en", **changes})


class Clock:
    """Seconds that go on only where somebody says so."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Fake:
    """A classifier that finds everything wonderful, and takes a second a text."""

    version = "fake@1"

    def __init__(self, clock=None, error=None):
        self.clock, self.error, self.asked = clock, error, []

    def shares(self, texts):
        if self.clock is not None:
            self.clock.now += len(texts)
        self.asked.append(list(texts))
        if self.error is not None and len(self.asked) > 2:  # not while it is tried out
            raise self.error
        return [POSITIVE for _ in texts]


def judged(config, second, *mentions):
    """Judge mentions as one batch."""
    triage, memory = Triage(config, deep=second.version), Memory(99)
    second.ask(triage, [(one, memory) for one in mentions])
    return [triage.judge(one, memory, NOW) for one in mentions]


# ------------------------------------------------------------------------------------------------------- the model


def test_a_model_in_a_folder_reads_texts(folder):
    found = loading.load(Deep(model=str(folder))).shares(["Divine parcel!", "dreadful, dreadful", "beige"])
    assert [max(range(3), key=one.__getitem__) for one in found] == [2, 0, 1]
    assert all(sum(one) == pytest.approx(1) for one in found)


def test_an_answer_does_not_depend_on_what_else_was_asked(folder):
    model = loading.load(Deep(model=str(folder)))
    alone = model.shares(["divine parcel"])
    assert model.shares(["divine parcel", "beige " * 90])[:1] == [pytest.approx(alone[0], abs=1e-6)]


def test_only_the_first_tokens_of_a_text_are_read(folder):
    model = loading.load(Deep(model=str(folder), longest=8))
    assert model.shares(["beige " * 8 + "divine " * 50])[0].neutral > 0.99


def test_the_version_names_the_model_and_changes_with_it(folder, tmp_path):
    other = write(tmp_path / "tiny", tones={**TONES, "divine": (0.0, 0.0, 1.0)})
    one, same, different = (loading.load(Deep(model=str(at))).version for at in (folder, folder, other))
    assert one == same != different
    assert one.startswith("tiny@")
    assert loading.load(Deep(model=str(folder), longest=9)).version != one


def test_labels_of_the_models_own_are_given_a_meaning(tmp_path):
    folder = write(tmp_path / "tiny", labels=("LABEL_0", "LABEL_1", "LABEL_2"))
    labels = {"LABEL_0": "negative", "LABEL_1": "neutral", "LABEL_2": "positive"}
    assert loading.load(Deep(model=str(folder), labels=labels)).shares(["divine"])[0].positive > 0.9
    with pytest.raises(ConfigError, match="nobody says what LABEL_0, LABEL_1, LABEL_2 means — write labels: "):
        loading.load(Deep(model=str(folder)))


def test_several_labels_may_mean_the_same():
    found = meanings(
        ["1 star", "2 stars", "5 stars"], {"1 star": "negative", "2 stars": "negative", "5 stars": "positive"}
    )
    assert answer(softmax([0.0, 0.0, 0.0]), found) == pytest.approx((2 / 3, 0, 1 / 3))


@pytest.mark.parametrize(
    ("labels", "given", "said"),
    [
        (
            ["negative", "positive"],
            {"POS": "positive"},
            "the model has no label POS — its labels are negative, positive",
        ),
        (["neutral", "positive"], {}, "no label means negative, or none positive"),
    ],
)
def test_labels_that_say_too_little_are_refused(labels, given, said):
    with pytest.raises(ConfigError, match=said):
        meanings(labels, given)


# ---------------------------------------------------------------------------------------------------- being asked


def test_a_doubtful_mention_gets_the_stronger_models_answer_and_names_it(folder, closing):
    config = configured(folder)
    second = closing(second_of(config))
    (found,) = judged(config, second, mention("the parcel is divine"))
    assert found.sentiment.label is Label.POSITIVE
    assert found.decision.deep == second.version
    assert found.sentiment.vader is not None
    assert second.counts["asked"] == 1


def test_what_the_shipped_model_is_sure_of_is_not_asked(closing):
    config = configured("x", uncertain=0.6)
    second = closing(Second(Fake(), config.sentiment.deep))
    (found,) = judged(config, second, mention("this is terrible, awful, the worst, I hate it"))
    assert found.sentiment.label is Label.NEGATIVE
    assert found.decision.deep is None
    assert second.counts["asked"] == 0


def test_without_the_tier_decisions_are_what_they_were():
    plain, named = Triage(Config(version=1)), Triage(configured("x"), deep="fake@1")
    assert plain.doubt(mention(DOUBTFUL), Memory(9)) is None
    assert named.doubt(mention(DOUBTFUL), Memory(9)) == DOUBTFUL
    assert plain.version != named.version
    assert named.version != Triage(configured("x", uncertain=0.5), deep="fake@1").version
    assert plain.judge(mention(DOUBTFUL), Memory(9), NOW).decision.deep is None
    assert plain._feeling is plain._shipped


def test_only_what_will_be_read_is_asked_about():
    config = configured("x").model_copy(
        update={"brands": Config.model_validate({"version": 1, "brands": {"acme": {"query": "acme"}}}).brands}
    )
    triage, memory = Triage(config, deep="fake@1"), Memory(9)
    about = mention("the acme parcel is beige")
    assert triage.doubt(about, memory) == about.text
    assert triage.doubt(mention(DOUBTFUL), memory) is None  # about no brand
    assert triage.doubt(mention("", state="deleted"), memory) is None
    assert triage.doubt(mention("beige", source="heartbeat"), memory) is None
    assert (
        triage.doubt(
            mention("acme FREE MONEY click here http://bit.ly/x win bitcoin now, DM me, 100% profit guaranteed"), memory
        )
        is None
    )
    triage.judge(about, memory, NOW)
    assert triage.doubt(about, memory) is None  # a repeat


def test_it_is_asked_only_in_its_languages():
    triage = Triage(configured("x", languages=["en"]), deep="fake@1")
    assert triage.doubt(mention(DOUBTFUL), Memory(9)) == DOUBTFUL
    assert triage.doubt(mention("das Paket ist beige", language="de"), Memory(9)) is None


def test_stars_say_more_than_a_model(closing):
    config = configured("x", uncertain=0.75)
    second = closing(Second(Fake(), config.sentiment.deep))
    (found,) = judged(config, second, mention("the parcel", rating=Rating(value=1)))
    assert (found.sentiment.label, found.decision.deep) == (Label.NEGATIVE, None)


def test_what_an_author_only_quotes_is_not_asked_about(closing):
    model, config = Fake(), configured("x")
    second = closing(Second(model, config.sentiment.deep))
    judged(config, second, mention("> it is divine\nthe parcel is beige"))
    assert model.asked[-1] == [DOUBTFUL]


def test_what_many_say_is_asked_about_once_and_remembered(closing):
    model, config = Fake(), configured("x")
    second = closing(Second(model, config.sentiment.deep))
    first = judged(config, second, mention(DOUBTFUL, "1"), mention(DOUBTFUL, "2"))
    again = judged(config, second, mention(DOUBTFUL, "3"))
    assert {one.decision.deep for one in first + again} == {"fake@1"}
    assert model.asked[2:] == [[DOUBTFUL]]
    assert (second.counts["asked"], second.counts["known"]) == (1, 1)


def test_beyond_its_time_the_shipped_model_goes_on_and_that_is_counted(closing):
    clock, metrics = Clock(), Metrics()
    config = configured("x", budget=5, batch=2)
    second = closing(Second(Fake(clock), config.sentiment.deep, metrics, clock=clock))
    found = judged(config, second, *(mention(f"{DOUBTFUL} {at}", str(at)) for at in range(9)))
    assert [one.decision.deep for one in found] == ["fake@1"] * 5 + [None] * 4
    assert found[-1].sentiment == Triage(Config(version=1)).judge(mention(f"{DOUBTFUL} 8"), Memory(9), NOW).sentiment
    counted = {name: metrics.deep_texts.labels(name)._value.get() for name in ("asked", "over_budget", "failed")}
    assert counted == {"asked": 5, "over_budget": 4, "failed": 0}
    assert metrics.deep_seconds._value.get() == 5
    assert [one.decision.deep for one in judged(config, second, mention("beige again"))] == ["fake@1"]  # a new batch


def test_a_model_that_fails_stops_nothing(closing, capsys):
    config = configured("x")
    second = closing(Second(Fake(error=RuntimeError("beige secret")), config.sentiment.deep))
    (found,) = judged(config, second, mention(DOUBTFUL))
    assert found.decision.deep is None
    assert second.counts["failed"] == 1
    assert "secret" not in "".join(capsys.readouterr())


def test_a_mention_that_cannot_be_looked_through_is_left_to_judging(closing):
    config = configured("x")
    second = closing(Second(Fake(), config.sentiment.deep))
    triage = Triage(config, deep=second.version)
    triage.doubt = None  # calling it raises
    second.ask(triage, [(mention(DOUBTFUL), Memory(9))])
    assert second.counts["asked"] == 0


def test_on_files_it_has_all_the_time_it_needs():
    assert patient(configured("x")).sentiment.deep.budget >= 3600
    assert patient(Config(version=1)) == Config(version=1)
    assert second_of(Config(version=1)) is None


# ------------------------------------------------------------------------------------------------------ being had


def problem(**settings):
    (found,) = loading.check(Deep(**settings))
    with pytest.raises(ConfigError) as caught:
        loading.load(Deep(**settings))
    assert str(caught.value) == found
    return found


def test_without_the_extra_it_says_what_to_install(monkeypatch, folder):
    monkeypatch.setattr(loading, "find_spec", lambda name: None if name == "onnxruntime" else name)
    assert problem(model=str(folder)).startswith(
        "sentiment.deep: onnxruntime is not installed — pip install 'earshot[deep]' (in a checkout: make deep)"
    )


def test_what_is_missing_in_a_folder_is_named(tmp_path):
    assert "there is no folder" in problem(model=str(tmp_path / "nowhere"))
    assert "there is no model.onnx" in problem(model=str(tmp_path))
    (tmp_path / "model.safetensors").touch()
    if loading.find_spec("torch") is None:
        assert "install transformers and torch, or export it" in problem(model=str(tmp_path))
    (tmp_path / "model.onnx").touch()
    assert "there is no tokenizer.json" in problem(model=str(tmp_path))
    (tmp_path / "tokenizer.json").touch()
    assert "names no labels — write id2label into it" in problem(model=str(tmp_path))


@pytest.mark.parametrize(
    ("file", "said"), [("model.onnx", "is no model that onnxruntime reads"), ("tokenizer.json", "cannot be read")]
)
def test_a_broken_file_is_named(tmp_path, file, said):
    (write(tmp_path / "tiny") / file).write_bytes(b"broken")
    with pytest.raises(ConfigError, match=said):
        loading.load(Deep(model=str(tmp_path / "tiny")))


def test_a_model_that_is_no_text_classifier_is_refused(tmp_path):
    folder = write(tmp_path / "tiny", ids="pixels")
    with pytest.raises(ConfigError, match="asks for attention_mask, pixels — export it as a text classifier"):
        loading.load(Deep(model=str(folder)))


def test_a_model_of_the_hub_is_fetched_once_by_name_and_revision(monkeypatch, folder):
    import huggingface_hub

    asked = []
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *a, **k: asked.append((a, k)) or str(folder))
    assert loading.load(Deep(model="owner/tone", revision="abc")).version.startswith("tone@")
    ((name,), more) = asked[0]
    assert (name, more["revision"]) == ("owner/tone", "abc")
    assert {"model.onnx", "tokenizer.json", "config.json"} <= set(more["allow_patterns"])


def test_a_hub_that_does_not_answer_is_said_with_advice(monkeypatch):
    import huggingface_hub

    def refuse(*_, **__):
        raise OSError("no route")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(ConfigError, match=r"owner/tone cannot be had from the hub \(OSError\) — check the name"):
        loading.load(Deep(model="owner/tone"))


def test_weights_without_onnx_are_run_by_transformers_where_it_is_installed(monkeypatch, tmp_path):
    """The real libraries are too large for this suite: stand-ins show that they are called as they ask to be."""
    folder = write(tmp_path / "tiny")
    (folder / "model.onnx").rename(folder / "model.safetensors")
    seen = []

    class Tensor(list):
        def tolist(self):
            return list(self)

    class Model:
        def eval(self):
            seen.append("eval")

        def __call__(self, **given):
            return SimpleNamespace(logits=Tensor([[0.0, 0.0, 5.0] for _ in given["input_ids"]]))

    def tokenizer(texts, **options):
        seen.append(options["max_length"])
        return {"input_ids": texts}

    class NoGradients:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

    parts = {
        "torch": {"set_num_threads": seen.append, "inference_mode": NoGradients},
        "transformers": {
            "AutoTokenizer": SimpleNamespace(from_pretrained=lambda *_, **__: tokenizer),
            "AutoModelForSequenceClassification": SimpleNamespace(from_pretrained=lambda *_, **__: Model()),
        },
    }
    for name, contents in parts.items():
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None)
        module.__dict__.update(contents)
        monkeypatch.setitem(sys.modules, name, module)
    model = loading.load(Deep(model=str(folder), longest=20))
    assert model.shares(["one", "two"])[1].positive > 0.9
    assert seen == [1, "eval", 20]


# ------------------------------------------------------------------------------------------------------- in a worker


@pytest.mark.kafka
def test_a_worker_asks_about_a_batch_and_writes_who_answered(own_kafka, folder):
    from tests.integration.test_triage import Running, read, send, send_mentions, until

    config = configured(folder, budget=30)
    send_mentions(own_kafka, [mention(f"the parcel is divine, {number}", str(number)) for number in range(40)])
    send(own_kafka, [(None, b"\xff no json")])
    with Running(own_kafka, config) as running:
        until(lambda: running.received() == 41)
        version = running.worker.second.version
        until(lambda: running.metrics.deep_texts.labels("asked")._value.get() == 40)
    assert running.error is None
    found = [codec.decode(JudgedMention, message.value()) for message in read(own_kafka, "mentions-enriched")]
    assert [one.decision.deep for one in found] == [version] * 40
    assert {one.sentiment.label for one in found} == {Label.POSITIVE}


def test_the_model_works_while_the_rest_of_a_batch_is_looked_through(closing):
    """With a model that takes its time, looking through and asking take less than one after the other."""
    config = configured("x", batch=4, budget=60)

    class Sleepy(Fake):
        def shares(self, texts):
            time.sleep(0.02)
            return super().shares(texts)

    second = closing(Second(Sleepy(), config.sentiment.deep))
    triage, memory = Triage(config, deep=second.version), Memory(99)
    began = []

    def slowly():
        for at in range(16):
            began.append(len(second._classifier.asked))
            time.sleep(0.01)
            yield mention(f"{DOUBTFUL} {at}", str(at)), memory

    second.ask(triage, slowly())
    assert began[-1] > began[0]  # texts had been answered before the last one was looked at
    assert second.counts["asked"] == 16
