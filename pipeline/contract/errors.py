"""Errors by what to do next.

EarshotError
├── ConfigError            the user changes the configuration; the message names the line and what to write
├── RetriableError         the same call may succeed later
│   ├── SourceUnavailableError     a source does not answer or answers with its own error
│   ├── RateLimitedError           a source asks to wait `retry_after` seconds
│   ├── BrokerUnavailableError     Kafka does not answer
│   └── ReceiverUnavailableError   a notifier's receiver does not answer
├── FatalError             stop this part and tell a person
│   ├── SourceRefusedError         a source refuses the request: credentials, permission, a wrong name
│   ├── ReceiverRefusedError       a receiver refuses the notification for good
│   ├── FencedError                another instance has taken over; this one ends
│   └── DeadLetterLimitError       too large a share of the input goes to the dead letters
└── InvalidMessageError    never again: to the dead letters, with `reason`
"""

from pipeline.contract.events import Reason


class EarshotError(Exception):
    """Root of all errors raised on purpose."""


class ConfigError(EarshotError):
    """The configuration is wrong. The message is for a person and says where and what to write instead."""


class RetriableError(EarshotError):
    """The same call may succeed later."""


class SourceUnavailableError(RetriableError):
    """A source does not answer, or answers with an error of its own."""


class RateLimitedError(RetriableError):
    """A source asks to wait. `retry_after` is in seconds, None when it did not say."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class BrokerUnavailableError(RetriableError):
    """Kafka does not answer."""


class ReceiverUnavailableError(RetriableError):
    """A notifier's receiver does not answer, or asks to wait."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class FatalError(EarshotError):
    """Stop this part and tell a person."""


class SourceRefusedError(FatalError):
    """A source refuses the request: credentials, permission or a wrong name."""


class ReceiverRefusedError(FatalError):
    """A receiver refuses the notification for good."""


class FencedError(FatalError):
    """Another instance has taken over; this one must end without writing anything more."""


class DeadLetterLimitError(FatalError):
    """Too large a share of the input goes to the dead letters: configuration or code is wrong, not the input."""


class InvalidMessageError(EarshotError):
    """A message that will never be processable. `reason` is one of the dead-letter reasons."""

    def __init__(self, message: str, reason: Reason = Reason.INVALID) -> None:
        super().__init__(message)
        self.reason = reason
