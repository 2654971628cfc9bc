"""Foundation models, custom models and tags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local.bedrock.catalogue import ACCOUNT, foundation_arn
from local.bedrock.errors import conflict, not_found
from local.bedrock.store import find, listed, new_arn

if TYPE_CHECKING:
    from local.bedrock.context import Context
    from local.bedrock.iam import Caller
    from local.bedrock.store import CustomModel


class Models:
    """The operations on foundation models, custom models and tags."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._store = context.store

    async def get_foundation(self, caller: Caller, params: dict[str, Any]) -> dict[str, Any]:
        """GetFoundationModel, by id or ARN."""
        identifier = params["modelIdentifier"]
        caller.require(
            "bedrock:GetFoundationModel", [foundation_arn(identifier.removeprefix(foundation_arn("")))]
        )
        return {"modelDetails": self._context.catalogue.get(identifier).details()}

    async def availability(self, caller: Caller, params: dict[str, Any]) -> dict[str, Any]:
        """GetFoundationModelAvailability. The account may use every model of the catalogue."""
        caller.require("bedrock:GetFoundationModelAvailability", ["*"])
        self._context.catalogue.get(params["modelId"])
        return {
            "modelId": params["modelId"],
            "agreementAvailability": {"status": "AVAILABLE"},
            "authorizationStatus": "AUTHORIZED",
            "entitlementAvailability": "AVAILABLE",
            "regionAvailability": "AVAILABLE",
        }

    async def list_foundation(self, caller: Caller, params: dict[str, Any]) -> dict[str, Any]:
        """ListFoundationModels with its four filters."""
        caller.require("bedrock:ListFoundationModels", ["*"])
        filters = {
            "byCustomizationType": "customizationsSupported",
            "byOutputModality": "outputModalities",
            "byInferenceType": "inferenceTypesSupported",
        }
        criteria = [(filters[name], value) for name, value in params.items() if name in filters]
        found = [
            model.details()
            for model in self._context.catalogue.all()
            if params.get("byProvider", model.provider).lower() == model.provider.lower()
        ]
        return {
            "modelSummaries": [
                details for details in found if all(value in details[member] for member, value in criteria)
            ]
        }

    def _authorised(self, caller: Caller, action: str, params: dict[str, Any]) -> CustomModel:
        identifier = params["modelIdentifier"]
        model = find(self._store.models.values(), identifier)
        missing = identifier if identifier.startswith("arn:") else new_arn("custom-model", identifier)
        caller.require(f"bedrock:{action}", [model.arn if model else missing])
        if model is None:
            raise not_found(f"Could not find the custom model {identifier}.")
        return model

    async def get_custom(self, caller: Caller, params: dict[str, Any]) -> dict[str, Any]:
        """GetCustomModel, by ARN or name."""
        model = self._authorised(caller, "GetCustomModel", params)
        request = model.job.request
        return {
            "modelArn": model.arn,
            "modelName": model.name,
            "jobName": model.job.name,
            "jobArn": model.job.arn,
            "baseModelArn": foundation_arn(model.job.base_model),
            "customizationType": request["customizationType"],
            "hyperParameters": {},
            "trainingDataConfig": request["trainingDataConfig"],
            "validationDataConfig": request.get("validationDataConfig", {"validators": []}),
            "outputDataConfig": request["outputDataConfig"],
            "trainingMetrics": {"trainingLoss": model.job.loss or 0.0},
            "creationTime": model.created,
            "customizationConfig": request["customizationConfig"],
            "modelStatus": model.status,
        }

    async def list_custom(self, caller: Caller, params: dict[str, Any]) -> dict[str, Any]:
        """ListCustomModels. The account owns every model."""
        caller.require("bedrock:ListCustomModels", ["*"])
        base = params.get("baseModelArnEquals") or params.get("foundationModelArnEquals")
        page, more = listed(
            self._store.models.values(),
            params,
            matches=lambda model: (
                params.get("isOwned", True) and base in {None, foundation_arn(model.job.base_model)}
            ),
        )
        return {"modelSummaries": [_summary(model) for model in page], **more}

    async def delete_custom(self, caller: Caller, params: dict[str, Any]) -> dict[str, Any]:
        """DeleteCustomModel: the model must have no deployments."""
        model = self._authorised(caller, "DeleteCustomModel", params)
        if any(deployment.model_arn == model.arn for deployment in self._store.deployments.values()):
            raise conflict(f"The custom model {model.name} has deployments; delete them first.")
        del self._store.models[model.arn]
        self._store.tags.pop(model.arn, None)
        return {}

    # Tags

    def _taggable(self, caller: Caller, action: str, params: dict[str, Any]) -> str:
        arn = str(params["resourceARN"])
        caller.require(f"bedrock:{action}", [arn])
        if not self._store.exists(arn):
            raise not_found(f"Could not find the resource {arn}.")
        return arn

    async def tag(self, caller: Caller, params: dict[str, Any]) -> dict[str, Any]:
        """TagResource."""
        self._store.tag(self._taggable(caller, "TagResource", params), params["tags"])
        return {}

    async def untag(self, caller: Caller, params: dict[str, Any]) -> dict[str, Any]:
        """UntagResource. A missing tag is not an error."""
        tags = self._store.tags.get(self._taggable(caller, "UntagResource", params), {})
        for key in params["tagKeys"]:
            tags.pop(key, None)
        return {}

    async def tags(self, caller: Caller, params: dict[str, Any]) -> dict[str, Any]:
        """ListTagsForResource."""
        tags = self._store.tags.get(self._taggable(caller, "ListTagsForResource", params), {})
        return {"tags": [{"key": key, "value": value} for key, value in tags.items()]}


def _summary(model: CustomModel) -> dict[str, Any]:
    return {
        "modelArn": model.arn,
        "modelName": model.name,
        "creationTime": model.created,
        "baseModelArn": foundation_arn(model.job.base_model),
        "baseModelName": model.job.base_model.split(":")[0],
        "customizationType": model.job.request["customizationType"],
        "ownerAccountId": ACCOUNT,
        "modelStatus": model.status,
    }
