"""The error tree. The retry policy follows from the type and from nothing else.

DistilleryError
├── BadInput           the user must change something; never retried
│   └── UnreadableRouting   a model's answer holds no weights
│       └── BlockedAnswer   a filter took the answer; asking again gives the same
├── Transient          passes if tried again later (throttling, time-outs, 5xx)
└── Permanent          trying again cannot help (access denied, a model that is gone); an operator must act

Anything else that is raised is a bug: it is retried by Lambda, then lands in the dead-letter queue.
"""

from __future__ import annotations


class DistilleryError(Exception):
    """One sentence for people in `message`, and how to fix it in `fix` (may be empty)."""

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(f"{message} {fix}".strip())
        self.message = message
        self.fix = fix


class BadInput(DistilleryError):
    """The user must change something."""


class UnreadableRouting(BadInput):
    """A model's answer holds no weights that can be read."""


class BlockedAnswer(UnreadableRouting):
    """A filter took the model's answer. The same query is blocked again."""


class Transient(DistilleryError):
    """Passes if tried again later."""


class Permanent(DistilleryError):
    """Trying again cannot help."""
