"""What the dashboards show. A row is a question, in the order of the flow; `build.py` makes them into JSON."""

# ruff: noqa: INP001 - a script and its content beside what they make, not a package

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

Show = Literal["lines", "stacked", "figure", "bars"]


@dataclass(frozen=True)
class Panel:
    """One answer: expressions with the legend of their series, and the unit they are in (Grafana's unit ids)."""

    title: str
    description: str
    unit: str
    series: dict[str, str]  # legend: PromQL
    show: Show = "lines"
    width: int = 12  # of 24
    warn_at: float | None = None
    alarm_at: float | None = None
    decimals: int | None = None


@dataclass(frozen=True)
class Row:
    """One question and the panels that answer it."""

    question: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Board:
    """One dashboard. `choices` are the variables at its top: a label and the metric that has its values."""

    uid: str
    title: str
    description: str
    rows: tuple[Row, ...]
    choices: dict[str, str] = field(default_factory=dict)


def quantile(share: float, histogram: str, by: str, where: str = "") -> str:
    """Return the PromQL of a histogram's quantile."""
    return f"histogram_quantile({share}, sum by (le, {by}) (rate({histogram}_bucket{where}[$__rate_interval])))"


OVERVIEW: Final = Board(
    "earshot-overview",
    "earshot: overview",
    "Is earshot listening, and does everyone get what is theirs?",
    (
        Row(
            "Is everything running?",
            (
                Panel(
                    "Operational alerts",
                    "Operational alerts that fire now. Each has a heading in deploy/runbook.md.",
                    "short",
                    {"firing": 'count(ALERTS{alertname=~"Listening.+", alertstate="firing"}) or vector(0)'},
                    "figure",
                    4,
                    alarm_at=1,
                ),
                Panel(
                    "Parts that answer",
                    "Addresses of earshot that answer Prometheus: one with `earshot up`, one a worker in a cluster.",
                    "short",
                    {"answering": 'sum(up{job="earshot"})'},
                    "figure",
                    4,
                ),
                Panel(
                    "Workers",
                    "Running workers of each stage, as `earshot up` counts them; in a cluster those that answer Prometheus.",
                    "short",
                    {
                        "{{stage}}{{role}}": 'sum by (stage) (earshot_workers) or sum by (role) (up{job="earshot", role!=""})'
                    },
                    "figure",
                    6,
                ),
                Panel(
                    "Last heartbeat",
                    "Seconds since a heartbeat last passed each stage. Heartbeats are sent every few seconds.",
                    "s",
                    {"{{stage}}": "earshot:heartbeat_age_seconds:min"},
                    "figure",
                    6,
                    warn_at=30,
                    alarm_at=60,
                ),
                Panel(
                    "Version",
                    "The versions that run. More than one outside an upgrade means that a worker was forgotten.",
                    "short",
                    {"{{version}}": "count by (version) (earshot_build_info)"},
                    "figure",
                    4,
                ),
            ),
        ),
        Row(
            "Are sources answering?",
            (
                Panel(
                    "Sources by state",
                    "How many sources are in which state.",
                    "short",
                    {"{{state}}": "sum by (state) (max by (connector, state) (earshot_source_state))"},
                    "stacked",
                ),
                Panel(
                    "Since a source last answered",
                    "Seconds since each source's last good answer.",
                    "s",
                    {
                        "{{connector}}": "time() - max by (connector) (earshot_source_last_success_timestamp_seconds > 0)"
                    },
                ),
            ),
        ),
        Row(
            "Is data moving?",
            (
                Panel(
                    "Messages by stage",
                    "Messages each stage reads. Heartbeats keep it above 0.",
                    "cps",
                    {"{{stage}}": "earshot:stage_messages_received:rate5m"},
                ),
                Panel(
                    "Mentions by department",
                    "Mentions routed to each department; one mention may go to several.",
                    "cps",
                    {"{{department}}": "sum by (department) (rate(earshot_mentions_routed_total[$__rate_interval]))"},
                    "stacked",
                ),
            ),
        ),
        Row(
            "How old is it?",
            (
                Panel(
                    "Age of mentions, 95 %",
                    "From collected to committed by the stage: 95 % of the mentions are younger.",
                    "s",
                    {"{{stage}}": "earshot:mention_age_seconds:p95_5m"},
                    warn_at=60,
                ),
                Panel(
                    "Heartbeat's way",
                    "How long the last heartbeat took up to each stage.",
                    "s",
                    {"{{stage}}": "max by (stage) (earshot_heartbeat_duration_seconds)"},
                    warn_at=10,
                ),
            ),
        ),
        Row(
            "Was anything lost?",
            (
                Panel(
                    "Unaccounted for",
                    "Received minus processed, discarded and dead-lettered. Anything but 0 that stays is a loss.",
                    "short",
                    {"{{stage}}": "sum by (stage) (earshot:stage_messages_unaccounted:sum)"},
                    alarm_at=1,
                ),
                Panel(
                    "Dead letters",
                    "Messages that could not be carried out, in the time shown. They are kept and can be replayed.",
                    "short",
                    {"{{stage}}": "sum by (stage) (increase(earshot_dead_letters_total[$__range]))"},
                    "bars",
                    warn_at=1,
                ),
            ),
        ),
        Row(
            "Who was told?",
            (
                Panel(
                    "Incidents that fire",
                    "Open incidents of all brands.",
                    "short",
                    {
                        "{{severity}}": "sum by (severity) (max by (brand, severity) (earshot_incidents_firing)) or vector(0)"
                    },
                    "figure",
                    6,
                    warn_at=1,
                ),
                Panel(
                    "Notifications",
                    "Notifications delivered, by receiver.",
                    "cpm",
                    {
                        "{{notifier}}": "60 * sum by (notifier) (rate(earshot_notifications_total[$__rate_interval]))"
                        " or vector(0)"
                    },
                    width=9,
                ),
                Panel(
                    "Failed attempts",
                    "Attempts that failed; they are tried again.",
                    "cpm",
                    {
                        "{{notifier}} {{reason}}": "60 * sum by (notifier, reason)"
                        " (rate(earshot_notifications_failed_total[$__rate_interval])) or vector(0)"
                    },
                    width=9,
                ),
            ),
        ),
    ),
)

