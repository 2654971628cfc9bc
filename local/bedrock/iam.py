"""Authentication and authorization of callers.

MiniStack has no public interface that authorizes requests of another service. Only this module uses its
private policy evaluator and its tables of roles and sessions (pinned version, covered by
tests/local/test_bedrock_permissions.py).
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from ministack.core import iam_evaluator, responses
from ministack.services import iam as roles
from ministack.services import sts

from local.bedrock.catalogue import ACCOUNT, REGION
from local.bedrock.errors import AwsError, denied, invalid

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

SERVICE_PRINCIPAL = "bedrock.amazonaws.com"
_AUTH_CODES = {
    "MissingAuthenticationToken": "MissingAuthenticationTokenException",
    "InvalidClientTokenId": "UnrecognizedClientException",
    "InvalidToken": "UnrecognizedClientException",
    "SignatureDoesNotMatch": "InvalidSignatureException",
    "ExpiredToken": "ExpiredTokenException",
}
"""MiniStack's authentication errors have the codes of AWS's query services; JSON services use these codes."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The identity that signed a request."""

    access_key: str
    region: str

    def require(
        self, action: str, resources: Iterable[str], context: Mapping[str, str] | None = None
    ) -> None:
        """Raise AccessDeniedException unless the action is allowed on every resource."""
        for resource in resources:
            _refuse(_decision(self, action, resource, context), action, resource)

    def require_any(self, action: str, resources: Sequence[str]) -> None:
        """Raise AccessDeniedException unless the action is allowed on one resource and denied on none."""
        decisions = [_decision(self, action, resource, None) for resource in resources]
        explicit = [
            found for found in decisions if getattr(found, "decision", "") != "ImplicitDeny" and found
        ]
        if explicit or None not in decisions:
            _refuse(explicit[0] if explicit else decisions[0], action, resources[0])

    def require_pass_role(self, role_arn: str) -> None:
        """Raise AccessDeniedException unless the caller may pass the role to Bedrock."""
        self.require("iam:PassRole", [role_arn], {"iam:PassedToService": SERVICE_PRINCIPAL})


@dataclass(frozen=True, slots=True)
class Session:
    """Temporary credentials for a job's role."""

    access_key: str
    secret_key: str
    token: str

    def may(self, action: str, resource: str) -> bool:
        """Whether the role's policies allow the action."""
        _in_account(REGION)
        return _decision(Caller(self.access_key, REGION), action, resource, None) is None


def identify(scope: Mapping[str, Any], body: bytes) -> Caller:
    """Return the caller of an ASGI request. The first permission check verifies the signature."""
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    query = parse_qs(scope.get("query_string", b"").decode(), keep_blank_values=True)
    credential = headers.get("authorization", "").partition("Credential=")[2].split(",")[0].split("/")
    access_key, region = credential[0], credential[2]
    _in_account(region)
    iam_evaluator.pin_request_origin((scope.get("client") or ("127.0.0.1",))[0], False)
    iam_evaluator.pin_signed_request(
        scope["method"], scope["raw_path"].decode("latin-1"), query, scope["headers"]
    )
    iam_evaluator.pin_signed_body(body)
    return Caller(access_key, region)


def assume(role_arn: str, source_arn: str) -> Session:
    """Assume a role as the Bedrock service. Raises ValidationException when the role does not allow it.

    MiniStack's STS would treat Bedrock as an ordinary caller without `aws:SourceAccount` and
    `aws:SourceArn`. The trust policy is therefore evaluated here, with the context keys that AWS sets for
    its service principal.
    """
    _in_account(REGION)
    name = role_arn.rsplit("/", 1)[-1]
    role = roles._roles.get(name)
    if role is None or role.get("Arn") != role_arn or not _trusts(role, source_arn):
        raise invalid(
            f"Could not assume the provided IAM role {role_arn}. Make sure that the role exists and that its "
            f"trust policy allows {SERVICE_PRINCIPAL} to assume it for {source_arn}."
        )
    session = Session(f"ASIA{secrets.token_hex(8).upper()}", secrets.token_hex(20), secrets.token_hex(40))
    sts.register_session(
        session.access_key,
        {
            "Arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/AmazonBedrock",
            "UserId": f"{name}:AmazonBedrock",
            "SecretAccessKey": session.secret_key,
            "SessionToken": session.token,
            "AccountId": ACCOUNT,
            "PrincipalType": "AssumedRole",
        },
    )
    return session


def _trusts(role: Mapping[str, Any], source_arn: str) -> bool:
    document = role.get("AssumeRolePolicyDocument", "{}")
    content = json.loads(document) if isinstance(document, str) else document
    statements = content.get("Statement", [])
    # The evaluator treats every service principal as the account's root, so statements for other services
    # are removed first.
    for_bedrock = [
        statement
        for statement in ([statements] if isinstance(statements, dict) else statements)
        if _names_bedrock(statement.get("Principal"))
    ]
    root = f"arn:aws:iam::{ACCOUNT}:root"
    context = iam_evaluator.EvalContext(
        principal_arn=root,
        principal_type="Service",
        principal_account=ACCOUNT,
        action="sts:AssumeRole",
        resource_arn=role["Arn"],
        region=REGION,
        service_context={"aws:sourceaccount": ACCOUNT, "aws:sourcearn": source_arn},
    )
    return bool(iam_evaluator.evaluate_trust_policy({"Statement": for_bedrock}, root, context))


def _names_bedrock(principal: Any) -> bool:
    if principal == "*":
        return True
    services = principal.get("Service", []) if isinstance(principal, dict) else []
    return SERVICE_PRINCIPAL in ([services] if isinstance(services, str) else services)


def _in_account(region: str) -> None:
    """Set MiniStack's context variables for a request's account and Region. There is one account only."""
    responses._request_account_id.set(ACCOUNT)
    responses.set_request_region(region)


def _decision(caller: Caller, action: str, resource: str, context: Mapping[str, str] | None) -> Any:
    """Return None when allowed, otherwise MiniStack's denial or authentication error."""
    return iam_evaluator.enforce(
        caller.access_key,
        action,
        action.partition(":")[0],
        caller.region,
        resource_arn=resource,
        service_context=dict(context) if context else None,
    )


def _refuse(found: Any, action: str, resource: str) -> None:
    if found is None:
        return
    if isinstance(found, iam_evaluator.AuthError):
        raise AwsError(_AUTH_CODES.get(found.code, found.code), found.message)
    reason = (
        "with an explicit deny"
        if found.decision == "Deny"
        else f"because no identity-based policy allows the {action} action"
    )
    raise denied(
        f"User: {found.principal_arn} is not authorized to perform: {action} on resource: {resource} {reason}"
    )
