"""Metrics: a batch of values is counted as the same values one by one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from pipeline.contract.metrics import Distribution

BUCKETS = (0.1, 1.0, 60.0)


def distribution() -> tuple[CollectorRegistry, Distribution]:
    registry = CollectorRegistry()
    return registry, Distribution("age_seconds", "Age.", ("stage",), registry=registry, buckets=BUCKETS)


def samples(registry: CollectorRegistry) -> dict[bytes, float]:
    lines = generate_latest(registry).splitlines()
    found = (line.rpartition(b" ") for line in lines if not line.startswith(b"#") and b"_created" not in line)
    return {name: float(value) for name, _, value in found}


@given(st.lists(st.one_of(st.sampled_from([0.0, -1.0, *BUCKETS]), st.integers(-100, 100).map(float))))
def test_many_values_at_once_are_the_same_as_one_by_one(amounts: list[float]) -> None:
    (many, at_once), (single, one_by_one) = distribution(), distribution()
    at_once.labels("triage").observe_all(amounts)
    child = one_by_one.labels("triage")
    for amount in amounts:
        child.observe(amount)
    assert samples(many) == pytest.approx(samples(single))  # since Python 3.12 a sum is more exact than adding up