_C: Final = '{connector=~"$connector"}'

SOURCES: Final = Board(
    "earshot-sources",
    "earshot: sources",
    "What do we hear of each source, and what not?",
    (
        Row(
            "Which state are they in?",
            (
                Panel(
                    "State",
                    "1 for the state a source is in. Refused needs a person; unreachable is tried again.",
                    "short",
                    {"{{connector}} {{state}}": f"max by (connector, state) (earshot_source_state{_C}) == 1"},
                    "bars",
                ),
                Panel(
                    "Since the last answer",
                    "Seconds since the last good answer.",
                    "s",
                    {
                        "{{connector}}": "time() - max by (connector)"
                        f" (earshot_source_last_success_timestamp_seconds{_C} > 0)"
                    },
                ),
            ),
        ),
        Row(
            "Are they answering?",
            (
                Panel(
                    "Requests by outcome",
                    "Requests to sources by what came of them.",
                    "reqps",
                    {
                        "{{connector}} {{outcome}}": "sum by (connector, outcome)"
                        f" (rate(earshot_source_requests_total{_C}[$__rate_interval]))"
                    },
                    "stacked",
                    8,
                ),
                Panel(
                    "Time to answer, 95 %",
                    "95 % of the answers came sooner.",
                    "s",
                    {"{{connector}}": quantile(0.95, "earshot_source_request_duration_seconds", "connector", _C)},
                    width=8,
                ),
                Panel(
                    "Rate limit left",
                    "Share of each source's rate limit that is left; 0 for sources that do not say.",
                    "percentunit",
                    {"{{connector}}": f"min by (connector) (earshot_source_quota_remaining_ratio{_C}) or vector(0)"},
                    width=8,
                ),
            ),
        ),
        Row(
            "What do we hear?",
            (
                Panel(
                    "Mentions published",
                    "New mentions committed to the topic mentions.",
                    "cps",
                    {
                        "{{connector}}": "sum by (connector)"
                        f" (rate(earshot_mentions_published_total{_C}[$__rate_interval]))"
                    },
                    "stacked",
                    8,
                ),
                Panel(
                    "Read and repeated",
                    "Mentions read from pages, and those among them that had been published before.",
                    "cps",
                    {
                        "{{connector}} read": "sum by (connector)"
                        f" (rate(earshot_mentions_received_total{_C}[$__rate_interval]))",
                        "{{connector}} repeated": "sum by (connector)"
                        f" (rate(earshot_mentions_repeated_total{_C}[$__rate_interval]))",
                    },
                    width=8,
                ),
                Panel(
                    "Age of the newest mention",
                    "Seconds since the newest mention that was heard was written.",
                    "s",
                    {
                        "{{connector}}": "time() - max by (connector)"
                        f" (earshot_source_last_mention_timestamp_seconds{_C} > 0)"
                    },
                    width=8,
                ),
            ),
        ),
        Row(
            "How late do they tell us?",
            (
                Panel(
                    "Delay of the source, half",
                    "From written to collected: half of the mentions were sooner.",
                    "s",
                    {"{{connector}}": quantile(0.5, "earshot_mention_source_delay_seconds", "connector", _C)},
                ),
                Panel(
                    "Delay of the source, 95 %",
                    "From written to collected: 95 % of the mentions were sooner.",
                    "s",
                    {"{{connector}}": quantile(0.95, "earshot_mention_source_delay_seconds", "connector", _C)},
                ),
            ),
        ),
        Row(
            "What did we not hear?",
            (
                Panel(
                    "Gaps",
                    "Time at a source, within the time shown, that is known not to have been heard.",
                    "s",
                    {
                        "{{connector}}": f"sum by (connector) (increase(earshot_source_gap_seconds_total{_C}[$__range]))"
                        " or vector(0)"
                    },
                    "bars",
                    8,
                    warn_at=300,
                ),
                Panel(
                    "Missed by its own rhythm",
                    "Mentions that would have been usual since the last one came.",
                    "short",
                    {"{{connector}}": f"max by (connector) (earshot_source_missed_mentions{_C}) or vector(0)"},
                    width=8,
                    warn_at=50,
                ),
                Panel(
                    "Seen of what there was",
                    "Share of the mentions a source said there were that the last walk through its answers saw.",
                    "percentunit",
                    {"{{connector}}": f"min by (connector) (earshot_source_coverage_ratio{_C}) or vector(1)"},
                    width=8,
                ),
                Panel(
                    "Limits and budgets used",
                    "Requests, units and money used of what is declared; shared by sources with the same credential.",
                    "percentunit",
                    {
                        "{{connector}} {{limit}}": f"max by (connector, limit) (earshot_source_limit_used{_C}"
                        f" / (earshot_source_limit{_C} > 0)) or vector(0)"
                    },
                    width=8,
                    warn_at=0.8,
                ),
                Panel(
                    "Waiting for limits",
                    "Time, within the time shown, in which a rate limit or a budget did not let us ask.",
                    "s",
                    {
                        "{{connector}}": "sum by (connector)"
                        f" (increase(earshot_source_limited_seconds_total{_C}[$__range])) or vector(0)"
                    },
                    "bars",
                    8,
                ),
                Panel(
                    "Webhook requests",
                    "Requests that came in, by outcome. Refused ones had a wrong or old signature.",
                    "reqps",
                    {
                        "{{connector}} {{outcome}}": "sum by (connector, outcome)"
                        f" (rate(earshot_webhook_requests_total{_C}[$__rate_interval])) or vector(0)"
                    },
                    "stacked",
                    8,
                ),
                Panel(
                    "Feeds",
                    "How feeds are heard that hubs may push. Polled ones have no hub, or one that does not keep its word.",
                    "short",
                    {
                        "{{connector}} {{state}}": f"max by (connector, state) (earshot_source_feeds{_C}) or vector(0)",
                    },
                    "stacked",
                    8,
                ),
            ),
        ),
    ),
    {"connector": "earshot_source_state"},
)

