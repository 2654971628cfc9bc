"""The IAM role that Bedrock assumes: its trust policy and what it allows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from distillery.aws import clients

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient


class Roles:
    """The account's roles, by ARN."""

    def __init__(self, client: IAMClient | None = None) -> None:
        self._client: IAMClient = client or clients.client("iam")

    def trust_policy(self, role_arn: str) -> dict[str, Any]:
        """Return the role's trust policy. Raises Missing when the role does not exist."""
        name = role_arn.rsplit("/", 1)[-1]
        with clients.explained(f"find the role {name}"):
            document: Any = self._client.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
        # boto3 decodes the policy; the service sends it as text.
        return dict(json.loads(document) if isinstance(document, str) else document)

    def is_allowed(self, role_arn: str, action: str, resource: str) -> bool:
        """Whether the role's policies allow an action. A bucket policy is not evaluated."""
        # One action on one resource, so that the response has one result.
        with clients.explained(f"simulate the policies of {role_arn}"):
            response = self._client.simulate_principal_policy(
                PolicySourceArn=role_arn, ActionNames=[action], ResourceArns=[resource]
            )
        return all(result["EvalDecision"] == "allowed" for result in response["EvaluationResults"])
