"""Secrets come from the environment or a file, and their values never show."""

from __future__ import annotations

import pytest

from pipeline.config.model import Secret
from pipeline.config.secrets import resolve
from pipeline.contract.errors import ConfigError


def test_a_secret_comes_from_the_environment_or_a_file(tmp_path):
    path = tmp_path / "token"
    path.write_text("hunter2\n")
    assert resolve(Secret(env="TOKEN"), {"TOKEN": "hunter2"}).get_secret_value() == "hunter2"
    assert resolve(Secret(file=str(path)), {}).get_secret_value() == "hunter2"


def test_the_value_does_not_show():
    secret = resolve(Secret(env="TOKEN"), {"TOKEN": "hunter2"})
    assert "hunter2" not in f"{secret} {secret!r} {[secret]}"


@pytest.mark.parametrize(
    ("secret", "advice"),
    [
        (Secret(), "exactly one of the two"),
        (Secret(env="A", file="b"), "exactly one of the two"),
        (Secret(env="ABSENT"), "export it"),
        (Secret(env="EMPTY"), "export it"),
        (Secret(file="absent"), "mount it"),
        (Secret(file="empty"), "is empty"),
        (Secret(file="binary"), "plain text"),
    ],
)
def test_a_secret_that_is_not_there_is_reported_with_advice(tmp_path, monkeypatch, secret, advice):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfehunter2")
    with pytest.raises(ConfigError, match=advice) as caught:
        resolve(secret, {"EMPTY": ""}, where="sources.hn.token")
    assert str(caught.value).startswith("sources.hn.token: ")
    assert "hunter2" not in str(caught.value)


def test_a_directory_is_no_secret(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        resolve(Secret(file=str(tmp_path)), {})
