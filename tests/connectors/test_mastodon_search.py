"""Mastodon's search: walks down in whole seconds, an index that is away, servers that know no paging."""

from __future__ import annotations

from datetime import datetime, timedelta
from urllib.parse import parse_qs

import httpx
import pytest

from connectors import newest
from connectors.backfill import Backfill, checkpoint_name
from connectors.mastodon.connector import Mastodon
from connectors.mastodon.statuses import order, time_of
from connectors.mastodon_search.connector import MastodonSearch
from connectors.publisher import MemoryLog, MemoryPublisher
from pipeline.contract.errors import SourceRefusedError, SourceUnavailableError
from pipeline.contract.events import State
from pipeline.contract.metrics import Metrics
from tests.connectors import kit
from tests.connectors.test_mastodon import NOON, id_of, status


class Search:
    """A search as Mastodon's since 4.2: newest first, `max_id` cut to whole seconds, nothing when the index is away."""

    def __init__(self, rows=(), *, knows_max_id=True, knows_offset=True, is_exact=False):
        self.rows = list(rows)
        self.knows_max_id, self.knows_offset, self.is_exact = knows_max_id, knows_offset, is_exact
        self.away = 0  # from which request on the index is away; 0: it is there
        self.asked = []

    def __call__(self, request):
        params = {name: values[0] for name, values in parse_qs(request.url.query.decode()).items()}
        self.asked.append((request.url.path, params, request.headers.get("authorization")))
        found = sorted(self.rows, key=lambda row: order(row["id"]), reverse=True)
        if "max_id" in params and self.knows_max_id:
            found = [row for row in found if self._is_below(row, params["max_id"])]
        if self.knows_offset:
            found = found[int(params.get("offset", 0)) :]
        found = [] if self.away and len(self.asked) >= self.away else found[: int(params["limit"])]
        return httpx.Response(200, json={"accounts": [], "statuses": found, "hashtags": []})

    def _is_below(self, row, other):
        """Exactly by the id, or as Mastodon since 4.2: by when it was written, which is not when it came here."""
        if self.is_exact:
            return order(row["id"]) < order(other)
        written = datetime.fromisoformat(row["created_at"]).timestamp() * 1000
        return written < time_of(other) // 1000 * 1000

    def connector(self, **changes):
        return kit.make(MastodonSearch, self, **changes)


async def walked(connector, cursor):
    """All pages until there is no more."""
    pages = []
    while not pages or pages[-1].is_full:
        pages.append(await connector.fetch(pages[-1].cursor if pages else cursor))
        assert len(pages) < 100
    return pages


def uris(pages):
    return {mention.native_id for page in pages for mention in page.mentions}


async def test_what_is_asked_is_what_the_documentation_says():
    search = Search([status(1)])
    (mention,) = (await search.connector(queries=["acme kettle"]).fetch(None)).mentions
    path, params, token = search.asked[0]
    assert (path, token) == ("/api/v2/search", f"Bearer {kit.SECRET}")
    assert params == {"q": "acme kettle", "type": "statuses", "limit": "40"}
    assert (mention.source, mention.id) == ("mastodon", f"mastodon:{status(1)['uri']}")


async def test_a_night_is_walked_down_to_what_is_known_and_nothing_comes_twice():
    search, log = Search([status(number * 7) for number in range(20)]), MemoryLog()
    await kit.run(search.connector(), 1, log=log)
    search.rows += [status(200 + number) for number in range(900)]
    await kit.run(search.connector(overlap=60), 4, log=log)
    found = [mention.native_id for mention in log.mentions]
    assert sorted(found) == sorted(row["uri"] for row in search.rows)
    assert len(set(found)) == len(found)


async def test_a_poll_without_news_is_one_question_when_the_page_reaches_back():
    search = Search([status(number) for number in range(60)])
    pages = await walked(search.connector(overlap=10), newest.cursor_at(["acme"], NOON + timedelta(seconds=50)))
    search.asked.clear()
    await search.connector(overlap=10).fetch(pages[-1].cursor)
    assert len(search.asked) == 1


@pytest.mark.parametrize("is_exact", [False, True], ids=["in whole seconds", "to the id"])
async def test_a_second_with_more_texts_than_a_page_is_read_whole(is_exact):
    rows = [status(number, at=NOON, id=id_of(NOON, number)) for number in range(130)]
    search = Search([status(-5), *rows, status(9)], is_exact=is_exact)
    assert uris(await walked(search.connector(), None)) == {row["uri"] for row in search.rows}


async def test_texts_with_ids_that_hold_no_time_are_walked_through_by_their_ids():
    rows = [status(number, id=f"AxYmkXx8Y9kNbVQ{number:03}") for number in range(130)]
    search = Search(rows, is_exact=True)
    assert uris(await walked(search.connector(), None)) == {row["uri"] for row in rows}


async def test_an_index_that_goes_away_in_the_middle_of_a_walk_loses_nothing():
    search, log = Search([status(number) for number in range(1_000)]), MemoryLog()
    search.away = 14
    _, states = await kit.run(search.connector(), 3, log=log)
    assert "is its index away?" in next(reason for state, reason in states if state == "unreachable")
    assert 0 < len(log.mentions) < 1_000
    search.away = 0
    await kit.run(search.connector(), 4, log=log)
    assert len({mention.native_id for mention in log.mentions}) == len(log.mentions) == 1_000


