"""Feeds: asked with what the server needs to say that nothing has changed, and read whatever they call things."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime

import feedparser
import httpx
import pytest

from connectors.publisher import MemoryLog
from connectors.rss import tombstones
from connectors.rss.connector import Rss, RssSettings
from connectors.rss.entries import global_id
from pipeline.contract import codec
from pipeline.contract.errors import SourceRefusedError, SourceUnavailableError
from pipeline.contract.events import Mention, State
from tests.connectors import kit, recordings

URL = "https://feeds.example.org/news.xml"


def rss(*items, head="<title>Kettle weekly</title><link>https://blog.example.org/</link>"):
    return f'<?xml version="1.0"?><rss version="2.0"><channel>{head}{"".join(items)}</channel></rss>'.encode()


def item(number=1, *, extra="", title="Acme recalls"):
    return f"<item><guid>https://blog.example.org/{number}</guid><title>{title} {number}</title>{extra}</item>"


def only(body):
    (found,) = Rss.parse(body if isinstance(body, bytes) else body.encode(), kit.NOW)
    assert codec.decode(Mention, codec.encode(found)) == found
    return found


class Site:
    """A server with feeds by address; each is a response, or a function of the request."""

    def __init__(self, **more):
        self.pages = {}
        self.asked = []

    def __call__(self, request):
        self.asked.append((str(request.url), dict(request.headers)))
        answer = self.pages[str(request.url)]
        return answer(request) if callable(answer) else answer

    def connector(self, **changes):
        return kit.make(Rss, self, **changes)


async def test_an_unchanged_feed_is_asked_for_by_etag_and_time_and_keeps_the_cursor():
    site = Site()
    marks = {"etag": '"abc"', "last-modified": "Fri, 20 Nov 2026 09:00:00 GMT"}

    def answer(request):
        known = (request.headers.get("if-none-match"), request.headers.get("if-modified-since"))
        if known == ('"abc"', "Fri, 20 Nov 2026 09:00:00 GMT"):
            return httpx.Response(304)
        return httpx.Response(200, content=rss(item()), headers=marks)

    site.pages[URL] = answer
    first = await site.connector().fetch(None)
    again = await site.connector().fetch(first.cursor)
    assert (len(first.mentions), list(again.mentions), again.cursor) == (1, [], first.cursor)


async def test_a_feed_without_marks_is_read_again_and_published_once():
    site, log = Site(), MemoryLog()
    site.pages[URL] = httpx.Response(200, content=rss(item(1)))
    await kit.run(site.connector(), 2, log=log)
    site.pages[URL] = httpx.Response(200, content=rss(item(2), item(1)))
    await kit.run(site.connector(), 2, log=log)
    assert [mention.title for mention in log.mentions] == ["Acme recalls 1", "Acme recalls 2"]
    assert "if-none-match" not in site.asked[-1][1]


@pytest.mark.parametrize("status", [301, 308])
async def test_a_feed_that_moved_for_good_is_asked_at_its_new_address(status):
    site = Site()
    site.pages[URL] = httpx.Response(status, headers={"location": "https://new.example.org/feed"})
    site.pages["https://new.example.org/feed"] = httpx.Response(200, content=rss(item()))
    first = await site.connector().fetch(None)
    site.asked.clear()
    again = await site.connector().fetch(first.cursor)
    await site.connector().fetch(again.cursor)
    assert [address for address, _ in site.asked] == ["https://new.example.org/feed"] * 2


@pytest.mark.parametrize("status", [302, 307])
async def test_a_feed_that_moved_for_now_is_asked_at_its_old_address(status):
    site = Site()
    site.pages[URL] = httpx.Response(status, headers={"location": "https://new.example.org/feed"})
    site.pages["https://new.example.org/feed"] = httpx.Response(200, content=rss(item()))
    first = await site.connector().fetch(None)
    site.asked.clear()
    await site.connector().fetch(first.cursor)
    assert [address for address, _ in site.asked] == [URL, "https://new.example.org/feed"]


@pytest.mark.parametrize("url", ["feed", "ftp://feeds.example.org/", "https://", "feeds.example.org/news.xml"])
def test_what_is_no_address_of_a_feed_is_refused_before_anything_is_asked(url):
    with pytest.raises(ValueError, match="https://host/path"):
        RssSettings(url=url)


async def test_another_address_in_the_settings_forgets_what_the_old_one_said():
    site = Site()
    site.pages[URL] = httpx.Response(301, headers={"location": "https://new.example.org/feed"})
    site.pages["https://new.example.org/feed"] = httpx.Response(200, content=rss(item()), headers={"etag": '"abc"'})
    site.pages["https://other.example.org/"] = httpx.Response(200, content=rss(item(2)))
    first = await site.connector().fetch(None)
    assert json.loads(first.cursor)["moved_to"] == "https://new.example.org/feed"
    page = await site.connector(url="https://other.example.org/").fetch(first.cursor)
    assert site.asked[-1][0] == "https://other.example.org/"
    assert "if-none-match" not in site.asked[-1][1]
    assert "moved_to" not in json.loads(page.cursor)


async def test_a_feed_that_is_gone_says_so():
    with pytest.raises(SourceRefusedError, match="gone for good"):
        await kit.make(Rss, kit.answering(b"", 410)).fetch(None)


async def test_a_web_page_is_no_feed():
    with pytest.raises(SourceUnavailableError, match="no RSS or Atom feed"):
        await kit.make(Rss, kit.answering(b"<html><head><title>News</title></head><body>Hi</body></html>")).fetch(None)


class Streamed(httpx.AsyncByteStream):
    """A body that arrives in parts, as from a real server."""

    def __init__(self, *parts):
        self.parts = parts
        self.sent = 0

    async def __aiter__(self):
        for part in self.parts:
            self.sent += 1
            yield part


@pytest.mark.parametrize("coding", ["identity", "gzip"])
async def test_a_feed_that_is_too_large_is_not_read_to_its_end(coding):
    plain = rss(*(item(number) for number in range(2_000)))
    body = gzip.compress(plain) if coding == "gzip" else plain
    assert len(plain) > 150_000
    stream = Streamed(*(body[start : start + 500] for start in range(0, len(body), 500)))
    answer = lambda request: httpx.Response(200, stream=stream, headers={"content-encoding": coding})  # noqa: E731
    with pytest.raises(SourceUnavailableError, match="more than 20000 bytes"):
        await kit.make(Rss, answer, max_bytes=20_000).fetch(None)
    assert stream.sent < len(stream.parts)


def deep(levels=9):
    laughs = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10 if n else "ha" * 10}">' for n in range(levels))
    return f"<!DOCTYPE r [{laughs}]>", f"&a{levels - 1};"


def wide():
    return f'<!DOCTYPE r [<!ENTITY a "{"x" * 50_000}">]>', "&a;" * 2_000


@pytest.mark.parametrize(("declared", "used"), [deep(), wide()], ids=["deep", "wide"])
def test_entities_that_would_grow_without_end_are_not_expanded(declared, used):
    head = f'<?xml version="1.0"?>{declared}<rss version="2.0"><channel>'
    found = only(f"{head}<item><guid>1</guid><title>x</title><description>{used}</description></item></channel></rss>")
    assert len(found.text) < 10_000


def test_entities_from_elsewhere_are_not_fetched(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("of this machine")
    body = f'<!DOCTYPE r [<!ENTITY x SYSTEM "{secret.as_uri()}">]><rss version="2.0"><channel>'
    found = only(f"{body}<item><guid>1</guid><title>x &x;</title></item></channel></rss>")
    assert "machine" not in found.title


def test_a_body_that_is_an_address_is_not_fetched():
    with pytest.raises(Exception, match="no RSS or Atom feed"):
        list(Rss.parse(b"http://127.0.0.1:9/feed.xml", kit.NOW))


@pytest.mark.parametrize(
    ("written", "at"),
    [
        ("Fri, 20 Nov 2026 09:00:00 GMT", datetime(2026, 11, 20, 9, tzinfo=UTC)),
        ("Fri, 20 Nov 26 09:00 EST", datetime(2026, 11, 20, 14, tzinfo=UTC)),
        ("2026-11-20T09:00:00+05:30", datetime(2026, 11, 20, 3, 30, tzinfo=UTC)),
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC)),
        ("Fr, 20 Nov 2026 10:00:00 +0100", datetime(2026, 11, 20, 9, tzinfo=UTC)),
        ("1795166460", datetime(2026, 11, 20, 9, 21, tzinfo=UTC)),
        ("yesterday", kit.NOW),
        ("20/11/2026 09:00", kit.NOW),
        ("0001-01-01T00:00:00Z", kit.NOW),
        ("Thu, 01 Jan 1970 00:00:00 GMT", kit.NOW),
        ("", kit.NOW),
    ],
)
def test_dates_are_read_as_people_write_them_and_are_now_where_they_cannot_be(written, at):
    assert only(rss(item(extra=f"<pubDate>{written}</pubDate>"))).created_at == at


def test_an_entry_without_a_date_is_published_once():
    found = [only(rss(item(number))) for number in (1, 1)]
    assert found[0].revision == found[1].revision == 0
    assert found[0].id == found[1].id


@pytest.mark.parametrize(
    ("entry", "native"),
    [
        ("<guid>https://a.example/1</guid><link>https://a.example/p</link>", "https://a.example/1"),
        ("<link>https://a.example/p</link>", "https://a.example/p"),
        ("<guid isPermaLink='false'>17</guid>", "blog.example.org/17"),
        ("<guid isPermaLink='false'>tag:a.example,2026:1</guid>", "tag:a.example,2026:1"),
    ],
    ids=["guid", "link only", "a number", "a tag URI"],
)
def test_an_entry_is_known_by_its_guid_else_by_its_link(entry, native):
    assert only(rss(f"<item>{entry}<title>x</title></item>")).native_id == native


def test_an_entry_with_nothing_but_words_is_known_by_them():
    one, same, other = (only(rss(f"<item><title>{title}</title></item>")).id for title in ("Leaks", "Leaks", "Boils"))
    assert one == same != other


def test_entries_of_two_feeds_that_both_count_from_one_are_two_mentions():
    heads = [f"<title>t</title><link>https://{site}.example/</link>" for site in ("a", "b")]
    found = {only(rss("<item><guid>1</guid><title>x</title></item>", head=head)).id for head in heads}
    assert len(found) == 2
    assert global_id("1", {}) == "1"


def test_a_guid_is_no_address():
    found = only(rss("<item><guid>1</guid><title>x</title></item>"))
    assert (found.url, found.links) == (None, ())


def test_entities_written_once_twice_and_as_html_become_text():
    description = "Tom &amp;amp; Jerry&lt;br&gt;&amp;lt;3 &#233;&#x1F600; &lt;script&gt;alert()&lt;/script&gt;"
    found = only(rss(item(title="A &amp; B &amp;quot;C&amp;quot;", extra=f"<description>{description}</description>")))
    assert found.title == 'A & B "C" 1'
    assert found.text == "Tom & Jerry\n<3 é😀"


@pytest.mark.parametrize("half", ["&#xD800;", "&#55296;", "&amp;#xdfff;"])
def test_half_a_surrogate_pair_spoils_no_feed(half):
    extra = f"<author>x@example.org (A {half} B)</author><description>tea {half} &#x1F600; &#dead;</description>"
    found = only(rss(item(extra=extra)))
    assert found.text.startswith("tea \ufffd 😀")
    assert found.author.name.startswith("A ")


def atom(entry):
    return f'<feed xmlns="http://www.w3.org/2005/Atom"><title>Kettles</title><id>urn:k</id>{entry}</feed>'


def test_a_later_update_is_a_new_revision():
    times = "<published>2026-11-20T10:00:00Z</published><updated>2026-11-20T{}:00Z</updated>"
    first, later = (
        only(atom(f"<entry><id>urn:1</id><title>x</title>{times.format(at)}</entry>")) for at in ("10:00", "11:30")
    )
    assert (first.revision, first.id) == (0, later.id)
    assert later.revision == int(datetime(2026, 11, 20, 11, 30, tzinfo=UTC).timestamp() * 1000)
    assert later.created_at == first.created_at


def test_where_no_author_is_named_the_site_is():
    assert only(rss(item())).author.name == "Kettle weekly"
    assert only(rss(item(extra="<author>li@example.org (Li Wei)</author>"))).author.name == "Li Wei"


def test_a_reply_belongs_to_what_it_answers():
    reply = '<thr:in-reply-to xmlns:thr="http://purl.org/syndication/thread/1.0" ref="urn:1"/>'
    found = only(atom(f"<entry><id>urn:2</id><title>Re</title>{reply}</entry>"))
    assert (found.in_reply_to, found.key) == ("rss:urn:1", "rss:urn:1")


def test_a_feed_in_an_older_encoding_is_read():
    body = '<?xml version="1.0" encoding="iso-8859-1"?><rss version="2.0"><channel><item><title>Café</title></item>'
    assert only(f"{body}</channel></rss>".encode("iso-8859-1")).title == "Café"


def test_what_is_left_of_a_broken_feed_is_read():
    assert only(rss(item())[: -len("</channel></rss>")]).title == "Acme recalls 1"
    assert only(rss(item(title="Tea & more"))).title == "Tea & more 1"


@pytest.mark.shared
def test_every_recorded_entry_is_read(shared):
    count = 0
    for name, body in recordings.answers(shared / "api" / "rss"):
        parsed = feedparser.parse(body)
        wanted = {}
        for entry in parsed.entries:
            native = entry.get("id") or entry.get("link")
            if native and (entry.get("title") or entry.get("summary")):
                text = f"{entry.get('title', '')} {entry.get('summary', '')}"
                wanted[global_id(native, parsed.feed)] = text
        found = recordings.read(Rss, body)
        assert recordings.missing(wanted, found) == [], name
        assert all(mention.author for mention in found if parsed.feed.get("title"))
        count += len(wanted)
    assert count >= 100


TOMBSTONES = (
    '<feed xmlns="http://www.w3.org/2005/Atom" xmlns:at="http://purl.org/atompub/tombstones/1.0">'
    "<id>https://blog.example.org/</id>{}</feed>"
)


def test_entries_that_a_feed_says_are_gone_are_withdrawn():
    gone = (
        '<at:deleted-entry ref="yt:video:abc" when="2026-11-20T10:00:00+01:00"><link href="https://v.example/abc"/>'
        "<at:by><name>Kim</name></at:by></at:deleted-entry>"
        '<at:deleted-entry ref="7" when="2026-11-20T11:00:00Z"/>'
    )
    link = '<link href="https://blog.example.org/"/>'
    entry = "<entry><id>tag:b,2026:1</id><title>Acme</title><published>2026-11-20T08:00:00Z</published></entry>"
    found = list(Rss.parse(TOMBSTONES.format(link + gone + entry).encode(), kit.NOW))
    assert [(one.id, one.state) for one in found] == [
        ("rss:tag:b,2026:1", State.LIVE),
        ("rss:yt:video:abc", State.DELETED),
        ("rss:blog.example.org/7", State.DELETED),
    ]
    assert found[1].created_at == datetime(2026, 11, 20, 9, tzinfo=UTC)
    assert found[1].revision == int(found[1].created_at.timestamp() * 1000)
    assert found[1].text == ""


async def test_a_deletion_follows_the_text_and_is_told_once():
    site, log = Site(), MemoryLog()
    live = "<entry><id>tag:b,2026:1</id><title>Acme</title><published>2026-11-20T08:00:00Z</published></entry>"
    gone = '<at:deleted-entry ref="tag:b,2026:1" when="2026-11-20T11:00:00Z"/>'
    for body in (live, gone, gone):
        site.pages[URL] = httpx.Response(200, content=TOMBSTONES.format(body).encode())
        await kit.run(site.connector(), 2, log=log)
    assert [(one.native_id, one.state) for one in log.mentions] == [
        ("tag:b,2026:1", State.LIVE),
        ("tag:b,2026:1", State.DELETED),
    ]


@pytest.mark.parametrize(
    "odd",
    [
        '<at:deleted-entry ref="1"/>',
        '<at:deleted-entry ref="1" when="soon"/>',
        '<at:deleted-entry ref="" when="2026-11-20T11:00:00Z"/>',
        '<at:deleted-entry when="2026-11-20T11:00:00Z"/>',
        '<deleted-entry ref="1" when="2026-11-20T11:00:00Z"/>',
        "<title>deleted-entry</title>",
    ],
)
def test_what_is_no_deletion_withdraws_nothing(odd):
    assert list(Rss.parse(TOMBSTONES.format(odd).encode(), kit.NOW)) == []


def test_a_feed_that_declares_entities_or_breaks_off_is_read_as_far_as_it_is_harmless():
    gone = '<at:deleted-entry ref="tag:b,2026:1" when="2026-11-20T11:00:00Z"/>'
    whole = TOMBSTONES.format(gone)
    assert len(tombstones.gone(whole.encode())) == 1
    assert len(tombstones.gone(f'<?xml version="1.0" encoding="utf-16"?>{whole}'.encode("utf-16"))) == 0
    assert len(tombstones.gone(whole.removesuffix("</feed>").encode())) == 1
    assert tombstones.gone(f'<!DOCTYPE x [<!ENTITY a "b">]>{whole}'.encode()) == []
    assert len(tombstones.gone(TOMBSTONES.format(gone * 3_000).encode())) == tombstones.MOST


@pytest.mark.parametrize(
    "part", ['<at:deleted-entry ref="a" when="b">', '<at:deleted-entry ref="a" when="b"><', "<a.a"]
)
def test_deletions_that_are_not_closed_stay_and_take_no_time(part):
    left = part * 100_000  # a way through it that is not straight takes minutes
    body = TOMBSTONES.format('<at:deleted-entry ref="a" when="b"/>' + left).encode()
    assert tombstones.without(body) == TOMBSTONES.format(left).encode()
