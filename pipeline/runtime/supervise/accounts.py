"""What was processed, read from the roles' own metrics: for the screen, for /readyz and for the last words."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families


@dataclass
class Account:
    """Sums over all workers."""

    received: dict[str, float] = field(default_factory=lambda: defaultdict(float))  # by stage
    processed: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    discarded: dict[str, dict[str, float]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(float)))
    dead: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    routed: dict[str, float] = field(default_factory=lambda: defaultdict(float))  # by department
    published: dict[str, float] = field(default_factory=lambda: defaultdict(float))  # by connector
    heartbeat: dict[str, float] = field(default_factory=lambda: defaultdict(float))  # by stage, epoch seconds

    def add(self, exposition: str) -> None:
        """Add one worker's /metrics text."""
        for family in text_string_to_metric_families(exposition):
            for sample in family.samples:
                self._sample(sample.name, sample.labels, sample.value)

    def _sample(self, name: str, labels: dict[str, str], value: float) -> None:
        stage = labels.get("stage", "")
        if name == "earshot_stage_messages_received_total":
            self.received[stage] += value
        elif name == "earshot_stage_messages_processed_total":
            self.processed[stage] += value
        elif name == "earshot_stage_messages_discarded_total" and value:
            self.discarded[stage][labels["reason"]] += value
        elif name == "earshot_dead_letters_total":
            self.dead[stage] += value
        elif name == "earshot_mentions_routed_total":
            self.routed[labels["department"]] += value
        elif name == "earshot_mentions_published_total":
            self.published[labels["connector"]] += value
        elif name == "earshot_heartbeat_timestamp_seconds":
            self.heartbeat[stage] = max(self.heartbeat[stage], value)

    def words(self) -> str:
        """Return the account of triage in one sentence."""
        received = self.received["triage"]
        beats = self.discarded["triage"].get("heartbeat", 0.0)
        set_aside = {reason: n for reason, n in self.discarded["triage"].items() if reason != "heartbeat"}
        departments = ", ".join(f"{name} {n:,.0f}" for name, n in sorted(self.routed.items()) if n) or "none"
        reasons = ", ".join(f"{reason} {n:,.0f}" for reason, n in sorted(set_aside.items())) or "none"
        return (
            f"{received - beats:,.0f} mentions processed: {self.processed['triage']:,.0f} routed ({departments}); "
            f"discarded: {reasons}; dead letters: {self.dead['triage']:,.0f}"
        )
