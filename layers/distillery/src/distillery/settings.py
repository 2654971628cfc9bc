"""The settings of each function, read from its environment variables and checked once at cold start."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from distillery.errors import Permanent
from distillery.validation_messages import problems

if TYPE_CHECKING:
    from collections.abc import Mapping

    from distillery.runs.states import Stage


class Settings(BaseModel):
    """Each field is read from the environment variable of the same name in capitals."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    @classmethod
    def load(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Read the environment; raise Permanent naming every variable that is missing or wrong."""
        values = os.environ if environment is None else environment
        try:
            return cls.model_validate(
                {name: values[name.upper()] for name in cls.model_fields if name.upper() in values}
            )
        except ValidationError as error:
            wrong = "; ".join(problems(error, "the environment", str.upper))
            raise Permanent(
                f"The function's environment variables cannot be used: {wrong}.",
                fix="The template sets them: deploy the stack again.",
            ) from error


class RunSettings(Settings):
    """Settings of every function that moves a run to another state."""

    runs_table: str
    event_bus: str
    watch_queue_url: str
    dead_letter_queue_url: str
    poll_interval_seconds: int = Field(default=120, ge=1, le=900)
    validation_deadline_seconds: int = Field(default=3_600, ge=1)
    approval_deadline_seconds: int = Field(default=604_800, ge=1)
    distillation_deadline_seconds: int = Field(default=172_800, ge=1)
    deployment_deadline_seconds: int = Field(default=7_200, ge=1)
    evaluation_deadline_seconds: int = Field(default=21_600, ge=1)

    def deadline(self, stage: Stage) -> timedelta:
        """The longest time that a run may stay in a stage."""
        return timedelta(seconds=getattr(self, f"{stage.value}_deadline_seconds"))


class ModelSettings(Settings):
    """The stack's models."""

    teacher_model: str
    student_model: str
    baseline_model: str
    judge_model: str

    @property
    def models(self) -> dict[str, str]:
        """The model ids by role."""
        return {
            "teacher": self.teacher_model,
            "student": self.student_model,
            "baseline": self.baseline_model,
            "judge": self.judge_model,
        }


class GateSettings(Settings):
    """The rules of the quality gate."""

    min_weight_score: float = Field(default=3.5, ge=1, le=5)
    max_weight_score_loss: float = Field(default=0.2, ge=0, le=4)
    min_valid_json: float = Field(default=0.98, ge=0, le=1)
    max_cost_share: float = Field(default=1.0, gt=0)

    @property
    def gate(self) -> dict[str, float]:
        """The rules by name."""
        return {name: getattr(self, name) for name in GateSettings.model_fields}


class ValidateSettings(ModelSettings, GateSettings, RunSettings):
    data_bucket: str
    claims_table: str
    holdout_share: float = Field(default=0.1, gt=0, lt=1)
    holdout_min: int = Field(default=50, ge=1)
    holdout_max: int = Field(default=500, ge=1, le=1_000)
    error_tolerance: float = Field(default=0.01, ge=0, le=1)


class StartSettings(ModelSettings, RunSettings):
    data_bucket: str
    claims_table: str
    bedrock_role_arn: str
    aws_region: str = Field(default="us-east-1", description="set by Lambda")
    max_run_cost_usd: float = Field(default=50.0, ge=0)
    max_day_cost_usd: float = Field(default=200.0, ge=0)
    max_customization_jobs: int = Field(default=10, ge=1)
    max_custom_models: int = Field(default=100, ge=1)
    max_deployments: int = Field(default=10, ge=1)


class EvaluateSettings(RunSettings):
    data_bucket: str
    bedrock_role_arn: str
    idempotency_table: str
    evaluation_concurrency: int = Field(default=8, ge=1, le=64)


class PromoteSettings(GateSettings, RunSettings):
    data_bucket: str
    active_model_parameter: str
    idempotency_table: str


class WatchSettings(RunSettings):
    data_bucket: str
    generations_table: str
    labels_table: str
    label_queue_url: str


class GenerationSettings(Settings):
    """Settings of every function that moves a generation to another state."""

    data_bucket: str
    generations_table: str
    labels_table: str
    event_bus: str
    watch_queue_url: str
    dead_letter_queue_url: str
    label_queue_url: str


class PlanSettings(GenerationSettings):
    idempotency_table: str
    teacher_model: str


class LabelSettings(Settings):
    data_bucket: str
    generations_table: str
    labels_table: str
    idempotency_table: str
    label_queue_url: str
    dead_letter_queue_url: str
    label_concurrency: int = Field(default=8, ge=1, le=64)
    give_up_after: int = Field(default=15, ge=1, description="failures that are not throttling")


class RouteSettings(Settings):
    data_bucket: str
    results_table: str
    idempotency_table: str
    query_queue_url: str
    dead_letter_queue_url: str
    active_model_parameter: str
    baseline_model: str
    router_concurrency: int = Field(default=16, ge=1, le=64)
    result_days: int = Field(default=30, ge=1)
    active_model_cache_seconds: int = Field(default=15, ge=1)
    give_up_after: int = Field(default=15, ge=1, description="failures that are not throttling")
