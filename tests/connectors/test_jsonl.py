"""JSON Lines files: they grow, are rotated and emptied, end in the middle of a line, and hold lines that are none."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from connectors.jsonl.connector import CHUNK, Jsonl
from connectors.publisher import MemoryLog
from pipeline.contract import codec
from pipeline.contract.errors import SourceRefusedError, SourceUnavailableError
from tests.connectors import kit


def line(number, **more):
    return json.dumps({"id": str(number), "text": f"no. {number}", **more}) + "\n"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "app.jsonl"


@pytest.fixture
def log():
    return MemoryLog()


def connector(path, **more):
    return kit.make(Jsonl, given=kit.settings(Jsonl, page=path, **more))


async def look(path, log, times=1):
    """Look at the file so often, each time as after a restart; return all that was heard so far."""
    for _ in range(times):
        await kit.run(connector(path), 1, log=log)
    return [int(mention.native_id) for mention in log.mentions]


async def test_a_missing_file_is_waited_for(path, log):
    assert await look(path, log) == []
    _, states = await kit.run(connector(path), 1, log=log)
    assert states[-1][0] == "listening"
    path.write_text(line(1))
    assert await look(path, log) == [1]


async def test_a_growing_file_is_read_from_where_it_ended(path, log):
    path.write_text(line(1) + line(2))
    assert await look(path, log) == [1, 2]
    with path.open("a") as file:
        file.write(line(3))
    assert await look(path, log, times=2) == [1, 2, 3]


async def test_the_last_line_is_read_once_it_ends(path, log):
    whole = line(2)
    path.write_text(line(1) + whole[:9])
    assert await look(path, log, times=2) == [1]
    with path.open("a") as file:
        file.write(whole[9:])
    assert await look(path, log) == [1, 2]
    assert log.rejected == []


async def test_a_character_cut_in_two_by_the_end_of_the_file_is_whole_in_the_end(path, log):
    whole = line(1, title="Tea 🫖").encode().replace(b"\\ud83e\\uded6", "🫖".encode())
    cut = whole.index("🫖".encode()) + 2
    path.write_bytes(whole[:cut])
    assert await look(path, log) == []
    with path.open("ab") as file:
        file.write(whole[cut:])
    await look(path, log)
    assert log.mentions[0].title == "Tea 🫖"


async def test_a_bad_line_goes_to_the_dead_letters_and_ends_nothing(path, log):
    bad = ['{"cut": ', '"a word"', '{"text": "no id"}', '{"id": "9"}', '{"id": "8", "text": 5}']
    path.write_text("\n".join([line(1).strip(), *bad, "", line(2)]))
    assert await look(path, log) == [1, 2]
    assert [part.value.decode() for part in log.rejected] == bad
    assert all(part.error for part in log.rejected)


async def test_bytes_that_are_no_text_go_to_the_dead_letters_as_they_are(path, log):
    path.write_bytes(b"\xff\xfe\x00\n" + line(1).encode())
    assert await look(path, log) == [1]
    assert [part.value for part in log.rejected] == [b"\xff\xfe\x00"]


async def test_a_file_that_was_emptied_is_read_from_its_beginning(path, log):
    path.write_text("".join(map(line, range(1, 5))))
    assert await look(path, log) == [1, 2, 3, 4]
    inode = path.stat().st_ino
    os.truncate(path, 0)
    assert await look(path, log) == [1, 2, 3, 4]
    with path.open("a") as file:
        file.write(line(5))
    assert path.stat().st_ino == inode
    assert await look(path, log) == [1, 2, 3, 4, 5]


async def test_an_emptied_file_with_half_a_line_is_not_read_from_the_middle_later(path, log):
    path.write_text("".join(map(line, range(1, 4))))
    await look(path, log)
    os.truncate(path, 0)
    with path.open("a") as file:
        file.write(line(4)[:10])
    await look(path, log)
    with path.open("a") as file:
        file.write(line(4)[10:] + "".join(map(line, range(5, 10))))
    assert await look(path, log) == list(range(1, 10))
    assert log.rejected == []


async def test_a_new_file_of_the_name_is_read_from_its_beginning(path, log):
    path.write_text(line(1) + line(2))
    await look(path, log)
    path.rename(path.with_name("old"))
    path.write_text(line(3))
    assert await look(path, log, times=2) == [1, 2, 3]


async def test_what_was_written_before_log_rotation_is_read_first(path, log):
    path.write_text(line(1))
    await look(path, log)
    with path.open("a") as file:
        file.write(line(2) + line(3).strip())  # the last one without an end: nobody goes on writing there
    path.rename(path.with_name("app.jsonl.1"))
    path.write_text(line(4))
    assert await look(path, log, times=3) == [1, 2, 3, 4]


async def test_between_the_two_halves_of_log_rotation_nothing_is_cut(path, log):
    path.write_text(line(1))
    await look(path, log)
    old = path.rename(path.with_name("app.jsonl.1"))
    with old.open("a") as file:
        file.write(line(2) + line(3)[:12])
    assert await look(path, log, times=2) == [1, 2]
    with old.open("a") as file:
        file.write(line(3)[12:])
    path.write_text(line(4))
    assert await look(path, log, times=3) == [1, 2, 3, 4]
    assert log.rejected == []


async def test_log_rotation_at_the_moment_of_opening_loses_nothing(path, log, monkeypatch):
    """The name means another file once this one is open."""
    path.write_text(line(1))
    opened, made = Path.open, connector(path)

    def open_and_rotate(self, *given, **more):
        file = opened(self, *given, **more)
        if self == path and not path.with_name("app.jsonl.1").exists():
            self.rename(self.with_name("app.jsonl.1"))
            self.write_text(line(2) + line(3))
        return file

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", open_and_rotate)
        await kit.run(made, 1, log=log)
    assert [mention.native_id for mention in log.mentions] == ["1"]
    assert await look(path, log) == [1, 2, 3]


async def test_a_large_file_is_read_in_parts_at_once(path, log):
    filler = "x" * 1_000
    path.write_text("".join(line(number, title=filler) for number in range(3_000)))
    assert path.stat().st_size > 3 * CHUNK
    waits, _ = await kit.run(connector(path), 5, log=log)
    assert [int(mention.native_id) for mention in log.mentions] == list(range(3_000))
    assert waits.waited[:3] == [0, 0, 0]
    assert waits.waited[-1] > 0


async def test_a_line_larger_than_a_chunk_is_read_whole(path, log):
    path.write_text(line(1, title="x" * (CHUNK + 500_000)) + line(2))
    assert await look(path, log, times=2) == [1, 2]
    assert len(log.mentions[0].title) == codec.MAX_TEXT


async def test_a_line_without_an_end_goes_to_the_dead_letters_at_last(path, log):
    path.write_bytes(b"x" * (codec.MAX_VALUE_BYTES * 2 + CHUNK))
    with path.open("a") as file:
        file.write("\n" + line(1))
    assert await look(path, log, times=3) == [1]
    assert len(log.rejected) >= 1


async def test_a_line_names_its_source_or_has_the_one_of_the_settings(path, log):
    path.write_text(line(1) + line(2, source="survey"))
    await kit.run(connector(path, source="shop"), 1, log=log)
    assert [mention.id for mention in log.mentions] == ["shop:1", "survey:2"]


async def test_a_line_without_a_time_has_the_time_at_which_it_was_read(path, log):
    path.write_text(line(1) + line(2, created_at="2026-11-19T10:00:00+01:00"))
    await look(path, log)
    assert log.mentions[0].created_at == kit.NOW
    assert log.mentions[1].created_at.isoformat() == "2026-11-19T09:00:00+00:00"


async def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(SourceUnavailableError, match="cannot be read"):
        await connector(tmp_path).fetch(None)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_a_file_that_may_not_be_read_says_so(path):
    path.write_text(line(1))
    path.chmod(0)
    with pytest.raises(SourceRefusedError, match="may not be read"):
        await connector(path).fetch(None)


async def test_a_check_says_what_is_there(path):
    assert "does not exist yet" in await connector(path).check()
    path.write_text(line(1))
    assert "1 mentions" in await connector(path).check()


@pytest.mark.parametrize(
    "broken", ["", "null", "[]", "{", '{"file": 5}', '{"offset": "x"}', '{"offset": -5}'], ids=repr
)
async def test_a_cursor_that_cannot_be_read_begins_anew(path, broken):
    path.write_text(line(1))
    assert len((await connector(path).fetch(broken)).mentions) == 1
