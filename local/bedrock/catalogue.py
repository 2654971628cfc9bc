"""The foundation models and inference profiles of the Bedrock emulator.

Facts and dates are those of AWS's documentation of model lifecycles. AWS keeps a legacy model available to
accounts that already use it, so legacy models work here until their end of life. The provider name says
that the model is emulated; the service model limits it to 20 characters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from distillery.cost.lifecycles import LITE, MICRO, PREMIER, PRO
from local.bedrock.errors import invalid, not_found

ACCOUNT = "123456789012"
REGION = "us-east-1"
PROFILE_REGIONS = ("us-east-1", "us-east-2", "us-west-2")
"""The Regions that a `us.` profile may call; the caller needs permission for the model in each of them."""
GEOGRAPHY = "us."

LocalModelName = Literal["teacher", "baseline", "untuned"]


@dataclass(frozen=True, slots=True)
class FoundationModel:
    """One model of the catalogue. `emulated_by` names the local model that answers its calls."""

    model_id: str
    name: str
    provider: str
    emulated_by: LocalModelName
    on_demand: bool = True
    profile: bool = True
    customizable: bool = False
    legacy_since: datetime | None = None
    end_of_life: datetime | None = None

    @property
    def arn(self) -> str:
        return foundation_arn(self.model_id)

    def is_past_end_of_life(self, now: datetime) -> bool:
        """Whether the end of life has passed."""
        return self.end_of_life is not None and now >= self.end_of_life

    def details(self) -> dict[str, Any]:
        """Return the model as GetFoundationModel and ListFoundationModels describe it."""
        lifecycle: dict[str, Any] = {"status": "LEGACY" if self.legacy_since else "ACTIVE"}
        if self.legacy_since:
            lifecycle["legacyTime"] = self.legacy_since
        if self.end_of_life:
            lifecycle["endOfLifeTime"] = self.end_of_life
        inference = ["ON_DEMAND"] if self.on_demand else []
        return {
            "modelArn": self.arn,
            "modelId": self.model_id,
            "modelName": self.name,
            "providerName": f"Emulated ({self.provider})",
            "inputModalities": ["TEXT"],
            "outputModalities": ["TEXT"],
            "responseStreamingSupported": False,
            "customizationsSupported": ["FINE_TUNING", "DISTILLATION"] if self.customizable else [],
            "inferenceTypesSupported": ["PROVISIONED"] if self.customizable else inference,
            "modelLifecycle": lifecycle,
        }


def refuse_past_end_of_life(model: FoundationModel, now: datetime) -> None:
    """Raise ResourceNotFoundException for a model whose end of life has passed."""
    if model.is_past_end_of_life(now):
        raise not_found(f"The model {model.model_id} has reached its end of life.")


def foundation_arn(model_id: str, region: str = REGION) -> str:
    """Return a foundation model's ARN, which has no account id."""
    return f"arn:aws:bedrock:{region}::foundation-model/{model_id}"


def profile_arn(profile_id: str) -> str:
    """Return the ARN of a system-defined inference profile in the local account."""
    return f"arn:aws:bedrock:{REGION}:{ACCOUNT}:inference-profile/{profile_id}"


HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"

_MODELS = (
    FoundationModel(MICRO, "Nova Micro", "Amazon", "untuned"),
    FoundationModel(f"{MICRO}:128k", "Nova Micro", "Amazon", "untuned", False, False, True),
    FoundationModel(LITE, "Nova Lite", "Amazon", "untuned"),
    FoundationModel(f"{LITE}:300k", "Nova Lite", "Amazon", "untuned", False, False, True),
    FoundationModel(PRO, "Nova Pro", "Amazon", "teacher"),
    FoundationModel(f"{PRO}:300k", "Nova Pro", "Amazon", "teacher", False, False, True),
    FoundationModel(
        PREMIER,
        "Nova Premier",
        "Amazon",
        "teacher",
        on_demand=False,
        legacy_since=datetime(2026, 3, 13, tzinfo=UTC),
        end_of_life=datetime(2026, 9, 14, tzinfo=UTC),
    ),
    FoundationModel(HAIKU, "Claude Haiku 4.5", "Anthropic", "baseline", on_demand=False),
)


@dataclass(frozen=True, slots=True)
class Target:
    """The model of a call, and every ARN on which the caller needs permission."""

    model: FoundationModel
    identifier: str
    arns: tuple[str, ...]
    through_profile: bool


class Catalogue:
    """All foundation models. Fault injection can override the lifecycle of a model."""

    def __init__(self) -> None:
        self._models = {model.model_id: model for model in _MODELS}

    def all(self) -> list[FoundationModel]:
        return list(self._models.values())

    def get(self, identifier: str) -> FoundationModel:
        """Return a foundation model by id or ARN. Raises ResourceNotFoundException."""
        model = self._models.get(identifier.removeprefix(foundation_arn("")))
        if model is None:
            raise not_found(
                f"Could not resolve the foundation model from the provided model identifier: {identifier}."
            )
        return model

    def target(self, identifier: str) -> Target:
        """Return the model to call for a model or profile, by id or ARN. Raises ValidationException."""
        bare_id = identifier.removeprefix(foundation_arn("")).removeprefix(profile_arn(""))
        through_profile = bare_id.startswith(GEOGRAPHY)
        model = self._models.get(bare_id.removeprefix(GEOGRAPHY))
        if model is None or (through_profile and not model.profile):
            raise invalid("The provided model identifier is invalid.")
        if not through_profile:
            return Target(model, bare_id, (model.arn,), through_profile)
        regional = (foundation_arn(model.model_id, region) for region in PROFILE_REGIONS)
        return Target(model, bare_id, (profile_arn(bare_id), *regional), through_profile)

    def override(self, model_id: str, *, legacy_since: datetime | None, end_of_life: datetime | None) -> None:
        """Replace the lifecycle of a model."""
        model = self.get(model_id)
        self._models[model.model_id] = replace(model, legacy_since=legacy_since, end_of_life=end_of_life)
