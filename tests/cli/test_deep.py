"""The stronger sentiment tier and several brands at the command line."""

from __future__ import annotations

import json

import pytest

from tests.cli.running import earshot
from tests.runtime.tiny_model import write

pytest.importorskip("onnxruntime", reason="the extra earshot[deep] is not installed: make deep")
TEXT = "the parcel is divine"


def configured(folder, model="./tiny", more=""):
    write(folder / "tiny")
    file = folder / "earshot.yaml"
    file.write_text(
        f"version: 1\nbrands:\n  acme: {{query: acme}}\n  globex: {{query: globex}}\nsentiment:\n  deep:\n    model: {model}\n"
        f"    uncertain: 1.0\n{more}"
    )
    return file


def test_files_and_texts_are_judged_with_it(tmp_path):
    configured(tmp_path)
    line = json.dumps({"id": "1", "text": f"acme: {TEXT}", "language": "en"}).encode() + b"\n"
    found = earshot("triage", given=line, cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    decided = json.loads(found.stdout)
    assert decided["sentiment"]["label"] == "positive"
    assert decided["decision"]["deep"].startswith("tiny@")
    shown = earshot("explain", "--text", f"acme: {TEXT}", cwd=tmp_path)
    assert f"by {decided['decision']['deep']}" in shown.stdout.decode()


def test_labelled_texts_are_evaluated_with_it(tmp_path):
    configured(tmp_path)
    (tmp_path / "texts.csv").write_text(
        "text,label\nacme is beige,neutral\nacme is divine,positive\nacme is dreadful,negative\n"
    )
    found = earshot("evaluate", "sentiment", "--labels", "texts.csv", "--json", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["accuracy"] == 1.0


def test_config_check_says_that_it_is_there(tmp_path):
    configured(tmp_path)
    found = earshot("config", "check", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    assert "stronger sentiment model: ./tiny" in found.stdout.decode()


@pytest.mark.parametrize(
    ("model", "more", "line", "said"),
    [
        ("./nowhere", "", 7, "there is no folder nowhere — name one with model.onnx and tokenizer.json"),
        ("./tiny", "    labels: {LABEL_9: negative, positive: positive}\n", 9, "the model has no label LABEL_9"),
        ("./tiny", "    labels: {negative: negative}\n", 9, "no label means positive — write what each"),
        ("./tiny", "    uncertian: 0.5\n", 9, "there is no such setting — did you mean uncertain?"),
        ("./tiny", "    budget: soon\n", 9, "write a duration"),
        ("./tiny", "    languages: [english language]\n", 9, "is no language — write codes"),
    ],
)
def test_config_check_names_the_line_and_what_to_write(tmp_path, model, more, line, said):
    configured(tmp_path, model, more)
    found = earshot("config", "check", cwd=tmp_path)
    assert found.returncode == 2
    (first, *_) = found.stderr.decode().splitlines()
    assert first.startswith(f"earshot.yaml:{line}:")
    assert said in first


def test_a_model_that_is_not_there_ends_a_command_with_advice(tmp_path):
    configured(tmp_path, "./nowhere")
    found = earshot("explain", "--text", TEXT, cwd=tmp_path)
    assert found.returncode == 2
    assert b"there is no folder nowhere" in found.stderr
    assert b"Traceback" not in found.stderr


def test_nothing_is_started_without_the_model_that_is_named(tmp_path):
    configured(tmp_path, "./nowhere")
    found = earshot("up", "--plain", "--broker", "memory", cwd=tmp_path)
    assert found.returncode == 2
    assert found.stderr.decode().startswith("earshot: earshot.yaml:7:")
    assert not (tmp_path / "data").exists()


def test_each_brand_is_explained(tmp_path):
    configured(tmp_path)
    shown = earshot("explain", "--text", "Acme never answers, unlike Globex", cwd=tmp_path).stdout.decode()
    assert "about: acme, seen in: acme — negative -0." in shown
    assert "about: globex, seen in: globex — positive +0." in shown
