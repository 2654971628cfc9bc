"""On-demand deployments of custom models."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from local.bedrock.errors import conflict, invalid, not_found, over_quota
from local.bedrock.store import Deployment, find, listed, new_arn, now

if TYPE_CHECKING:
    from local.bedrock.context import Context
    from local.bedrock.iam import Caller
    from local.bedrock.store import CustomModel

MAX_DEPLOYMENTS = 10
MAX_IN_PROGRESS = 2


class Deployments:
    """The operations on custom model deployments."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._store = context.store

    async def create(self, caller: Caller, params: dict[str, Any]) -> dict[str, Any]:
        """CreateCustomModelDeployment: the model must be Active and the name unused."""
        arn = new_arn("custom-model-deployment")
        caller.require_any("bedrock:CreateCustomModelDeployment", [params["modelArn"], arn])
        if params.get("tags"):
            caller.require("bedrock:TagResource", [arn])
        earlier = self._store.arn_of_token("deployment", params)
        if earlier:
            return {"customModelDeploymentArn": earlier}
        self._active_model(params["modelArn"])
        name = params["modelDeploymentName"]
        present = self._store.deployments.values()
        if any(deployment.name == name for deployment in present):
            raise invalid("The provided model deployment name is currently in use.")
        if len(present) >= MAX_DEPLOYMENTS:
            raise over_quota(f"An account can have {MAX_DEPLOYMENTS} custom model deployments.")
        if sum(deployment.status == "Creating" for deployment in present) >= MAX_IN_PROGRESS:
            raise over_quota(f"An account can have {MAX_IN_PROGRESS} custom model deployments in progress.")
        deployment = Deployment(arn, name, params["modelArn"], params.get("description", ""))
        self._store.tag(arn, params.get("tags", []))
        self._store.deployments[arn] = deployment
        self._store.keep_token("deployment", params, arn)
        self._context.spawn(self._start(deployment))
        return {"customModelDeploymentArn": arn}

    def _active_model(self, arn: str) -> CustomModel:
        model = self._store.models.get(arn)
        if model is None:
            raise not_found(f"Could not find the custom model {arn}.")
        if model.status != "Active":
            raise invalid(f"The custom model {arn} is {model.status}; only an Active model can be deployed.")
        return model

    async def _start(self, deployment: Deployment) -> None:
        await asyncio.sleep(self._context.settings.deployment_seconds)
        fault = self._context.faults.deployment
        if fault == "never":
            return
        deployment.status = "Failed" if fault == "fail" else "Active"
        deployment.failure = "The deployment failed: an injected fault." if fault == "fail" else ""
        deployment.changed = now()

    def _authorised(self, caller: Caller, action: str, params: dict[str, Any]) -> Deployment:
        identifier = params["customModelDeploymentIdentifier"]
        deployment = find(self._store.deployments.values(), identifier)
        missing = identifier if identifier.startswith("arn:") else new_arn("custom-model-deployment")
        arn = deployment.arn if deployment else missing
        caller.require(f"bedrock:{action}", [arn], self._store.tag_context(arn))
        if deployment is None:
            raise not_found(f"Could not find the custom model deployment {identifier}.")
        return deployment

    async def get(self, caller: Caller, params: dict[str, Any]) -> dict[str, Any]:
        """GetCustomModelDeployment, by ARN or name."""
        deployment = self._authorised(caller, "GetCustomModelDeployment", params)
        details: dict[str, Any] = {
            "customModelDeploymentArn": deployment.arn,
            "modelDeploymentName": deployment.name,
            "modelArn": deployment.model_arn,
            "createdAt": deployment.created,
            "lastUpdatedAt": deployment.changed,
            "status": deployment.status,
        }
        if deployment.description:
            details["description"] = deployment.description
        if deployment.failure:
            details["failureMessage"] = deployment.failure
        if deployment.update:
            details["updateDetails"] = deployment.update
        return details

    async def list(self, caller: Caller, params: dict[str, Any]) -> dict[str, Any]:
        """ListCustomModelDeployments."""
        caller.require("bedrock:ListCustomModelDeployments", ["*"])
        model = params.get("modelArnEquals")
        page, more = listed(
            self._store.deployments.values(), params, matches=lambda one: model in {None, one.model_arn}
        )
        return {
            "modelDeploymentSummaries": [
                {
                    "customModelDeploymentArn": deployment.arn,
                    "customModelDeploymentName": deployment.name,
                    "modelArn": deployment.model_arn,
                    "createdAt": deployment.created,
                    "lastUpdatedAt": deployment.changed,
                    "status": deployment.status,
                }
                for deployment in page
            ],
            **more,
        }

    async def update(self, caller: Caller, params: dict[str, Any]) -> dict[str, Any]:
        """UpdateCustomModelDeployment: the previous model answers until the update completes."""
        deployment = self._authorised(caller, "UpdateCustomModelDeployment", params)
        model = self._active_model(params["modelArn"])
        if deployment.status != "Active" or (deployment.update or {}).get("updateStatus") == "Updating":
            raise invalid(f"The custom model deployment {deployment.name} is not ready for an update.")
        deployment.update = {"modelArn": model.arn, "updateStatus": "Updating"}
        deployment.changed = now()
        self._context.spawn(self._swap(deployment, model.arn))
        return {"customModelDeploymentArn": deployment.arn}

    async def _swap(self, deployment: Deployment, model_arn: str) -> None:
        await asyncio.sleep(self._context.settings.deployment_seconds)
        deployment.model_arn, deployment.changed = model_arn, now()
        deployment.update = {"modelArn": model_arn, "updateStatus": "UpdateCompleted"}

    async def delete(self, caller: Caller, params: dict[str, Any]) -> dict[str, Any]:
        """DeleteCustomModelDeployment, also while the deployment is being created."""
        deployment = self._authorised(caller, "DeleteCustomModelDeployment", params)
        if (deployment.update or {}).get("updateStatus") == "Updating":
            raise conflict(f"The custom model deployment {deployment.name} is being updated.")
        del self._store.deployments[deployment.arn]
        self._store.tags.pop(deployment.arn, None)
        return {}
