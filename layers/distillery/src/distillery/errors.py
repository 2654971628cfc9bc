"""The exception types. The type alone decides whether a call is retried.

DistilleryError
├── BadInput                the user must change something; never retried
│   └── UnreadableRouting   a model's answer contains no readable weights
│       └── BlockedAnswer   a filter blocked the answer; the same query is blocked again
├── Transient               a later retry can succeed (time-outs, 5xx)
│   └── Unavailable         waiting is the only remedy, whatever is requested (access not granted yet, 503)
│       └── Throttled       a quota or a rate limit was reached
└── Permanent               a retry cannot succeed; an operator must act
    └── Unusable            the resource is missing or access to it is denied, whatever is requested

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
    """A model's answer contains no readable weights.

    The message may quote the answer; `logged` says the same without the model's text.
    """

    def __init__(self, message: str, *, fix: str = "", logged: str = "") -> None:
        super().__init__(message, fix=fix)
        self.logged = logged or message


class BlockedAnswer(UnreadableRouting):
    """A filter blocked the model's answer. The same query is blocked again."""


class Transient(DistilleryError):
    """A later retry can succeed."""


class Unavailable(Transient):
    """The cause is outside the request: any other request would fail too, until time or a person removes it.

    However often a message meets it, it is no reason to give the message up.
    """


class Throttled(Unavailable):
    """A quota or a rate limit was reached."""


class Permanent(DistilleryError):
    """A retry cannot succeed; an operator must act."""


class Unusable(Permanent):
    """A resource is missing or access to it is denied, whatever is requested of it."""
