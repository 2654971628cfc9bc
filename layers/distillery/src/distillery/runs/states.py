"""A run: its id, its states, the moves between states, and the names derived from the id.

RECEIVED -> VALIDATED -> [AWAITING_APPROVAL ->] TRAINING -> DEPLOYING -> EVALUATING -> PROMOTED | NOT_PROMOTED
and REJECTED | DUPLICATE | FAILED before that, RETIRED later.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from distillery import earlier_names
from distillery.earlier_names import renamed
from distillery.runs.names import dataset_name, object_version, slug

AGAIN = "again"
"""User-defined metadata of a dataset object. With the value `true`, the run trains a model in any case."""


class State(StrEnum):
    """The state of a run."""

    RECEIVED = "RECEIVED"
    VALIDATED = "VALIDATED"
    AWAITING_APPROVAL = "AWAITING_APPROVAL"
    TRAINING = "TRAINING"
    DEPLOYING = "DEPLOYING"
    EVALUATING = "EVALUATING"
    PROMOTED = "PROMOTED"
    NOT_PROMOTED = "NOT_PROMOTED"
    REJECTED = "REJECTED"
    DUPLICATE = "DUPLICATE"
    FAILED = "FAILED"
    RETIRED = "RETIRED"


class Stage(StrEnum):
    """The waits of a run. Each has a deadline and one message in the watch queue."""

    VALIDATION = "validation"
    APPROVAL = "approval"
    DISTILLATION = "distillation"
    DEPLOYMENT = "deployment"
    EVALUATION = "evaluation"


MOVES: dict[State, frozenset[State]] = {
    State.RECEIVED: frozenset({State.VALIDATED, State.REJECTED, State.DUPLICATE, State.FAILED}),
    # A run that uses the model of an earlier run goes to DEPLOYING at once.
    State.VALIDATED: frozenset({State.AWAITING_APPROVAL, State.TRAINING, State.DEPLOYING, State.FAILED}),
    State.AWAITING_APPROVAL: frozenset({State.TRAINING, State.DEPLOYING, State.REJECTED, State.FAILED}),
    State.TRAINING: frozenset({State.DEPLOYING, State.FAILED}),
    State.DEPLOYING: frozenset({State.EVALUATING, State.FAILED}),
    State.EVALUATING: frozenset({State.PROMOTED, State.NOT_PROMOTED, State.FAILED}),
    State.PROMOTED: frozenset({State.RETIRED}),
    State.NOT_PROMOTED: frozenset({State.RETIRED}),
    State.REJECTED: frozenset(),
    State.DUPLICATE: frozenset(),
    State.FAILED: frozenset(),
    State.RETIRED: frozenset(),
}
UNFINISHED = frozenset(state for state, targets in MOVES.items() if State.FAILED in targets)
ENDED = frozenset(State) - UNFINISHED

STAGE_STATES: dict[Stage, frozenset[State]] = {
    Stage.VALIDATION: frozenset({State.RECEIVED, State.VALIDATED}),
    Stage.APPROVAL: frozenset({State.AWAITING_APPROVAL}),
    Stage.DISTILLATION: frozenset({State.TRAINING}),
    Stage.DEPLOYMENT: frozenset({State.DEPLOYING}),
    Stage.EVALUATION: frozenset({State.EVALUATING}),
}

STAGES = tuple(Stage)


def stage_of(state: State) -> Stage | None:
    """Return the stage that a state belongs to; None for a run that has ended."""
    return next((stage for stage, states in STAGE_STATES.items() if state in states), None)


Candidate = Literal["distilled", "untuned", "baseline"]
CANDIDATES: tuple[Candidate, ...] = ("distilled", "untuned", "baseline")
PromptKind = Literal["student", "teacher"]


class Source(BaseModel):
    """The dataset object that a run was started for."""

    model_config = ConfigDict(frozen=True)

    bucket: str
    key: str
    version_id: str = ""
    etag: str = ""
    size: int = 0

    @property
    def version(self) -> str:
        """What tells this object from others that have been or will be at its key."""
        return object_version(self.version_id, self.etag)


class Move(BaseModel):
    """One entry of a run's history."""

    state: State
    at: datetime
    step: str


class Failure(BaseModel):
    """The step in which a run failed, and the cause as a sentence."""

    step: str
    cause: str


class EstimatedCost(BaseModel):
    """The short form of a run's cost estimate: known costs in USD, and the names of the unknown ones.

    `approval_reason` says why the run needs approval; it is empty when the run needs none.
    """

    low: float
    high: float
    unknown: list[str] = Field(default_factory=list)
    approval_reason: str = ""

    @model_validator(mode="before")
    @classmethod
    def _read_earlier_names(cls, content: Any) -> Any:
        return renamed(content, earlier_names.ESTIMATED_COST)


class MeasuredCost(BaseModel):
    """What a run's answers to the holdout cost by the tokens used, in USD, and the items of unknown price."""

    usd: float
    unknown: list[str] = Field(default_factory=list)


