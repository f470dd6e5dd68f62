"""Kafka's jars: pinned, checked, fetched once. No network: the place they come from is a folder or a closed port."""

import errno
import os

import pytest
from rich.console import Console

from pipeline.broker import jars
from pipeline.contract.errors import BrokerUnavailableError


@pytest.fixture
def one_jar(tmp_path, monkeypatch):
    """A home without jars, and one jar that is pinned."""
    source = tmp_path / "source" / "a.jar"
    source.parent.mkdir()
    source.write_bytes(b"the right bytes")
    monkeypatch.setenv("EARSHOT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(jars, "pinned", lambda: [jars.Jar(jars.digest(source), source.stat().st_size, "a.jar")])
    return source


def arrives(monkeypatch, content):
    def resolve(scratch, advance):
        (scratch / "a.jar").write_bytes(content)
        advance(len(content))
        return [scratch / "a.jar"]

    monkeypatch.setattr(jars, "resolve", resolve)


def kept():
    return [path.name for path in jars.home().rglob("*") if path.is_file()]


def test_jars_that_are_not_what_is_pinned_are_named(tmp_path):
    (tmp_path / "good.jar").write_bytes(b"good")
    (tmp_path / "bad.jar").write_bytes(b"changed")
    digest = jars.digest(tmp_path / "good.jar")
    wanted = [jars.Jar(digest, 4, "good.jar"), jars.Jar(digest, 4, "bad.jar"), jars.Jar(digest, 4, "absent.jar")]
    assert jars.wrong(tmp_path, wanted) == ["bad.jar", "absent.jar"]


def test_what_was_fetched_once_needs_no_network(one_jar, monkeypatch):
    arrives(monkeypatch, one_jar.read_bytes())
    folder = jars.ensure()
    monkeypatch.setattr(jars, "resolve", lambda *_: pytest.fail("asked the network"))
    assert jars.ensure() == folder
    assert kept() == ["a.jar"]


def test_a_jar_that_differs_is_refused_and_not_kept(one_jar, monkeypatch):
    arrives(monkeypatch, b"changed on the way")
    with pytest.raises(BrokerUnavailableError, match=r"kafka\.lock: a\.jar\. It was not used"):
        jars.ensure()
    assert kept() == []


def test_a_jar_that_is_damaged_later_is_fetched_again(one_jar, monkeypatch):
    arrives(monkeypatch, one_jar.read_bytes())
    folder = jars.ensure()
    (folder / "a.jar").write_bytes(b"half")
    jars.ensure()
    assert (folder / "a.jar").read_bytes() == one_jar.read_bytes()


def test_an_interrupted_fetch_leaves_nothing_behind(one_jar, monkeypatch):
    def resolve(scratch, advance):
        (scratch / "a.jar").write_bytes(b"the ri")
        raise KeyboardInterrupt

    monkeypatch.setattr(jars, "resolve", resolve)
    with pytest.raises(KeyboardInterrupt):
        jars.ensure()
    assert kept() == []
    arrives(monkeypatch, one_jar.read_bytes())
    jars.ensure()


def test_without_a_network_it_says_what_to_do_instead(one_jar, monkeypatch, tmp_path):
    """The real resolver against a port where nothing listens: its errors are OSErrors, like those of a full disk."""
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setattr("jgo.maven._core.DEFAULT_REMOTE_REPOS", {"central": "http://127.0.0.1:1"})
    with pytest.raises(BrokerUnavailableError, match=r"could not be fetched.*--broker HOST:PORT.*--broker memory"):
        jars.ensure()
    assert not (tmp_path / "user").exists(), "nothing of it goes to the user's own Maven repository"


def test_a_full_disk_is_not_taken_for_a_missing_network(one_jar, monkeypatch):
    def resolve(scratch, advance):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(jars, "resolve", resolve)
    with pytest.raises(BrokerUnavailableError, match=r"No space left.*EARSHOT_HOME"):
        jars.ensure()


def test_off_a_terminal_there_is_one_plain_line(one_jar, monkeypatch, tmp_path):
    arrives(monkeypatch, one_jar.read_bytes())
    with (tmp_path / "said").open("w") as said:
        jars.ensure(Console(file=said))
    assert (tmp_path / "said").read_text().splitlines() == [f"fetching Apache Kafka {jars.VERSION} (0 MB), this once"]


def test_the_lock_file_pins_kafka_itself():
    names = {jar.name for jar in jars.pinned()}
    assert f"kafka_2.13-{jars.VERSION}.jar" in names
    assert all(len(jar.sha256) == 64 and jar.size > 0 for jar in jars.pinned())


def test_java_is_given_the_pinned_jars_and_no_others(one_jar, monkeypatch):
    arrives(monkeypatch, one_jar.read_bytes())
    folder = jars.ensure()
    (folder / "stranger.jar").write_bytes(b"nobody checked me")
    assert jars.classpath(folder) == str(folder / "a.jar")
