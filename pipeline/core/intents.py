"""What the author of a mention is after: a closed set, named by the shipped rules."""

from __future__ import annotations

from enum import StrEnum


class Intent(StrEnum):
    """What a mention is meant to do. A mention may have several, or none."""

    PROBLEM = "problem"
    COMPLAINT = "complaint"
    QUESTION = "question"
    FEATURE_REQUEST = "feature_request"
    PRAISE = "praise"
    RECOMMENDATION_REQUEST = "recommendation_request"
    PURCHASE_INTENT = "purchase_intent"
    REFUND_REQUEST = "refund_request"
    CHURN_THREAT = "churn_threat"
    SAFETY = "safety"
    LEGAL = "legal"
    PRESS = "press"
    CAMPAIGN = "campaign"
    JOB_ADVERT = "job_advert"
    GIVEAWAY = "giveaway"


URGENT = frozenset({Intent.SAFETY, Intent.LEGAL, Intent.CHURN_THREAT, Intent.PRESS})
"""Never below high priority."""

NOISE = frozenset({Intent.JOB_ADVERT, Intent.GIVEAWAY})
"""Low priority unless something urgent is said, too."""

COMPLAINING = frozenset({Intent.PROBLEM, Intent.COMPLAINT, Intent.REFUND_REQUEST})
"""What customers say, and news reports do not."""