_S: Final = '{stage=~"$stage"}'

PIPELINE: Final = Board(
    "earshot-pipeline",
    "earshot: pipeline",
    "Does every message get through, in time, and does it add up?",
    (
        Row(
            "Is it flowing?",
            (
                Panel(
                    "Received",
                    "Messages each stage reads.",
                    "cps",
                    {
                        "{{stage}}": f"sum by (stage) (rate(earshot_stage_messages_received_total{_S}[$__rate_interval]))"
                    },
                ),
                Panel(
                    "Sent by topic",
                    "Messages each stage writes. One mention may go to several topics.",
                    "cps",
                    {
                        "{{stage}} to {{topic}}": "sum by (stage, topic)"
                        f" (rate(earshot_stage_messages_sent_total{_S}[$__rate_interval]))"
                    },
                    "stacked",
                ),
            ),
        ),
        Row(
            "Does it add up?",
            (
                Panel(
                    "Fate of messages",
                    "What became of the messages a stage received: these three together are all of them.",
                    "cps",
                    {
                        "processed": f"sum(rate(earshot_stage_messages_processed_total{_S}[$__rate_interval]))",
                        "discarded": f"sum(rate(earshot_stage_messages_discarded_total{_S}[$__rate_interval]))",
                        "dead-lettered": f"sum(rate(earshot_dead_letters_total{_S}[$__rate_interval]))",
                    },
                    "stacked",
                ),
                Panel(
                    "Unaccounted for",
                    "Received minus processed, discarded and dead-lettered, since each worker's start. It must be 0.",
                    "short",
                    {"{{stage}} {{instance}} {{worker}}": f"earshot:stage_messages_unaccounted:sum{_S}"},
                    alarm_at=1,
                ),
            ),
        ),
        Row(
            "What was discarded, and why?",
            (
                Panel(
                    "Discarded by reason",
                    "Messages set aside on purpose. not_relevant is most of a firehose; heartbeat is our own.",
                    "cps",
                    {
                        "{{stage}} {{reason}}": "sum by (stage, reason)"
                        f" (rate(earshot_stage_messages_discarded_total{_S}[$__rate_interval]))"
                    },
                    "stacked",
                ),
                Panel(
                    "Dead letters by reason",
                    "Messages that could not be carried out, in the time shown. `earshot replay` sends them back.",
                    "short",
                    {
                        "{{stage}} {{reason}}": "sum by (stage, reason)"
                        f" (increase(earshot_dead_letters_total{_S}[$__range]))"
                    },
                    "bars",
                    warn_at=1,
                ),
            ),
        ),
        Row(
            "How far behind is it, and how old?",
            (
                Panel(
                    "Lag",
                    "Committed messages that a stage has not read yet.",
                    "short",
                    {"{{stage}} {{topic}}": f"earshot:stage_lag_messages:sum{_S}"},
                    width=8,
                ),
                Panel(
                    "Age of mentions",
                    "From collected to committed by the stage: half, and 95 %, of the mentions are younger.",
                    "s",
                    {
                        "{{stage}} half": quantile(0.5, "earshot_mention_age_seconds", "stage", _S),
                        "{{stage}} 95 %": quantile(0.95, "earshot_mention_age_seconds", "stage", _S),
                    },
                    width=8,
                ),
                Panel(
                    "Heartbeat",
                    "Since the last heartbeat passed, and how long it took up to there.",
                    "s",
                    {
                        "{{stage}} since": f"earshot:heartbeat_age_seconds:min{_S}",
                        "{{stage}} took": f"max by (stage) (earshot_heartbeat_duration_seconds{_S})",
                    },
                    width=8,
                    warn_at=30,
                    alarm_at=60,
                ),
            ),
        ),
        Row(
            "What does a batch cost?",
            (
                Panel(
                    "Time of a batch",
                    "From read to commit: half, and 95 %, of the batches took less.",
                    "s",
                    {
                        "{{stage}} half": quantile(0.5, "earshot_stage_duration_seconds", "stage", _S),
                        "{{stage}} 95 %": quantile(0.95, "earshot_stage_duration_seconds", "stage", _S),
                    },
                ),
                Panel(
                    "Transactions by outcome",
                    "Aborted ones are done again; fenced ones belong to a worker that was replaced.",
                    "cps",
                    {
                        "{{stage}} {{outcome}}": "sum by (stage, outcome)"
                        f" (rate(earshot_stage_transactions_total{_S}[$__rate_interval]))"
                    },
                ),
            ),
        ),
        Row(
            "Who does the work?",
            (
                Panel(
                    "Workers",
                    "Running workers of each stage, as `earshot up` counts them; in a cluster those that answer Prometheus.",
                    "short",
                    {
                        "{{stage}}{{role}}": f"sum by (stage) (earshot_workers{_S})"
                        ' or sum by (role) (up{job="earshot", role!="", role=~"$stage"})'
                    },
                ),
                Panel(
                    "Restarts",
                    "Workers started again in the time shown, as far as `earshot up` started them.",
                    "short",
                    {
                        "{{stage}}": f"sum by (stage) (increase(earshot_worker_restarts_total{_S}[$__range]))"
                        " or vector(0)"
                    },
                    "bars",
                    warn_at=3,
                ),
            ),
        ),
    ),
    {"stage": "earshot_stage_messages_received_total"},
)

