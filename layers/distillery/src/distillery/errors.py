"""The exception types. The type alone decides whether a call is retried.

DistilleryError
├── BadInput                the user must change something; never retried
│   └── UnreadableRouting   a model's answer contains no readable weights
│       └── BlockedAnswer   a filter blocked the answer; the same query is blocked again
├── Transient               a later retry can succeed (throttling, time-outs, 5xx)
└── Permanent               a retry cannot succeed (access denied, a missing model); an operator must act

Any other exception is a bug: Lambda retries the event, then moves it to the dead-letter queue.
"""

from __future__ import annotations


class DistilleryError(Exception):
    """`message` says in one sentence what is wrong, `fix` how to correct it (may be empty)."""

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(f"{message} {fix}".strip())
        self.message = message
        self.fix = fix


class BadInput(DistilleryError):
    """The user must change something."""


class UnreadableRouting(BadInput):
    """A model's answer contains no readable weights."""


class BlockedAnswer(UnreadableRouting):
    """A filter blocked the model's answer. The same query is blocked again."""


class Transient(DistilleryError):
    """A later retry can succeed."""


class Permanent(DistilleryError):
    """A retry cannot succeed; an operator must act."""