async def test_one_empty_answer_in_the_middle_of_a_walk_is_asked_for_again():
    search = Search([status(number) for number in range(300)])
    connector = search.connector()

    async def found(query, max_id, offset, ask=connector._found):
        rows = await ask(query, max_id, offset)
        return [] if len(search.asked) == 4 else rows

    connector._found = found
    assert uris(await walked(connector, None)) == {row["uri"] for row in search.rows}


async def test_an_index_that_is_away_from_the_beginning_moves_nothing():
    search, log = Search([status(1)]), MemoryLog()
    await kit.run(search.connector(), 1, log=log)
    before = log.checkpoints["example"].cursor
    search.away = 1
    await kit.run(search.connector(), 2, log=log)
    assert log.checkpoints["example"].cursor == before


async def test_a_server_that_does_not_know_max_id_is_not_asked_on_and_the_rest_is_a_gap():
    search = Search([status(number) for number in range(60)], knows_max_id=False, knows_offset=False)
    pages = await walked(search.connector(), newest.cursor_at(["acme"], NOON))
    assert len(search.asked) == 2
    gap = pages[-1].gap
    assert (gap.since, gap.until) == (NOON, NOON + timedelta(seconds=20))


@pytest.mark.parametrize("late", [1, 7, 90])
async def test_texts_of_other_servers_that_came_late_do_not_end_a_walk(late):
    """They bear the id of when they came, and `max_id` goes by when they were written: they stand on every page."""
    came = NOON + timedelta(seconds=400)
    late_ones = [status(1_000 + number, at=NOON, id=id_of(came, number)) for number in range(late)]
    search = Search([*(status(number) for number in range(300)), *late_ones])
    pages = await walked(search.connector(), newest.cursor_at(["acme"], NOON - timedelta(minutes=1)))
    assert uris(pages) == {row["uri"] for row in search.rows}
    assert {page.gap for page in pages} == {None}
    assert len(search.asked) < 60


async def test_a_server_that_does_not_know_offset_is_asked_for_one_second_only_so_often():
    rows = [status(number, at=NOON, id=id_of(NOON, number)) for number in range(60)]
    search = Search(rows, knows_offset=False)
    pages = await walked(search.connector(), newest.cursor_at(["acme"], NOON - timedelta(minutes=1)))
    assert len(search.asked) < 20
    assert pages[-1].gap is not None


async def test_what_only_the_account_may_read_is_not_heard():
    rows = [status(number, visibility=seen) for number, seen in enumerate(("public", "unlisted", "private", "direct"))]
    page = await Search(rows).connector().fetch(None)
    assert [mention.native_id for mention in page.mentions] == [rows[0]["uri"], rows[1]["uri"]]


async def test_an_edit_within_the_overlap_is_a_new_revision():
    search, log = Search([status(1)]), MemoryLog()
    await kit.run(search.connector(), 1, log=log)
    search.rows = [status(1, content="<p>Acme, again</p>", edited_at="2026-11-20T11:03:00.500Z")]
    await kit.run(search.connector(), 1, log=log)
    assert [mention.state for mention in log.mentions] == [State.LIVE, State.EDITED]


async def test_each_query_has_its_own_place():
    search = Search([status(1)])
    page = await search.connector(queries=["acme", "kettle"]).fetch(None)
    assert set(newest.read(page.cursor)) == {"acme", "kettle"}
    assert len(page.mentions) == 1


async def test_a_text_that_comes_late_is_heard_within_the_overlap():
    search, log = Search([status(600)]), MemoryLog()
    await kit.run(search.connector(overlap="5m"), 1, log=log)
    search.rows += [status(400), status(100)]
    await kit.run(search.connector(overlap="5m"), 1, log=log)
    assert {mention.native_id for mention in log.mentions} == {status(600)["uri"], status(400)["uri"]}


async def test_the_past_is_read_from_the_time_asked_for():
    search, log = Search([status(number) for number in range(300)]), MemoryLog()
    connector, since, until = search.connector(), NOON + timedelta(seconds=100), NOON + timedelta(seconds=250)
    name = checkpoint_name(connector, since, until)
    await Backfill(connector, MemoryPublisher(name, log), Metrics(), since=since, until=until, clock=kit.clock).run()
    assert sorted(mention.created_at for mention in log.mentions) == [
        NOON + timedelta(seconds=number) for number in range(100, 250)
    ]


async def test_a_token_without_the_scope_is_told_what_it_lacks():
    body = b'{"error": "This action is outside the authorized scopes"}'
    with pytest.raises(SourceRefusedError, match=r"outside the authorized scopes.*read:search"):
        await kit.make(MastodonSearch, kit.answering(body, 403)).fetch(None)


async def test_an_answer_that_is_no_search_is_tried_again():
    with pytest.raises(SourceUnavailableError, match="no texts that were found"):
        await kit.make(MastodonSearch, kit.answering(b"[]")).fetch(None)


async def test_a_check_says_what_an_empty_answer_may_mean():
    assert "search index" in await Search().connector().check()
    assert "search index" not in await Search([status(1)]).connector().check()


def test_what_mastodon_hears_and_what_its_search_finds_is_the_same_mention():
    page = kit.example(MastodonSearch, "page").read_bytes()
    assert list(MastodonSearch.parse(page, kit.NOW)) == list(Mastodon.parse(page, kit.NOW))
