"""Custom models and their on-demand deployments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from distillery.aws import clients
from distillery.aws.bedrock.jobs import NAME_IN_USE
from distillery.errors import Transient

if TYPE_CHECKING:
    from mypy_boto3_bedrock import BedrockClient


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment as Bedrock reports it; the status is `Creating`, `Active` or `Failed`."""

    arn: str
    name: str
    status: str
    failure: str


class Deployments:
    """The account's custom models and deployments."""

    def __init__(self, client: BedrockClient | None = None) -> None:
        self._client: BedrockClient = client or clients.client("bedrock")

    def model_status(self, model_arn: str) -> str:
        """Return `Creating`, `Active` or `Failed`. Only an active model can be deployed."""
        with clients.explained("find the custom model"):
            return str(self._client.get_custom_model(modelIdentifier=model_arn).get("modelStatus", "Active"))

    def start(self, name: str, model_arn: str) -> Deployment:
        """Deploy a model under a name, or return the deployment that has the name.

        Raises Transient when the name is in use but Bedrock does not find the deployment yet.
        """
        with clients.explained("deploy the model"):
            try:
                arn = self._client.create_custom_model_deployment(
                    modelDeploymentName=name,
                    modelArn=model_arn,
                    clientRequestToken=name,
                    tags=[{"key": "distillery:run", "value": name}],
                )["customModelDeploymentArn"]
            except ClientError as failure:
                # Bedrock documents no conflict error, so the existing deployment shows whether the name was
                # in use.
                existing = self.find(name)
                if existing is None and NAME_IN_USE in clients.error_message(failure):
                    raise Transient(f"The deployment {name} exists but is not found yet.") from failure
                if existing is None or existing.status == "Failed":
                    raise
                return existing
        # The deployment exists, so its ARN is kept even if a read does not find it yet.
        return self.find(arn) or Deployment(arn, name, "Creating", failure="")

    def get(self, identifier: str) -> Deployment:
        """Return a deployment by name or ARN. Raises Missing."""
        with clients.explained(f"find the deployment {identifier}"):
            details = self._client.get_custom_model_deployment(customModelDeploymentIdentifier=identifier)
        return Deployment(
            arn=details["customModelDeploymentArn"],
            name=details["modelDeploymentName"],
            status=details["status"],
            failure=details.get("failureMessage", ""),
        )

    def find(self, identifier: str) -> Deployment | None:
        """Return a deployment by name or ARN, or None."""
        try:
            return self.get(identifier)
        except clients.Missing:
            return None

    def count(self) -> int:
        """Count the account's deployments in any status."""
        with clients.explained("list the deployments"):
            pages = self._client.get_paginator("list_custom_model_deployments").paginate()
            return sum(len(page.get("modelDeploymentSummaries", [])) for page in pages)

    def count_models(self) -> int:
        """Count the account's custom models."""
        with clients.explained("list the custom models"):
            pages = self._client.get_paginator("list_custom_models").paginate(isOwned=True)
            return sum(len(page.get("modelSummaries", [])) for page in pages)

    def delete(self, identifier: str) -> None:
        """Delete a deployment. Does nothing when it does not exist."""
        # Only tagged deployments may be deleted, so the deletion of one that is missing could be denied.
        deployment = self.find(identifier)
        if deployment is None:
            return
        try:
            with clients.explained(f"delete the deployment {identifier}"):
                self._client.delete_custom_model_deployment(customModelDeploymentIdentifier=deployment.arn)
        except clients.Missing:
            return
