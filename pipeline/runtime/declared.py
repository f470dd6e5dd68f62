"""The map of `pipeline.topology` for one configuration, as topics, as text and as Mermaid."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline import topology
from pipeline.config.model import Config
from pipeline.topology import STAGES, Topic


def declared(config: Config) -> tuple[Topic, ...]:
    """Return the topics of this configuration."""
    return topology.topics(
        tuple(config.departments),
        partitions=config.topics.partitions,
        replication=config.topics.replication,
        retention=config.retention.mentions,
        raw_retention=config.retention.raw,
    )


def span(seconds: float | None) -> str:
    """Return a duration as people write it: 30d, 1h, for ever."""
    if seconds is None:
        return "for ever"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"


def table(topics: Sequence[Topic]) -> str:
    """Return stages and topics as text."""
    lines = ["A mention's way", ""]
    for stage in STAGES:
        lines.append(f"  {stage.name} ({stage.engine}): {stage.does}")
        lines.append(f"      reads  {', '.join(stage.reads)}")
        lines.append(f"      writes {', '.join(stage.writes)}")
    width = max(len(topic.name) for topic in topics)
    lines += ["", f"{'topic':<{width}}  {'event':<14} {'key':<20} {'parts':>5}  {'kept':<14} {'for':<9} what"]
    lines += [
        f"{t.name:<{width}}  {t.event.__name__ if t.event else '(private)':<14} {t.key:<20} {t.partitions:>5}  {t.cleanup:<14} {span(t.retention):<9} {t.means}"
        for t in topics
    ]
    return "\n".join(lines)


def mermaid(config: Config) -> str:
    """Return the map as a Mermaid flow chart, the one that stands in the README."""
    departments = [*config.departments, topology.REVIEW]
    names = {topology.DEPARTMENT + "*": [topology.DEPARTMENT + name for name in departments]}
    lines = ["flowchart LR", "  sources([sources]) --> connectors"]
    for stage in STAGES:
        lines.append(f'  {stage.name}["{stage.name}<br/><small>{stage.engine}</small>"]')
        arrows = [(topic, stage.name) for topic in stage.reads if topic not in stage.writes]
        arrows += [(stage.name, topic) for written in stage.writes for topic in names.get(written, [written])]
        lines += [f"  {_node(left)} --> {_node(right)}" for left, right in arrows]
    return "\n".join([*lines, "  notify --> oncall([on-call])"])


def _node(name: str) -> str:
    return name if name in {stage.name for stage in STAGES} else f"{name.replace('-', '_')}[({name})]"