_D: Final = '{department=~"$department"}'

DEPARTMENTS: Final = Board(
    "earshot-departments",
    "earshot: departments",
    "Who gets what, and how sure is the routing?",
    (
        Row(
            "Who gets what?",
            (
                Panel(
                    "Mentions by department",
                    "Mentions routed to each department; one mention may go to several.",
                    "cps",
                    {
                        "{{department}}": f"sum by (department) (rate(earshot_mentions_routed_total{_D}[$__rate_interval]))"
                    },
                    "stacked",
                ),
                Panel(
                    "In the time shown",
                    "Mentions routed to each department in the time shown.",
                    "short",
                    {"{{department}}": f"sum by (department) (increase(earshot_mentions_routed_total{_D}[$__range]))"},
                    "bars",
                ),
            ),
        ),
        Row(
            "How sure is the routing?",
            (
                Panel(
                    "Share that a person must look at",
                    "Share of routed mentions that went to review: the router was not sure, or spam may be wrong.",
                    "percentunit",
                    {
                        "review": 'sum(rate(earshot_mentions_routed_total{department="review"}[$__rate_interval]))'
                        " / (sum(rate(earshot_mentions_routed_total[$__rate_interval])) > 0) or vector(0)"
                    },
                    warn_at=0.3,
                ),
                Panel(
                    "Rules that spoke most",
                    "The ten rules that spoke for most mentions in the time shown.",
                    "short",
                    {"{{rule}}": "topk(10, sum by (rule) (increase(earshot_rule_hits_total[$__range])))"},
                    "bars",
                ),
            ),
        ),
        Row(
            "What are mentions like?",
            (
                Panel(
                    "Sentiment",
                    "Relevant mentions by sentiment.",
                    "cps",
                    {"{{sentiment}}": "sum by (sentiment) (rate(earshot_mentions_judged_total[$__rate_interval]))"},
                    "stacked",
                ),
                Panel(
                    "Languages",
                    "The ten most frequent languages of relevant mentions in the time shown.",
                    "short",
                    {
                        "{{language}}": "topk(10, sum by (language) (increase(earshot_mentions_language_total[$__range])))"
                    },
                    "bars",
                ),
            ),
        ),
        Row(
            "What does the stronger sentiment model do?",
            (
                Panel(
                    "Uncertain texts",
                    "Texts the shipped model was not sure about: asked of the stronger one, known from before, beyond its time, "
                    "or failed. Zero where sentiment.deep is not set.",
                    "cps",
                    {
                        "{{outcome}}": "sum by (outcome)"
                        " (rate(earshot_sentiment_deep_texts_total[$__rate_interval])) or vector(0)"
                    },
                    "stacked",
                ),
                Panel(
                    "Time it takes",
                    "How long the stronger model was at work in the time shown, by worker.",
                    "s",
                    {"{{instance}}": "increase(earshot_sentiment_deep_seconds_total[$__range])"},
                    "bars",
                ),
            ),
        ),
    ),
    {"department": "earshot_mentions_routed_total"},
)

