"""The short form of `make chaos`: some ninety seconds, a dozen faults, the same account."""

import pytest

from tests.chaos.report import table
from tests.chaos.run import Plan, run


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(420)
def test_a_dozen_faults_lose_nothing_and_repeat_nothing(tmp_path, monkeypatch):
    for name in ("CHAOS_HOOK_SECRET", "EARSHOT_FAUST_WEB", "TMPDIR"):
        monkeypatch.setenv(name, "")  # so that what the run sets is put back
    result = run(Plan(seed=5, faults=12, minutes=1.3, rate=40), tmp_path, say=lambda _: None)
    assert result.account.wrong == {}, table(result)
    assert result.failed == []
    assert result.slow_stops == []
    assert result.account.sums["on mentions-enriched"] > 1000
    assert result.account.sums["lessons"] > 100
