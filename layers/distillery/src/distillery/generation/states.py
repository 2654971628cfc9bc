"""A generation: its id, its states, the moves between them, and the keys of its objects in the bucket.

PLANNING -> LABELLING -> ASSEMBLING -> ASSEMBLED | STOPPED; a generation can also end as REJECTED or FAILED.
A generation that is STOPPED or FAILED continues when its spec is dropped again.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator

from distillery import earlier_names
from distillery.cost.prices import Price
from distillery.earlier_names import renamed
from distillery.generation.spec import identity_digest
from distillery.runs.names import distinct_name, slug
from distillery.runs.states import Source

if TYPE_CHECKING:
    from distillery.generation.spec import Spec
    from distillery.task.channels import ChannelConfig


class GenerationState(StrEnum):
    """The state of a generation."""

    PLANNING = "PLANNING"
    LABELLING = "LABELLING"
    ASSEMBLING = "ASSEMBLING"
    ASSEMBLED = "ASSEMBLED"
    STOPPED = "STOPPED"
    REJECTED = "REJECTED"
    FAILED = "FAILED"


GENERATION_MOVES: dict[GenerationState, frozenset[GenerationState]] = {
    GenerationState.PLANNING: frozenset(
        {GenerationState.LABELLING, GenerationState.REJECTED, GenerationState.FAILED}
    ),
    GenerationState.LABELLING: frozenset({GenerationState.ASSEMBLING, GenerationState.FAILED}),
    GenerationState.ASSEMBLING: frozenset(
        {GenerationState.ASSEMBLED, GenerationState.STOPPED, GenerationState.FAILED}
    ),
    GenerationState.STOPPED: frozenset({GenerationState.LABELLING}),
    GenerationState.FAILED: frozenset({GenerationState.PLANNING}),
    GenerationState.ASSEMBLED: frozenset(),
    GenerationState.REJECTED: frozenset(),
}
GENERATION_ENDED = frozenset(GenerationState) - {
    GenerationState.PLANNING,
    GenerationState.LABELLING,
    GenerationState.ASSEMBLING,
}


class GenerationMove(BaseModel):
    """One entry of a generation's history."""

    state: GenerationState
    at: datetime
    step: str


class Generation(BaseModel):
    """A generation's item in the generations table.

    `versions` are the uploads of the spec, each once. `dropped_again` says that the generation has not yet
    continued for one of them. `spent` is the cost of the labels in USD, `invented_usd` that of the
    teacher-written queries. `price` is the teacher's price in the stack's price list when the queries were
    planned. `halted` says why the teacher cannot be called at all. `closed_at` is the time at which labelling
    last ended, and `closed_because` why, if queries were left. `seen` is the number of labels at the poller's
    last look, and `progress_at` the time at which that number last grew.
    """

    model_config = ConfigDict(extra="ignore")

    generation_id: str
    state: GenerationState
    source: Source
    dataset: str
    versions: list[str] = Field(default_factory=list)
    dropped_again: bool = False
    history: list[GenerationMove] = Field(default_factory=list)
    updated_at: datetime | None = None
    announced: str | None = None
    deadline: AwareDatetime | None = None
    max_cost_usd: float = 0.0
    teacher: str = ""
    price: Price | None = None
    counts: dict[str, int] = Field(default_factory=dict)
    spent: float = 0.0
    invented_usd: float = 0.0
    halted: str = ""
    closed_at: str = ""
    closed_because: str = ""
    seen: int = 0
    progress_at: AwareDatetime | None = None
    mix: dict[str, float] = Field(default_factory=dict)
    dataset_key: str | None = None
    run_id: str | None = None
    reasons: list[str] = Field(default_factory=list)

    @field_validator("counts", mode="before")
    @classmethod
    def _read_earlier_names(cls, counts: Any) -> Any:
        return renamed(counts, earlier_names.COUNTS)

    @property
    def planned(self) -> int:
        """Queries to be labelled."""
        return self.counts.get("planned", 0)

    @property
    def cost(self) -> float:
        """USD spent so far."""
        return self.spent + self.invented_usd

    @property
    def is_capped(self) -> bool:
        """Whether the cost has reached the spec's limit."""
        return self.cost >= self.max_cost_usd

    @property
    def continues(self) -> bool:
        """Whether the generation has ended, and an upload of its spec since then lets it continue."""
        if not self.dropped_again:
            return False
        capped = self.state is GenerationState.STOPPED and self.is_capped
        return self.state in {GenerationState.STOPPED, GenerationState.FAILED} and not capped

    def why_closed(self, at: datetime) -> str:
        """Return why the generation takes no more labels although queries are left; empty while it does."""
        if self.halted:
            return self.halted
        if self.is_capped:
            return f"The cost cap of ${self.max_cost_usd:g} was reached."
        if self.deadline is not None and at >= self.deadline:
            return f"The deadline, {self.deadline:%F %T} UTC, has passed."
        return ""

    @property
    def ending(self) -> str:
        """The state and how often it was entered: an announcement is sent once for each such pair."""
        return f"{self.state.value}/{sum(move.state is self.state for move in self.history)}"

    def entered(self, state: GenerationState) -> datetime | None:
        """The time at which the generation last moved to `state`, or None."""
        return next((move.at for move in reversed(self.history) if move.state is state), None)


def spec_dataset(key: str) -> str:
    """`<dataset>` of `specs/<dataset>.yaml` in the form that other keys use."""
    return distinct_name(key.removeprefix("specs/").removesuffix(".yaml"))


def spec_key(dataset: str) -> str:
    """The key at which the spec of a dataset is dropped."""
    return f"specs/{distinct_name(dataset)}.yaml"


def generation_id(dataset: str, spec: Spec, channel_config: ChannelConfig, teacher: str) -> str:
    """`<dataset slug>-<12 hex>`, from everything that determines the queries and their labels."""
    digest = identity_digest(dataset, spec.identity(), channel_config.digest(), teacher)
    return f"{slug(dataset)}-{digest}"


def rejected_id(dataset: str, content: bytes) -> str:
    """The id for a file that is not a valid spec, from its bytes."""
    return f"{slug(dataset)}-{hashlib.sha256(content).hexdigest()[:12]}"


def generation_key(generation: str, name: str) -> str:
    """The key of a generation's object, for example `generations/<generation_id>/plan.jsonl`."""
    return f"generations/{generation}/{name}"