LEARNING: Final = Board(
    "earshot-learning",
    "earshot: learning",
    "What do people say about decisions, and is it learned well?",
    (
        Row(
            "Do departments get what is theirs?",
            (
                Panel(
                    "Misrouted, by department",
                    "Share of the feedback on what a department had, in the time shown, that says it was another's.",
                    "percentunit",
                    {
                        "{{department}}": "sum by (department)"
                        ' (increase(earshot_feedback_departments_total{verdict="wrong"}[$__range]))'
                        " / (sum by (department) (increase(earshot_feedback_departments_total[$__range])) > 0)"
                        " or vector(0)"
                    },
                    "bars",
                    8,
                    warn_at=0.3,
                ),
                Panel(
                    "Misrouted, by rule",
                    "The ten rules that had spoken for most of what went to the wrong department, and its share.",
                    "percentunit",
                    {
                        "{{rule}}": 'topk(10, sum by (rule) (increase(earshot_feedback_rules_total{verdict="wrong"}[$__range]))'
                        " / (sum by (rule) (increase(earshot_feedback_rules_total[$__range])) > 0)) or vector(0)"
                    },
                    "bars",
                    8,
                    warn_at=0.5,
                ),
                Panel(
                    "Confusion",
                    "Labels in the time shown: what was said about them before, and what they were.",
                    "short",
                    {
                        "{{about}}: {{said}}, but {{truth}}": "sum by (about, said, truth)"
                        " (increase(earshot_feedback_labels_total[$__range])) > 0 or vector(0)"
                    },
                    "bars",
                    8,
                ),
            ),
        ),
        Row(
            "Is it learned well?",
            (
                Panel(
                    "Mean loss before a label is learned",
                    "Lower is better. The candidate should be below what is in service before it takes its place.",
                    "short",
                    {
                        "{{about}} {{model}}": "max by (about, model) (earshot_model_loss) or vector(0)",
                    },
                    width=8,
                    decimals=3,
                ),
                Panel(
                    "Drift",
                    "Standard deviations by which the version in service was right more often than it said, lately.",
                    "short",
                    {"{{about}}": "min by (about) (earshot_model_drift)"},
                    width=8,
                    decimals=1,
                ),
                Panel(
                    "Evidence",
                    "How many times better or worse the candidate has predicted labels than the version kept last.",
                    "short",
                    {"{{about}} {{which}}": "max by (about, which) (earshot_model_evidence) or vector(0)"},
                    width=8,
                ),
            ),
        ),
        Row(
            "Which version is in service?",
            (
                Panel(
                    "Versions kept",
                    "The version that was proven last; without a name it is what is shipped.",
                    "short",
                    {"{{about}} {{version}}": "max by (about, version) (earshot_model_info) or vector(0)"},
                    "figure",
                    8,
                ),
                Panel(
                    "Changes",
                    "Versions promoted, kept, rolled back and discarded in the time shown.",
                    "short",
                    {
                        "{{about}} {{change}}": "sum by (about, change) (increase(earshot_model_changes_total[$__range])) > 0"
                        " or vector(0)"
                    },
                    "bars",
                    8,
                ),
                Panel(
                    "Lessons learned",
                    "The last lesson that each worker has learned: triage workers follow within seconds.",
                    "short",
                    {"{{stage}} {{instance}} {{worker}}": "earshot_lessons"},
                    width=8,
                ),
            ),
        ),
        Row(
            "How soon does feedback count?",
            (
                Panel(
                    "From said to learned, 95 %",
                    "95 % of the feedback was learned sooner, by the stage learning and by the workers of triage.",
                    "s",
                    {"{{stage}}": quantile(0.95, "earshot_lesson_duration_seconds", "stage")},
                    width=8,
                    warn_at=5,
                ),
                Panel(
                    "Feedback by what became of it",
                    "Learned, and not learned by reason: said already, more than one may teach, nothing to learn.",
                    "cpm",
                    {
                        "learned": '60 * sum(rate(earshot_stage_messages_processed_total{stage="learning"}[$__rate_interval]))',
                        "{{reason}}": "60 * sum by (reason)"
                        ' (rate(earshot_stage_messages_discarded_total{stage="learning"}[$__rate_interval]))',
                    },
                    "stacked",
                    8,
                ),
                Panel(
                    "Webhook requests",
                    "Requests of the feedback webhook by outcome. Unsigned ones had a wrong or old signature.",
                    "reqps",
                    {
                        "{{outcome}}": "sum by (outcome) (rate(earshot_feedback_requests_total[$__rate_interval]))"
                        " or vector(0)"
                    },
                    "stacked",
                    8,
                ),
            ),
        ),
    ),
)

