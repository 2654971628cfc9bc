"""The foundation models and inference profiles of the local Bedrock.

Facts and dates are those of AWS's documentation of model lifecycles. The account is taken to be one that uses
its legacy models, so they work until their end. The name of the provider says that a stand-in answers; the
service allows it 20 characters.
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
"""Where a `us.` profile may send a call; the caller needs the model in each of them."""
GEOGRAPHY = "us."

StandIn = Literal["teacher", "baseline", "untuned"]


@dataclass(frozen=True, slots=True)
class FoundationModel:
    """One model of the catalogue. `stand_in` is the local model that answers for it."""

    model_id: str
    name: str
    provider: str
    stand_in: StandIn
    on_demand: bool = True
    profile: bool = True
    customizable: bool = False
    legacy_since: datetime | None = None
    end_of_life: datetime | None = None

    @property
    def arn(self) -> str:
        return foundation_arn(self.model_id)

    def ended(self, now: datetime) -> bool:
        """Whether its end of life has passed."""
        return self.end_of_life is not None and now >= self.end_of_life

    def details(self) -> dict[str, Any]:
        """As GetFoundationModel and ListFoundationModels tell of it."""
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


def refuse_ended(model: FoundationModel, now: datetime) -> None:
    """Raise ResourceNotFoundException for a model whose end of life has passed."""
    if model.ended(now):
        raise not_found(f"The model {model.model_id} has reached the end of its life.")


def foundation_arn(model_id: str, region: str = REGION) -> str:
    """A foundation model's ARN (it belongs to no account)."""
    return f"arn:aws:bedrock:{region}::foundation-model/{model_id}"


def profile_arn(profile_id: str) -> str:
    """A system-defined inference profile's ARN as the local account sees it."""
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
    """A model as a caller named it, and every ARN on which the call must be allowed."""

    model: FoundationModel
    identifier: str
    arns: tuple[str, ...]
    through_profile: bool


class Catalogue:
    """The models as of now; a lifecycle can be overridden to rehearse a model's end."""

    def __init__(self) -> None:
        self._models = {model.model_id: model for model in _MODELS}

    def all(self) -> list[FoundationModel]:
        return list(self._models.values())

    def get(self, identifier: str) -> FoundationModel:
        """A foundation model by id or ARN; raises ResourceNotFoundException."""
        model = self._models.get(identifier.removeprefix(foundation_arn("")))
        if model is None:
            raise not_found(
                f"Could not resolve the foundation model from the provided model identifier: {identifier}."
            )
        return model

    def target(self, identifier: str) -> Target:
        """A foundation model or profile to call, by id or ARN; raises ValidationException."""
        plain = identifier.removeprefix(foundation_arn("")).removeprefix(profile_arn(""))
        through_profile = plain.startswith(GEOGRAPHY)
        model = self._models.get(plain.removeprefix(GEOGRAPHY))
        if model is None or (through_profile and not model.profile):
            raise invalid("The provided model identifier is invalid.")
        if not through_profile:
            return Target(model, plain, (model.arn,), through_profile)
        regional = (foundation_arn(model.model_id, region) for region in PROFILE_REGIONS)
        return Target(model, plain, (profile_arn(plain), *regional), through_profile)

    def override(self, model_id: str, *, legacy_since: datetime | None, end_of_life: datetime | None) -> None:
        """Give a model another lifecycle."""
        model = self.get(model_id)
        self._models[model.model_id] = replace(model, legacy_since=legacy_since, end_of_life=end_of_life)
