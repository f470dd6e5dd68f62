"""The soak, short: what it finds in ten minutes it finds in seconds, only less surely."""

from __future__ import annotations

import pytest

from tests.connectors.soak import FAULTS, Plan, soak, verdict


async def test_many_sources_of_few_credentials_lose_nothing_repeat_nothing_and_stay_within_their_limits():
    plan = Plan(seconds=6.0, sources=40, credentials=4, rate=3.0, per=5.0, most=60, poll=0.2)
    found = await soak(plan, seed=3)
    assert verdict(found, growth=1.3) == []
    assert found["items"] >= 40 * 17
    assert found["kinds_of_faults"] == len(FAULTS)
    assert found["faults"] > 0.1 * found["requests"]
    assert (found["kills"] > 5, found["restarts"] > 0) == (True, True)


@pytest.mark.parametrize(
    "wrong", [{"wrong": ["item 1 of 0 came 2 times"]}, {"beyond": ["client-1: 61"]}, {"memory_last_mb": 120.0}]
)
def test_the_verdict_sees_what_is_wrong(wrong):
    well = {"wrong": [], "beyond": [], "memory_first_mb": 100.0, "memory_last_mb": 101.0}
    assert verdict(well) == []
    assert len(verdict({**well, **wrong})) == 1
