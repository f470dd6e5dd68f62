"""HTTP of a role, and many roles' metrics as one page."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from pipeline.contract.errors import ConfigError
from pipeline.contract.metrics import Metrics
from pipeline.runtime.health import Health, Server, end_when_dead, endpoint, federate, merge, page, serve

PROMETHEUS_ACCEPT = (
    "application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)


def get(url: str, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=5)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def server(health: Health, metrics: Metrics) -> Iterator[Server]:
    with serve("127.0.0.1", 0, health, metrics.registry) as running:
        yield running


def test_a_role_without_complaints_is_alive_and_ready(server: Server) -> None:
    for path in ("/healthz", "/readyz"):
        status, headers, body = get(server.address, path)
        assert (status, json.loads(body)) == (200, {"status": "ok"})
        assert headers["Content-Type"] == "application/json"


def test_a_failing_check_is_503_with_its_reason(server: Server, health: Health) -> None:
    health.alive("loop", lambda: "no progress for 70 s")
    status, _, body = get(server.address, "/healthz")
    assert status == 503
    assert json.loads(body) == {"status": "failing", "reasons": {"loop": "no progress for 70 s"}}


def test_a_role_that_is_not_ready_is_still_alive(server: Server, health: Health) -> None:
    health.ready("partitions", lambda: "none assigned yet")
    assert get(server.address, "/healthz")[0] == 200
    status, _, body = get(server.address, "/readyz")
    assert status == 503
    assert json.loads(body)["reasons"] == {"partitions": "none assigned yet"}


def test_a_role_that_is_not_alive_is_not_ready(server: Server, health: Health) -> None:
    health.alive("loop", lambda: "stuck")
    assert get(server.address, "/readyz")[0] == 503


def test_a_check_that_raises_is_a_reason_and_does_not_show_its_message(server: Server, health: Health) -> None:
    def broken() -> str | None:
        raise RuntimeError("password=hunter2")

    health.alive("broker", broken)
    status, _, body = get(server.address, "/healthz")
    assert status == 503
    assert b"RuntimeError" in body
    assert b"hunter2" not in body


def test_checks_are_asked_each_time(server: Server, health: Health) -> None:
    answers = iter(["starting", None])
    health.ready("start", lambda: next(answers))
    assert [get(server.address, "/readyz")[0] for _ in range(2)] == [503, 200]


def test_metrics_are_plain_text_for_who_does_not_say(server: Server, metrics: Metrics) -> None:
    metrics.received.labels("triage").inc(3)
    status, headers, body = get(server.address, "/metrics")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    samples = {s.name: s.value for f in parse_text(body.decode()) for s in f.samples}
    assert samples["earshot_stage_messages_received_total"] == 3


def test_metrics_are_openmetrics_for_prometheus(server: Server, metrics: Metrics) -> None:
    metrics.stage_seconds.labels("triage").observe(0.2)
    _, headers, body = get(server.address, "/metrics", Accept=PROMETHEUS_ACCEPT)
    assert headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    families = {family.name: family for family in parse_openmetrics(body.decode())}  # type: ignore[no-untyped-call]
    count = [s.value for s in families["earshot_stage_duration_seconds"].samples if s.name.endswith("_count")]
    assert count == [1.0]


def test_creation_times_are_left_out(server: Server, metrics: Metrics) -> None:
    metrics.received.labels("triage").inc()
    for accept in ("", PROMETHEUS_ACCEPT):
        assert b"_created" not in get(server.address, "/metrics", Accept=accept)[2]


def test_metrics_that_cannot_be_written_are_a_500_and_nothing_else_stops(health: Health) -> None:
    def broken() -> bytes:
        raise ValueError("no")

    with serve("127.0.0.1", 0, health, broken) as server:
        assert get(server.address, "/metrics")[0] == 500
        assert get(server.address, "/healthz")[0] == 200


def test_what_each_source_does_and_why_is_a_page_of_its_own(health: Health, server: Server) -> None:
    assert json.loads(get(server.address, "/sources")[2]) == {"sources": {}}
    health.source("hn", "unreachable", "hn.algolia.com does not answer in time")
    health.source("forum", "refused", "the token is not valid: make a new one")
    health.source("hn", "listening", None)
    status, _, body = get(server.address, "/sources")
    assert status == 200
    assert json.loads(body)["sources"] == {
        "hn": {"state": "listening", "reason": None},
        "forum": {"state": "refused", "reason": "the token is not valid: make a new one"},
    }


def test_an_unknown_page_names_the_pages_there_are(server: Server) -> None:
    status, _, body = get(server.address, "/favicon.ico")
    assert status == 404
    assert json.loads(body)["pages"] == ["/healthz", "/readyz", "/metrics", "/sources"]


def test_a_query_does_not_hide_a_page(server: Server) -> None:
    assert get(server.address, "/healthz?verbose=1")[0] == 200


def test_nothing_can_be_written(server: Server) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        status, headers, _ = get(server.address, "/healthz", method)
        assert (status, headers["Allow"]) == (405, "GET, HEAD")


def test_head_has_no_body(server: Server) -> None:
    status, headers, body = get(server.address, "/healthz", "HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 0


def test_the_python_version_is_not_told(server: Server) -> None:
    assert get(server.address, "/healthz")[1]["Server"] == "earshot"


def test_a_connection_that_says_nothing_holds_up_nobody(server: Server) -> None:
    place = urlsplit(server.address)
    with socket.create_connection((place.hostname or "", place.port or 0)):
        assert get(server.address, "/healthz")[0] == 200


def test_a_port_in_use_is_a_config_error_that_names_port_and_option(server: Server, health: Health) -> None:
    with pytest.raises(ConfigError) as error:
        serve("127.0.0.1", server.port, health, CollectorRegistry())
    assert str(server.port) in str(error.value)
    assert "--http" in str(error.value)


def test_an_address_of_another_machine_is_a_config_error(health: Health) -> None:
    with pytest.raises(ConfigError, match=r"192\.0\.2\.1:0"):
        serve("192.0.2.1", 0, health, CollectorRegistry())


def test_after_close_the_port_is_free_again(health: Health) -> None:
    first = serve("127.0.0.1", 0, health, CollectorRegistry())
    first.close()
    first.close()
    with serve("127.0.0.1", first.port, health, CollectorRegistry()) as second:
        assert second.port == first.port


def test_an_ipv6_address_is_written_in_brackets(health: Health) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        server = serve("::1", 0, health, CollectorRegistry())
    except ConfigError:
        pytest.skip("no IPv6 loopback here")
    with server:
        assert server.address == f"http://[::1]:{server.port}"
        assert get(server.address, "/healthz")[0] == 200


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:9477", ("127.0.0.1", 9477)),
        (":0", ("127.0.0.1", 0)),
        ("[::1]:80", ("::1", 80)),
        ("0.0.0.0:1", ("0.0.0.0", 1)),
    ],
)
def test_an_address_is_host_and_port(text: str, expected: tuple[str, int]) -> None:
    assert endpoint(text) == expected


@pytest.mark.parametrize(
    "text", ["9477", "localhost", "localhost:", "localhost:http", "localhost:70000", "h:-1", "h:²"]
)
def test_an_address_without_a_port_is_a_config_error_that_shows_one(text: str) -> None:
    with pytest.raises(ConfigError, match=r"127\.0\.0\.1:9477"):
        endpoint(text)


def test_a_process_that_stays_dead_ends_itself_with_the_reasons(health: Health) -> None:
    ended: list[Mapping[str, str]] = []
    called = threading.Event()

    def end(reasons: Mapping[str, str]) -> None:
        ended.append(reasons)
        called.set()

    health.alive("loop", lambda: "stuck")
    end_when_dead(health, end, patience=0.03, every=0.01)
    assert called.wait(10)
    assert ended == [{"loop": "stuck"}]


def test_a_process_that_recovers_in_time_does_not_end(health: Health) -> None:
    ended: list[Mapping[str, str]] = []
    done = threading.Event()
    answers = iter(["stuck", "stuck", None] * 5)

    def check() -> str | None:
        try:
            return next(answers)
        except StopIteration:
            done.set()
            return None

    health.alive("loop", check)
    stop = end_when_dead(health, ended.append, patience=0.03, every=0.01)
    assert done.wait(10)
    stop.set()
    assert ended == []


# many roles as one page


def worker(stage: str, received: int, seconds: float) -> Metrics:
    metrics = Metrics()
    metrics.received.labels(stage).inc(received)
    metrics.stage_seconds.labels(stage).observe(seconds)
    return metrics


def test_two_workers_of_a_role_keep_their_own_series() -> None:
    first, second = worker("triage", 3, 0.02), worker("triage", 4, 7.0)
    with (
        serve("127.0.0.1", 0, Health(), first.registry) as one,
        serve("127.0.0.1", 0, Health(), second.registry) as two,
    ):
        children = [
            ({"role": "triage", "worker": str(number)}, server.address + "/metrics")
            for number, server in enumerate((one, two))
        ]
        body = federate(children).decode()
    values = {
        (s.labels["role"], s.labels["worker"]): s.value
        for family in parse_text(body)
        for s in family.samples
        if s.name == "earshot_stage_messages_received_total"
    }
    assert values == {("triage", "0"): 3, ("triage", "1"): 4}


def test_a_family_has_one_help_and_one_type_however_many_children() -> None:
    body = merge([({"worker": str(n)}, page(worker("triage", n, 0.1).registry)) for n in range(5)]).decode()
    heads = [line for line in body.splitlines() if line.startswith("#")]
    assert len(heads) == len({tuple(line.split(" ")[1:3]) for line in heads})
    names = [family.name for family in parse_text(body)]
    assert len(names) == len(set(names))


def test_histograms_stay_whole_after_merging() -> None:
    body = merge(
        [({"worker": str(n)}, page(worker("triage", 1, seconds).registry)) for n, seconds in enumerate((0.02, 7.0))]
    )
    (family,) = [f for f in parse_text(body.decode()) if f.name == "earshot_stage_duration_seconds"]
    assert family.type == "histogram"
    for number, seconds in (("0", 0.02), ("1", 7.0)):
        mine = [s for s in family.samples if s.labels["worker"] == number]
        buckets = [(float(s.labels["le"]), s.value) for s in mine if s.name.endswith("_bucket")]
        assert [bound for bound, _ in buckets] == sorted(bound for bound, _ in buckets)
        assert all(count == (1 if seconds <= bound else 0) for bound, count in buckets)
        assert [s.value for s in mine if s.name.endswith("_sum")] == [seconds]
        assert [s.value for s in mine if s.name.endswith("_count")] == [1]


def test_the_callers_own_page_comes_along_without_labels() -> None:
    own = CollectorRegistry()
    Gauge("earshot_workers", "Workers.", ["stage"], registry=own).labels("triage").set(2)
    body = federate([], page(own)).decode()
    (sample,) = [s for f in parse_text(body) for s in f.samples]
    assert (sample.labels, sample.value) == ({"stage": "triage"}, 2)


def test_a_child_that_is_gone_or_hangs_hides_no_other() -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    gone = socket.create_server(("127.0.0.1", 0))
    gone_port = gone.getsockname()[1]
    gone.close()
    try:
        with serve("127.0.0.1", 0, Health(), worker("triage", 9, 0.1).registry) as server:
            body = federate(
                [
                    ({"worker": "hangs"}, f"http://127.0.0.1:{listening.getsockname()[1]}/metrics"),
                    ({"worker": "gone"}, f"http://127.0.0.1:{gone_port}/metrics"),
                    ({"worker": "odd"}, "file:///etc/hostname"),
                    ({"worker": "answers"}, server.address + "/metrics"),
                ],
                timeout=0.3,
            ).decode()
    finally:
        listening.close()
    assert {s.labels["worker"] for f in parse_text(body) for s in f.samples} == {"answers"}


def test_a_page_that_breaks_off_is_left_out() -> None:
    with serve("127.0.0.1", 0, Health(), lambda: b"# HELP a b\n# TYPE a gauge\na 1\na{x=") as server:
        assert federate([({"worker": "0"}, server.address + "/metrics")]) == b""


def test_children_are_asked_at_the_same_time() -> None:
    together = threading.Barrier(3)

    def meet() -> bytes:
        together.wait(timeout=5)
        return b"# HELP a b\n# TYPE a gauge\na 1\n"

    servers = [serve("127.0.0.1", 0, Health(), meet) for _ in range(3)]
    try:
        body = federate([({"worker": str(n)}, s.address + "/metrics") for n, s in enumerate(servers)], timeout=5)
    finally:
        for server in servers:
            server.close()
    assert body.count(b"\na{") == 3


def test_a_federated_page_can_be_served() -> None:
    with (
        serve("127.0.0.1", 0, Health(), worker("triage", 9, 0.1).registry) as child,
        serve("127.0.0.1", 0, Health(), lambda: federate([({"role": "triage"}, child.address + "/metrics")])) as up,
    ):
        _, headers, body = get(up.address, "/metrics", Accept=PROMETHEUS_ACCEPT)
    assert headers["Content-Type"].startswith("text/plain")
    assert b'role="triage"' in body


label_values = st.text(st.characters(codec="utf-8"), max_size=20)


@given(own=label_values, added=label_values)
def test_label_values_survive_whatever_they_contain(own: str, added: str) -> None:
    registry = CollectorRegistry()
    Counter("a", "Help with \\ and\nbreak.", ["b"], registry=registry).labels(own).inc(2)
    Gauge("bare", "No labels.", registry=registry).set(1.5)
    Histogram("h", "Buckets.", ["b"], registry=registry, buckets=(1.0,)).labels(own).observe(0.5)
    families = {f.name: f for f in parse_text(merge([({"role": added}, page(registry))]).decode())}
    (sample,) = families["a"].samples
    assert (sample.labels, sample.value) == ({"b": own, "role": added}, 2)
    assert families["a"].documentation == "Help with \\ and\nbreak."
    (bare,) = families["bare"].samples
    assert (bare.labels, bare.value) == ({"role": added}, 1.5)
    assert {s.labels["role"] for s in families["h"].samples} == {added}


def test_no_declared_metric_has_the_labels_that_federation_adds() -> None:
    metrics = Metrics()
    for collector in vars(metrics).values():
        assert not {"role", "worker"} & set(getattr(collector, "_labelnames", ()))
