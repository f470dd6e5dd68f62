"""Dead letters: marked, read back, limited."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.contract.errors import DeadLetterLimitError
from pipeline.runtime.dead_letters import Limit, mark, origin, original

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)


def marked(headers=None, **changes):
    facts = {
        "topic": "mentions",
        "partition": 3,
        "offset": 41,
        "reason": "invalid",
        "error": "`text` is no string",
        "stage": "triage",
        "now": NOW,
    }
    return mark(headers, **{**facts, **changes})


def test_a_dead_letter_says_where_it_came_from_and_why():
    found = origin(marked())
    assert (found.topic, found.partition, found.offset) == ("mentions", 3, 41)
    assert (found.reason, found.error, found.stage, found.at) == ("invalid", "`text` is no string", "triage", NOW)


def test_the_headers_it_came_with_are_kept_and_ours_are_taken_off_again():
    came_with = [("ce_id", b"1"), ("other", None)]
    assert original(marked(came_with)) == came_with


def test_a_letter_that_dies_twice_carries_only_the_last_account():
    twice = marked(marked(), offset=99)
    assert origin(twice).offset == 99
    assert sum(name == "dlq_offset" for name, _ in twice) == 1


@given(st.lists(st.tuples(st.text(max_size=8), st.none() | st.binary(max_size=8))))
def test_any_headers_survive_marking(headers):
    kept = [(name, value) for name, value in headers if not name.startswith("dlq_")]
    assert original(marked(headers)) == kept


@pytest.mark.parametrize("broken", [[("dlq_partition", b"x")], [("dlq_at", b"yesterday")]])
def test_broken_headers_have_no_origin(broken):
    assert origin(broken) is None


def test_few_dead_letters_never_stop_a_worker():
    limit = Limit(0.5, 100)
    for _ in range(50):
        limit.count(100, 50)


def test_a_worker_stops_when_most_of_a_full_window_is_dead():
    limit = Limit(0.5, 100)
    limit.count(60, 40)  # the window is not full yet
    with pytest.raises(DeadLetterLimitError, match="mentions-dlq --dry-run"):
        limit.count(60, 40)


def test_old_batches_leave_the_window():
    limit = Limit(0.5, 100)
    limit.count(100, 0)
    limit.count(100, 50)
    with pytest.raises(DeadLetterLimitError):
        limit.count(100, 51)


def test_a_single_batch_larger_than_the_window_counts_whole():
    with pytest.raises(DeadLetterLimitError):
        Limit(0.5, 10).count(2000, 1001)