_B: Final = '{brand=~"$brand"}'

REPUTATION: Final = Board(
    "earshot-reputation",
    "earshot: reputation",
    "Has a brand's reputation turned, and who was told?",
    (
        Row(
            "Is more said than usual?",
            (
                Panel(
                    "Mentions in the window",
                    "Mentions in the current window, and what is usual for a window at this time.",
                    "short",
                    {
                        "{{brand}}": f"max by (brand) (earshot_brand_mentions{_B})",
                        "{{brand}} usual": f"max by (brand) (earshot_brand_mentions_baseline{_B})",
                    },
                ),
                Panel(
                    "Too late to count",
                    "Counts that came after their window was closed, in the time shown: the figures miss them.",
                    "short",
                    {"{{brand}}": f"sum by (brand) (increase(earshot_pulse_late_total{_B}[$__range])) or vector(0)"},
                    "bars",
                ),
            ),
        ),
        Row(
            "How is the tone?",
            (
                Panel(
                    "Negative share",
                    "Share of negative mentions in the current window.",
                    "percentunit",
                    {"{{brand}}": f"max by (brand) (earshot_brand_negative_ratio{_B})"},
                ),
                Panel(
                    "Mentions by sentiment",
                    "Relevant mentions by brand and sentiment.",
                    "cps",
                    {
                        "{{brand}} {{sentiment}}": "sum by (brand, sentiment)"
                        f" (rate(earshot_mentions_judged_total{_B}[$__rate_interval]))"
                    },
                    "stacked",
                ),
            ),
        ),
        Row(
            "How far does it reach?",
            (
                Panel(
                    "Reach",
                    "Followers of the authors in the current window, summed; the same follower may count twice.",
                    "short",
                    {"{{brand}}": f"max by (brand) (earshot_brand_reach{_B})"},
                    width=24,
                ),
            ),
        ),
        Row(
            "Is an incident open?",
            (
                Panel(
                    "Incidents that fire",
                    "Open incidents by severity.",
                    "short",
                    {"{{brand}} {{severity}}": f"max by (brand, severity) (earshot_incidents_firing{_B}) or vector(0)"},
                    "figure",
                    8,
                    warn_at=1,
                ),
                Panel(
                    "Alert records",
                    "Alert records written in the time shown. An incident fires once, may be updated, is resolved once.",
                    "short",
                    {
                        "{{brand}} {{name}} {{status}}": "sum by (brand, name, status)"
                        f" (increase(earshot_alerts_total{_B}[$__range])) or vector(0)"
                    },
                    "bars",
                    16,
                ),
            ),
        ),
        Row(
            "Who was told?",
            (
                Panel(
                    "Notifications",
                    "Notifications delivered, by receiver.",
                    "cpm",
                    {
                        "{{notifier}} {{status}}": "60 * sum by (notifier, status)"
                        " (rate(earshot_notifications_total[$__rate_interval])) or vector(0)"
                    },
                    width=8,
                ),
                Panel(
                    "Failed attempts",
                    "Attempts that failed, by reason; they are tried again.",
                    "cpm",
                    {
                        "{{notifier}} {{reason}}": "60 * sum by (notifier, reason)"
                        " (rate(earshot_notifications_failed_total[$__rate_interval])) or vector(0)"
                    },
                    width=8,
                ),
                Panel(
                    "Held back",
                    "Alerts that nobody was told of, in the time shown, by reason: from the past, or no receiver.",
                    "short",
                    {
                        "{{reason}}": "sum by (reason) (increase(earshot_notifications_held_total[$__range])) or vector(0)"
                    },
                    "bars",
                    8,
                ),
            ),
        ),
    ),
    {"brand": "earshot_brand_mentions"},
)

BOARDS: Final = (OVERVIEW, SOURCES, PIPELINE, DEPARTMENTS, LEARNING, REPUTATION)