class Approval(BaseModel):
    """The approval or rejection of a run: by whom (an ARN), when, and why."""

    by: str
    at: datetime
    decision: Literal["approved", "rejected"]
    reason: str = ""

    @model_validator(mode="before")
    @classmethod
    def _read_earlier_names(cls, content: Any) -> Any:
        return renamed(content, earlier_names.APPROVAL)

    def __str__(self) -> str:
        reason = f": {self.reason}" if self.reason else ""
        return f"{self.decision} by {self.by} at {self.at:%F %T} UTC{reason}"


class Run(BaseModel):
    """A run's entry in the run table, with its lineage. Amounts in USD and scores are floats."""

    model_config = ConfigDict(extra="ignore")

    run_id: str
    state: State
    source: Source
    dataset: str
    history: list[Move] = Field(default_factory=list)
    updated_at: datetime | None = None
    announced: State | None = None
    fingerprint: str | None = None
    training_fingerprint: str | None = None
    verdict_fingerprint: str | None = None
    files: str = ""
    """Prefix of the files that the validation wrote; empty for runs of earlier versions."""
    again: bool = False
    """Whether the dataset was dropped with the request to train again whatever was trained before."""
    adopted_from: str | None = None
    """The run that trained this run's model."""
    duplicate_of: str | None = None
    counts: dict[str, int] = Field(default_factory=dict)
    channel_config_digest: str | None = None
    prompt_digests: dict[str, str] = Field(default_factory=dict)
    estimate: EstimatedCost | None = None
    warnings: list[str] = Field(default_factory=list)
    approve_by: datetime | None = None
    approval: Approval | None = None
    models: dict[str, str] = Field(default_factory=dict)
    served_by: list[str] = Field(default_factory=list)
    job_arn: str | None = None
    model_arn: str | None = None
    deployment_arn: str | None = None
    evaluation_jobs: dict[str, str] = Field(default_factory=dict)
    superseded: bool = False
    scores: dict[str, dict[str, Any]] = Field(default_factory=dict)
    measured_cost: MeasuredCost | None = None
    reasons: list[str] = Field(default_factory=list)
    active_model_version_before: int | None = None
    active_model_version_after: int | None = None
    report_key: str | None = None
    failure: Failure | None = None
    clean_up_again: bool = False
    """Whether a step may have been starting something for the run when it failed."""

    @model_validator(mode="before")
    @classmethod
    def _read_earlier_names(cls, content: Any) -> Any:
        content = renamed(content, earlier_names.RUN)
        if not isinstance(content, dict):
            return content
        by_candidate = {
            name: renamed(content[name], earlier_names.CANDIDATES)
            for name in ("evaluation_jobs", "scores")
            if name in content
        }
        if "scores" in by_candidate:
            by_candidate["scores"] = {
                candidate: renamed(scores, earlier_names.SCORES)
                for candidate, scores in by_candidate["scores"].items()
            }
        if "counts" in content:
            by_candidate["counts"] = renamed(content["counts"], earlier_names.COUNTS)
        return {**content, **by_candidate}

    @property
    def is_being_judged(self) -> bool:
        """Whether every candidate has an evaluation job."""
        return set(CANDIDATES) <= set(self.evaluation_jobs)

    @property
    def has_started(self) -> bool:
        """Whether what the run's stage waits for has started in Bedrock; False in the other stages."""
        return self._has_started_in(self.state)

    @property
    def failed_while_starting(self) -> bool:
        """Whether the run failed in a stage whose job or deployment had not been recorded."""
        before = self.history[-2].state if len(self.history) > 1 else State.RECEIVED
        return before in {State.TRAINING, State.DEPLOYING, State.EVALUATING} and (
            not self._has_started_in(before)
        )

    def _has_started_in(self, state: State) -> bool:
        match state:
            case State.TRAINING:
                return self.job_arn is not None
            case State.DEPLOYING:
                return self.deployment_arn is not None
            case State.EVALUATING:
                return self.is_being_judged
        return False

    @property
    def is_approved(self) -> bool:
        """Whether a person has approved the estimated cost."""
        return self.approval is not None and self.approval.decision == "approved"

    def entered(self, state: State) -> datetime | None:
        """Return when the run last moved into `state`; None if it never did."""
        return next((move.at for move in reversed(self.history) if move.state is state), None)


def run_id(bucket: str, key: str, version: str) -> str:
    """Return `<dataset slug>-<12 hex>`. The same object version always has the same id."""
    # Each part has its length as prefix, so that different triples never give the same text.
    identity = "".join(f"{len(part)}:{part}" for part in (bucket, key, version))
    return f"{slug(dataset_name(key))}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"


def evaluation_job_name(run: str, candidate: str) -> str:
    """Return the name of a candidate's evaluation job."""
    return f"{run}-{candidate}"


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)
