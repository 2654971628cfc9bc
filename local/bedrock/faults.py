"""Fault injection for tests and demonstrations."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr


class CallFault(BaseModel):
    """Makes calls of an operation fail, take longer or answer with another text.

    `model` is a part of the called model's id or deployment ARN. `every` selects each nth matching call.
    `times` ends the fault after that many affected calls; without it the fault stays until the reset.
    """

    model_config = ConfigDict(extra="forbid")

    operation: str = "Converse"
    model: str = ""
    error: str | None = None
    message: str = "An injected fault."
    text: str | None = None
    delay_seconds: float = Field(0.0, ge=0, le=600)
    every: int = Field(1, ge=1)
    times: int | None = Field(None, ge=1)

    _matched: int = PrivateAttr(0)
    _affected: int = PrivateAttr(0)

    def applies(self, operation: str, model: str) -> bool:
        """Count a call and return whether the fault affects it."""
        if operation != self.operation or self.model not in model:
            return False
        if self.times is not None and self._affected >= self.times:
            return False
        self._matched += 1
        if self._matched % self.every:
            return False
        self._affected += 1
        return True


class Lifecycle(BaseModel):
    """A lifecycle for a foundation model. Without both times the model is active."""

    model_config = ConfigDict(extra="forbid")

    legacy_since: datetime | None = None
    end_of_life: datetime | None = None


class Faults(BaseModel):
    """The faults that can be injected. The defaults inject none.

    events: delivery of the events of customization jobs. `premature` also publishes Completed when a job
    starts. job, deployment, evaluation: the outcome of those that end from now on; `never` leaves them in
    progress.
    """

    model_config = ConfigDict(extra="forbid")

    events: Literal["normal", "lost", "doubled", "late", "premature"] = "normal"
    event_delay_seconds: float = Field(5.0, ge=0)
    job: Literal["complete", "fail", "stop", "never"] = "complete"
    deployment: Literal["active", "fail", "never"] = "active"
    evaluation: Literal["complete", "fail", "stop", "never"] = "complete"
    calls: list[CallFault] = Field(default_factory=list)
    lifecycles: dict[str, Lifecycle] = Field(default_factory=dict)

    def for_call(self, operation: str, model: str) -> CallFault | None:
        """Return the first fault that affects a call, or None."""
        return next((fault for fault in self.calls if fault.applies(operation, model)), None)
