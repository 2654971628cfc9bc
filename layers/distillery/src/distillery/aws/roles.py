"""The role that Bedrock works with (IAM): who may assume it, and what it may do."""

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
        """The document that says who may assume the role; raises Missing."""
        name = role_arn.rsplit("/", 1)[-1]
        with clients.explained(f"find the role {name}"):
            document: Any = self._client.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
        # The SDK has decoded it; the service sends text.
        return dict(json.loads(document) if isinstance(document, str) else document)

    def may(self, role_arn: str, action: str, resource: str) -> bool:
        """Whether the role's own policies allow an action; a bucket's policy is not looked at."""
        # The list of resources is left at one: an answer then has one result.
        with clients.explained(f"ask what {role_arn} may do"):
            answer = self._client.simulate_principal_policy(
                PolicySourceArn=role_arn, ActionNames=[action], ResourceArns=[resource]
            )
        return all(result["EvalDecision"] == "allowed" for result in answer["EvaluationResults"])
