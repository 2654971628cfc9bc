"""Durations and quotas of the Bedrock emulator. Every field is an environment variable of the server."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """Durations in seconds. `DISTILLERY_<FIELD IN CAPITALS>` sets a field when the server starts."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    job_seconds: float = Field(6.0, ge=0)
    """Shortest duration of a customization job; training can take longer."""
    model_seconds: float = Field(0.0, ge=0)
    """How long a custom model stays `Creating` after its job has completed."""
    deployment_seconds: float = Field(2.0, ge=0)
    evaluation_seconds: float = Field(2.0, ge=0)
    latency_scale: float = Field(0.02, ge=0, le=1)
    """Share of a model's emulated latency that a call waits. The response reports the full latency."""
    requests_per_minute: int = Field(2_000, ge=1)
    """Quota over all custom Nova Micro deployments. Its minute is scaled by `latency_scale`."""

    @classmethod
    def from_environment(cls, environment: dict[str, str]) -> Settings:
        """Settings from `DISTILLERY_*` variables; raises ValueError for a value that is not valid."""
        values = {name: environment.get(f"DISTILLERY_{name.upper()}") for name in cls.model_fields}
        return cls.model_validate({name: value for name, value in values.items() if value})
