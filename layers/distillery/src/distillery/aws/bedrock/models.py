"""Foundation models: whether they exist, and their lifecycle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from distillery.aws import clients
from distillery.aws.bedrock.converse import Converse
from distillery.cost.lifecycles import FoundationModel

if TYPE_CHECKING:
    from mypy_boto3_bedrock import BedrockClient

GEOGRAPHIES = ("us.", "eu.", "apac.", "global.")
"""Prefixes that turn a model id into the id of an inference profile."""


def foundation_model_id(model_id: str) -> str:
    """Return the foundation model of an inference profile, such as `us.amazon.nova-pro-v1:0`."""
    prefix = next((prefix for prefix in GEOGRAPHIES if model_id.startswith(prefix)), "")
    return model_id.removeprefix(prefix)


def on_demand_id(model_id: str) -> str:
    """Return the id for on-demand calls. Customization ids add a context length (`...-v1:0:128k`)."""
    parts = model_id.split(":")
    return ":".join(parts[:2])


class FoundationModels:
    """The foundation models of this account and region."""

    def __init__(self, client: BedrockClient | None = None, converse: Converse | None = None) -> None:
        self._client: BedrockClient = client or clients.client("bedrock")
        self._converse = converse or Converse()

    def lacking(self, model_id: str) -> list[str]:
        """Return what the account lacks to use a model, in words; empty when it lacks nothing."""
        with clients.explained(f"read the availability of the model {model_id}"):
            found = self._client.get_foundation_model_availability(
                modelId=on_demand_id(foundation_model_id(model_id))
            )
        agreement = found["agreementAvailability"]
        conditions = [
            (f"its agreement is {agreement['status']}", agreement["status"] == "AVAILABLE"),
            ("the account is not authorized", found["authorizationStatus"] == "AUTHORIZED"),
            ("the account is not entitled to it", found["entitlementAvailability"] == "AVAILABLE"),
            ("this Region does not have it", found["regionAvailability"] == "AVAILABLE"),
        ]
        return [what for what, met in conditions if not met]

    def try_out(self, model_id: str) -> None:
        """Call a model for one token. Raises what a call by the evaluation would raise."""
        self._converse.ask(on_demand_id(model_id), "Answer with one word.", "Ready?", longest=1)

    def get(self, model_id: str) -> FoundationModel:
        """Return a model. Raises Missing when it does not exist in this region."""
        try:
            with clients.explained(f"find the model {model_id}"):
                details = self._client.get_foundation_model(modelIdentifier=foundation_model_id(model_id))[
                    "modelDetails"
                ]
        except clients.Missing as error:
            raise clients.Missing(f"The model {model_id} does not exist in this region.") from error
        lifecycle: Any = details.get("modelLifecycle", {})
        return FoundationModel(
            model_id=model_id,
            name=details.get("modelName", model_id),
            provider=details.get("providerName", "unknown"),
            legacy=lifecycle.get("status") == "LEGACY",
            end_of_life=lifecycle.get("endOfLifeTime"),
        )
