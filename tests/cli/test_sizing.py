"""What many mentions need, on paper: arithmetic that can be checked by hand."""

from __future__ import annotations

import pytest

from pipeline.bench.sizing import Costs, Terms, need

COSTS = Costs(worker=60e-6, broker=30e-6, stored=2_000)


def test_a_thousand_a_second_by_hand() -> None:
    found = need(1_000, COSTS, Terms(busy=0.5, replication=3, days=10, core_month=10, gigabyte_month=0.5))
    assert found.workers == 1  # 0.12 of a core
    assert found.partitions == 4
    assert found.broker_cores == pytest.approx(0.18)
    assert found.brokers == 3
    assert found.network == pytest.approx(6.0)
    assert found.disk == pytest.approx(5_184)
    assert found.money == pytest.approx((1 + 6) * 10 + 5_184 * 0.5)


@pytest.mark.parametrize("rate", [10_000, 100_000])
def test_workers_never_outnumber_partitions_and_may_be_doubled(rate: int) -> None:
    found = need(rate, COSTS)
    assert found.partitions >= 2 * found.workers
    assert found.workers * Terms().busy >= rate * COSTS.worker
    assert found.brokers * Terms().cores_of_broker >= found.broker_cores


def test_ten_times_as_much_takes_ten_times_as_much() -> None:
    few, many = need(10_000, COSTS), need(100_000, COSTS)
    assert many.disk == pytest.approx(10 * few.disk)
    assert many.broker_cores == pytest.approx(10 * few.broker_cores)
    assert 9 * few.workers < many.workers <= 10 * few.workers
