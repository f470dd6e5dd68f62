"""A new connector: where it goes, what it is called, and what to do next."""

from __future__ import annotations

import tomllib

import pytest

from connectors import registry, scaffold
from pipeline.contract.errors import ConfigError


def test_a_package_of_its_own_says_what_earshot_needs_to_find_it(tmp_path):
    made = scaffold.new("my-forum", tmp_path / "pkg")
    assert made.folder == tmp_path / "pkg" / "my_forum"
    assert {path.name for path in made.folder.iterdir()} >= {"__init__.py", "connector.py", "README.md", "example"}
    project = tomllib.loads((tmp_path / "pkg" / "pyproject.toml").read_text())
    assert project["project"]["entry-points"] == {registry.GROUP: {"my-forum": "my_forum.connector:MyForum"}}
    assert project["tool"]["setuptools"]["packages"] == ["my_forum"]
    assert any("pip install -e" in step for step in made.steps)


def test_a_second_one_in_the_same_package_says_the_line_to_add_and_changes_nothing(tmp_path):
    scaffold.new("my-forum", tmp_path)
    before = (tmp_path / "pyproject.toml").read_text()
    made = scaffold.new("my-shop", tmp_path)
    assert (tmp_path / "pyproject.toml").read_text() == before
    assert any('my-shop = "my_shop.connector:MyShop"' in step for step in made.steps)


def test_in_a_checkout_it_becomes_one_of_the_folders_there(tmp_path, monkeypatch):
    monkeypatch.setattr(scaffold, "make", lambda name, into: into / registry.module_name(name))
    monkeypatch.chdir(tmp_path)
    made = scaffold.new("my-forum")
    assert made.folder == registry.HERE / "my_forum"
    assert any("pytest tests/contract/test_every_connector.py -k my-forum" in step for step in made.steps)
    assert not any("pip install" in step for step in made.steps)


def test_beside_an_installed_earshot_it_goes_into_the_folder_one_is_in(tmp_path, monkeypatch):
    monkeypatch.setattr(scaffold, "is_checkout", lambda: False)
    monkeypatch.chdir(tmp_path)
    scaffold.new("my-forum")
    assert (tmp_path / "earshot-my-forum" / "pyproject.toml").exists()
    assert (tmp_path / "earshot-my-forum" / "my_forum" / "connector.py").exists()


def test_a_checkout_is_known_by_what_lies_beside_the_connectors(tmp_path):
    assert scaffold.is_checkout()
    (tmp_path / "site-packages" / "connectors").mkdir(parents=True)
    assert not scaffold.is_checkout(tmp_path / "site-packages" / "connectors")


def test_nothing_of_the_template_is_left(tmp_path):
    folder = scaffold.make("my-forum", tmp_path)
    for file in folder.rglob("*"):
        if file.is_file():
            assert "template" not in file.read_text("utf-8").lower(), file
    assert not list(folder.rglob("__pycache__"))


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            "a",
            "My-Forum",
            "my forum",
            "my_forum",
            "../forum",
            "forum/x",
            "-forum",
            "forum-",
            "my--forum",
            "1forum",
        ),
        *("x" * 60, "fórum", "forum\n"),
    ],
    ids=repr,
)
def test_what_is_no_name_is_refused(name, tmp_path):
    with pytest.raises(ConfigError, match="is no name for a connector"):
        scaffold.make(name, tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["http", "base", "pacing", "class", "json", "import", "email"])
def test_what_python_would_take_for_something_else_is_refused(name, tmp_path):
    with pytest.raises(ConfigError, match=f"take another name, such as {name}-site"):
        scaffold.make(name, tmp_path)


def test_what_is_there_is_never_written_over(tmp_path):
    (tmp_path / "my_forum").mkdir()
    for name in ("my-forum", "hackernews", "template"):
        with pytest.raises(ConfigError, match="there is a connector"):
            scaffold.make(name, tmp_path)
