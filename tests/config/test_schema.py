"""The JSON Schema for editors is what the model says."""

from __future__ import annotations

import json
import textwrap

import jsonschema
import yaml

from pipeline.config import schema
from tests.config.test_load import WHOLE


def test_the_file_is_as_the_model_says():
    assert schema.main(["--check"]) == 0, "run: python -m pipeline.config.schema"


def test_says_how_to_make_it_anew_when_it_is_stale(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(schema, "FILE", tmp_path / "earshot.schema.json")
    assert schema.main(["--check"]) == 1
    assert "python -m pipeline.config.schema" in capsys.readouterr().err
    assert schema.main([]) == 0
    assert schema.main(["--check"]) == 0


def test_takes_what_the_program_takes_and_refuses_unknown_settings():
    made = json.loads(schema.text())
    jsonschema.Draft202012Validator.check_schema(made)
    validator = jsonschema.Draft202012Validator(made)
    values = yaml.load(textwrap.dedent(WHOLE), Loader=yaml.BaseLoader)
    values = {**values, "version": 1}
    for name in ("departments", "campaigns", "brands"):
        assert not list(validator.evolve(schema=made["properties"][name] | {"$defs": made["$defs"]}).iter_errors(
            {key: value or {} for key, value in values[name].items()}
        ))  # fmt: skip
    assert list(validator.iter_errors({"version": 1, "brand": {}}))
    assert not list(validator.iter_errors({"version": 1, "triage": {"linger": "50ms", "max_age": None}}))


def test_settings_are_described():
    made = schema.schema()
    assert "Lucene" in made["$defs"]["Brand"]["properties"]["query"]["description"]
