"""Things that go wrong on purpose, for tests and demonstrations."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr


class CallFault(BaseModel):
    """Lets some calls of an operation fail, dawdle or answer junk.

    `model` is a part of the called model's id or deployment ARN. `every` picks each nth call that matches;
    `times` ends the fault after so many calls; without either it holds until the reset.
    """

    model_config = ConfigDict(extra="forbid")

    operation: str = "Converse"
    model: str = ""
    error: str | None = None
    message: str = "A fault that was asked for."
    text: str | None = None
    delay_seconds: float = Field(0.0, ge=0, le=600)
    every: int = Field(1, ge=1)
    times: int | None = Field(None, ge=1)

    _seen: int = PrivateAttr(0)
    _struck: int = PrivateAttr(0)

    def strikes(self, operation: str, model: str) -> bool:
        """Whether this call is one that the fault hits; counts it."""
        if operation != self.operation or self.model not in model:
            return False
        if self.times is not None and self._struck >= self.times:
            return False
        self._seen += 1
        if self._seen % self.every:
            return False
        self._struck += 1
        return True


class Lifecycle(BaseModel):
    """Another lifecycle for a foundation model; both times left out make it active."""

    model_config = ConfigDict(extra="forbid")

    legacy_since: datetime | None = None
    end_of_life: datetime | None = None


class Faults(BaseModel):
    """All that can be told to go wrong; the defaults are a good day.

    events: of customization jobs. `premature` says Completed as soon as the job is created.
    job, deployment, evaluation: how those that end from now on end; `never` leaves them as they are.
    """

    model_config = ConfigDict(extra="forbid")

    events: Literal["normal", "lost", "doubled", "late", "premature"] = "normal"
    event_delay_seconds: float = Field(5.0, ge=0)
    job: Literal["complete", "fail", "stop", "never"] = "complete"
    deployment: Literal["active", "fail", "never"] = "active"
    evaluation: Literal["complete", "fail", "stop", "never"] = "complete"
    calls: list[CallFault] = Field(default_factory=list)
    lifecycles: dict[str, Lifecycle] = Field(default_factory=dict)

    def struck(self, operation: str, model: str) -> CallFault | None:
        """The first fault that hits a call, if any."""
        return next((fault for fault in self.calls if fault.strikes(operation, model)), None)
