"""Roles and users with given permissions."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from local.cloud import LocalCloud

from tests.local.bedrock_resources import ACCOUNT, TEACHER


def make_role(
    cloud: LocalCloud,
    statements: list[dict[str, Any]],
    *,
    service: str = "bedrock.amazonaws.com",
    condition: dict[str, Any] | None = None,
) -> str:
    """Create a role with one inline policy. Returns its ARN."""
    iam = cloud.client("iam")
    name = f"role-{uuid.uuid4().hex[:12]}"
    trust: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sts:AssumeRole",
    }
    if condition:
        trust["Condition"] = condition
    document = {"Version": "2012-10-17", "Statement": [trust]}
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(document))["Role"]
    policy = {"Version": "2012-10-17", "Statement": statements}
    if statements:
        iam.put_role_policy(RoleName=name, PolicyName="only", PolicyDocument=json.dumps(policy))
    return str(role["Arn"])


def allow(action: str | list[str], resource: str | list[str] = "*") -> dict[str, Any]:
    """Return an Allow statement."""
    return {"Effect": "Allow", "Action": action, "Resource": resource}


def bedrock_role(cloud: LocalCloud, bucket: str) -> str:
    """Create the service role that the AWS documentation describes."""
    return make_role(
        cloud,
        [
            allow(
                ["s3:GetObject", "s3:PutObject", "s3:ListBucket"],
                [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
            ),
            allow("bedrock:InvokeModel", f"arn:aws:bedrock:us-east-1::foundation-model/{TEACHER}"),
        ],
        condition={
            "StringEquals": {"aws:SourceAccount": ACCOUNT},
            "ArnLike": {
                "aws:SourceArn": [
                    f"arn:aws:bedrock:us-east-1:{ACCOUNT}:model-customization-job/*",
                    f"arn:aws:bedrock:us-east-1:{ACCOUNT}:evaluation-job/*",
                ]
            },
        },
    )


def as_user(cloud: LocalCloud, service: str, statements: list[dict[str, Any]]) -> Any:
    """Return a client of a new user with only these permissions."""
    iam = cloud.client("iam")
    name = f"user-{uuid.uuid4().hex[:12]}"
    iam.create_user(UserName=name)
    if statements:
        policy = {"Version": "2012-10-17", "Statement": statements}
        iam.put_user_policy(UserName=name, PolicyName="only", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return cloud.client(
        service, aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"]
    )
