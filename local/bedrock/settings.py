"""How long things take in the local Bedrock; every field is an environment variable of the server."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """Durations in seconds. `DISTILLERY_<FIELD IN CAPITALS>` sets a field when the server starts."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    job_seconds: float = Field(6.0, ge=0)
    """A customization job, at least; real training can take longer."""
    model_seconds: float = Field(0.0, ge=0)
    """How long a custom model stays `Creating` after its job has completed."""
    deployment_seconds: float = Field(2.0, ge=0)
    evaluation_seconds: float = Field(2.0, ge=0)
    latency_scale: float = Field(0.02, ge=0, le=1)
    """The share of a model's latency that a call really waits; the latency told is the whole one."""
    requests_per_minute: int = Field(2_000, ge=1)
    """Quota over all custom Nova Micro deployments; its minute shrinks with `latency_scale`."""

    @classmethod
    def from_environment(cls, environment: dict[str, str]) -> Settings:
        """Settings from `DISTILLERY_*` variables; raises ValueError for a value that makes no sense."""
        named = {name: environment.get(f"DISTILLERY_{name.upper()}") for name in cls.model_fields}
        return cls.model_validate({name: value for name, value in named.items() if value})
