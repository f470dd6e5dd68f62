"""What connectors ask is what the platforms' own descriptions allow, and what these answer is read: through Prism.

The descriptions lie beside this checkout. LinkedIn's describes none of what is asked, Telegram's and Meta's are lists of
fields and not of requests: these are not here.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from connectors import registry
from pipeline.contract.errors import EarshotError, InvalidMessageError
from tests.connectors import kit, prism

LEMMY = Path("lemmy/spec/lemmy_spec.yaml")
DISCOURSE = Path("discourse/spec/discourse-openapi.json")
X = Path("x/spec/x-openapi-2.112.json")
MASTODON = Path("mastodon/spec/gotosocial-mastodon-compatible-api.yaml")
STACK = Path("stackexchange/spec/stackexchange-2.3-api-evangelist.yaml")
YELP = Path("yelp/spec/yelp-reviews-api-evangelist.yml")
FOURSQUARE = Path("foursquare/spec/foursquare-tips-api-evangelist.yml")
YOUTUBE = Path("youtube/spec/youtube.v3.discovery.json")
PLAY = Path("google-play/spec/androidpublisher.v3.reviews.discovery.json")
CONNECT = Path("app-store/spec/app-store-connect-3.7.0.customerReviews.json")

ASKED = {
    LEMMY: ("/post/list", "/comment/list", "/search", "/post", "/comment"),
    DISCOURSE: ("/posts.json", "/search.json", "/posts/{id}.json", "/t/{id}.json", "/t/{id}/posts.json"),
    X: ("/2/tweets/search/recent", "/2/tweets/search/all", "/2/tweets", "/2/tweets/search/stream/rules"),
    MASTODON: ("/api/v1/timelines/tag/{tag_name}", "/api/v1/timelines/public", "/api/{api_version}/search"),
    STACK: ("/search/advanced", "/questions", "/questions/{ids}/answers", "/posts/{ids}/comments"),
    YELP: ("/v3/businesses/{business_id_or_alias}/reviews",),
    FOURSQUARE: ("/places/{fsq_place_id}/tips",),
    YOUTUBE: ("/youtube/v3/search", "/youtube/v3/commentThreads", "/youtube/v3/videos", "/youtube/v3/comments"),
    PLAY: ("/androidpublisher/v3/applications/{packageName}/reviews",),
    CONNECT: ("/v1/apps/{id}/customerReviews", "/v1/customerReviews/{id}"),
}


@dataclass(frozen=True)
class Case:
    """A source's settings, the requests that must come of them, and how many texts their answers hold at least."""

    source: str
    spec: Path
    asks: tuple[str, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    reads: int = 1
    refused: tuple[str, ...] = ()
    """What the description does not allow and the platform's own pages do."""

    def __str__(self) -> str:
        return f"{self.source}-{'-'.join(map(str, self.settings)) or 'example'}"


CASES = [
    Case("lemmy", LEMMY, ("/post/list", "/comment/list"), reads=2),
    Case("lemmy", LEMMY, ("/search",), {"query": "kettle"}),
    Case("discourse", DISCOURSE, ("/posts.json",)),
    Case(
        "discourse", DISCOURSE, ("/search.json",), {"query": "kettle"}, reads=0
    ),  # it does not say what a post found is
    Case("x", X, ("/2/tweets/search/recent",)),
    Case("x", X, ("/2/tweets/search/all",), {"archive": True, "reposts": True}),
    Case("x-stream", X, ("/2/tweets/search/stream/rules",), reads=0),
    Case("mastodon", MASTODON, ("/api/v1/timelines/tag/acme",)),
    Case("mastodon", MASTODON, ("/api/v1/timelines/public",), {"tags": []}),
    Case("mastodon-search", MASTODON, ("/api/v2/search",)),
    Case("stackexchange", STACK, ("/search/advanced", "/questions/11227809/answers"), reads=2),
    Case("stackexchange", STACK, ("/questions",), {"tags": [], "answers": False, "comments": True}),
    Case("yelp", YELP, ("/v3/businesses/acme-kettles-portland/reviews",), reads=0, refused=("sort_by",)),
    Case("foursquare", FOURSQUARE, ("/places/4b0000000000000000000001/tips",)),
    Case("youtube", YOUTUBE, ("/youtube/v3/commentThreads",)),
    Case("youtube", YOUTUBE, ("/youtube/v3/search",), {"query": "acme kettle", "channels": []}, reads=0),
    Case("google-play", PLAY, ("/androidpublisher/v3/applications/org.example.kettle/reviews",)),
    Case(
        "app-store",
        CONNECT,
        ("/v1/apps/900000001/customerReviews",),
        {"key": {"env": "EXAMPLE_ASC_KEY", "made": "private-key"}, "key_id": "KEY1", "issuer": "issuer-1"},
    ),
]


@pytest.fixture(scope="module")
def answered(shared, tmp_path_factory):
    """Where each description is answered for, by one Prism."""
    specs = {str(path): (shared / "api" / path, asked) for path, asked in ASKED.items()}
    with prism.answering(specs, tmp_path_factory.mktemp("prism")) as places:
        yield places


@pytest.mark.shared
@pytest.mark.parametrize("case", CASES, ids=str)
async def test_what_is_asked_is_what_the_description_allows_and_its_answer_is_read(answered, case):
    kind = registry.find({"app-store": "appstore"}.get(case.source, case.source))
    transport = prism.Prism(*answered[str(case.spec)])
    made = kit.make(kind, transport=transport, **case.settings)
    with contextlib.suppress(EarshotError, StopAsyncIteration):  # what a description makes up need not hold together
        await (made.fetch(None) if hasattr(made, "fetch") else anext(made.listen(None)))
    await transport.aclose()
    paths = [answer.request.url.path for answer in transport.said]
    assert set(case.asks) <= set(paths)
    assert transport.violations(case.refused) == []
    found = set()
    for answer in transport.said:
        with contextlib.suppress(InvalidMessageError):
            found |= {
                (one.id, one.text, one.title) for one in kind.parse(answer.content, kit.NOW) if one.text or one.title
            }
    assert len(found) >= case.reads
    if case.refused:  # nothing else than this one may be allowed by being named
        assert transport.violations() != []


@pytest.mark.shared
async def test_what_a_description_does_not_allow_is_noticed(answered):
    transport = prism.Prism(*answered[str(LEMMY)])
    made = kit.make(registry.find("lemmy"), transport=transport)
    with contextlib.suppress(EarshotError):
        await made.http.get_json("https://lemmy.example.org/api/v3/post/list", {"sort": "Newest"})
    await transport.aclose()
    (said,) = transport.violations()
    assert "sort" in said
