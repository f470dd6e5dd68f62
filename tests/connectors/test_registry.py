"""Names to connectors: those shipped here, and those of other packages."""

from __future__ import annotations

import importlib
import sys

import pytest

from connectors import registry
from connectors.base import Connector
from pipeline.contract.errors import ConfigError

CODE = """
from connectors.base import PollingConnector
class Other(PollingConnector):
    name = "{name}"
class NotOne:
    name = "{name}"
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put a package beside earshot, as pip would: a module, and the note of what it declares."""
    monkeypatch.syspath_prepend(tmp_path)

    def put(package: str, name: str, value: str | None = None, code: str = CODE) -> None:
        module = f"earshot_test_{package}"
        monkeypatch.delitem(sys.modules, module, raising=False)
        (tmp_path / f"{module}.py").write_text(code.format(name=name))
        note = tmp_path / f"{module}-1.0.dist-info"
        note.mkdir()
        (note / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (note / "entry_points.txt").write_text(f"[earshot.connectors]\n{name} = {value or module + ':Other'}\n")
        importlib.invalidate_caches()

    return put


def test_every_shipped_name_is_found_and_has_its_own_name():
    assert "hackernews" in registry.shipped()
    assert registry.TEMPLATE not in registry.names()
    assert registry.names() == sorted(set(registry.names()))
    for name in registry.shipped():
        kind = registry.find(name)
        assert issubclass(kind, Connector)
        assert kind.name == name


def test_a_connector_of_another_package_is_found_by_its_name(install):
    install("forum", "other-forum")
    assert "other-forum" in registry.names()
    assert "other-forum" not in registry.shipped()
    assert registry.find("other-forum").name == "other-forum"
    assert registry.find("otherforum").name == "other-forum"


@pytest.mark.parametrize(
    ("value", "code", "said"),
    [
        ("earshot_test_forum:NotOne", CODE, "is declared as the connector other-forum, but is no Connector"),
        ("earshot_test_forum:Gone", CODE, "of the package forum cannot be loaded (AttributeError)"),
        ("earshot_test_absent:Other", CODE, "of the package forum cannot be loaded (ModuleNotFoundError)"),
        (None, "raise RuntimeError('{name}')", "of the package forum cannot be loaded (RuntimeError)"),
        (
            None,
            "from connectors.base import PollingConnector\nclass Other(PollingConnector): name = 'x'",
            "must have the name",
        ),
    ],
    ids=["no connector", "no class", "no module", "broken", "another name"],
)
def test_a_package_that_does_not_work_is_named_with_what_to_do(install, value, code, said):
    install("forum", "other-forum", value, code)
    with pytest.raises(ConfigError) as raised:
        registry.find("other-forum")
    assert said in str(raised.value)
    assert registry.find("hackernews").name == "hackernews"  # the others go on


def test_a_package_cannot_take_a_shipped_name_nor_two_packages_the_same(install):
    install("taker", "hackernews")
    with pytest.raises(
        ConfigError, match="several connectors are called hackernews, of earshot itself and the package taker"
    ):
        registry.find("hackernews")
    install("one", "other-forum")
    install("two", "other-forum")
    with pytest.raises(ConfigError, match="several connectors are called other-forum") as raised:
        registry.find("other-forum")
    assert "the package one" in str(raised.value)
    assert "the package two" in str(raised.value)


@pytest.mark.parametrize("name", ["", "nope", "../hackernews", "Hackernews", "base", "http", "os"])
def test_an_unknown_name_is_answered_with_those_there_are(name):
    with pytest.raises(ConfigError) as raised:
        registry.find(name)
    assert all(one in str(raised.value) for one in registry.names())


def test_a_module_defines_exactly_one_connector(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "earshot_none.py").write_text("from connectors.base import PollingConnector\n")
    (tmp_path / "earshot_two.py").write_text(
        "from connectors.base import PollingConnector\nclass A(PollingConnector): ...\nclass B(PollingConnector): ...\n"
    )
    for module, count in (("earshot_none", 0), ("earshot_two", 2)):
        with pytest.raises(ConfigError, match=f"it defines {count}"):
            registry.load(module)
