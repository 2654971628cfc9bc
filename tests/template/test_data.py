"""The bucket, the tables and the active-model parameter protect their data, and derived data expires."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from distillery.aws.bucket import EXPIRING
from distillery.runs.states import Stage
from distillery.task.channels import default_channel_config, dump_channel_config
from tests.template.template_reader import walk

if TYPE_CHECKING:
    from tests.template.template_reader import Template

RETAINED = {
    "DataBucket": "AWS::S3::Bucket",
    "RunsTable": "AWS::DynamoDB::Table",
    "ClaimsTable": "AWS::DynamoDB::Table",
    "GenerationsTable": "AWS::DynamoDB::Table",
    "LabelsTable": "AWS::DynamoDB::Table",
}
"""Logical IDs of the resources that outlive the stack. A changed ID would create an empty resource."""
STATEFUL = {
    "ResultsTable": "AWS::DynamoDB::Table",
    "IdempotencyTable": "AWS::DynamoDB::Table",
    "ActiveModelParameter": "AWS::SSM::Parameter",
    "DeadLetterQueue": "AWS::SQS::Queue",
    "QueryQueue": "AWS::SQS::Queue",
    "LabelQueue": "AWS::SQS::Queue",
    "WatchQueue": "AWS::SQS::Queue",
    "EventBus": "AWS::Events::EventBus",
    "NotificationTopic": "AWS::SNS::Topic",
    "NotificationKey": "AWS::KMS::Key",
}
"""Logical IDs of other resources that hold data or that callers use. A changed ID would replace them."""


def test_no_logical_id_of_a_retained_or_stateful_resource_changes(template: Template) -> None:
    for name, kind in (RETAINED | STATEFUL).items():
        assert template.resources[name]["Type"] == kind, name
    retained = {
        name
        for name, resource in template.resources.items()
        if resource.get("DeletionPolicy", "").startswith("Retain")
    }
    assert retained == set(RETAINED)
    # A stack that could not be created leaves nothing behind.
    assert all(template.resources[name]["DeletionPolicy"] == "RetainExceptOnCreate" for name in RETAINED)
    assert all(template.resources[name]["UpdateReplacePolicy"] == "Retain" for name in RETAINED)


def test_the_bucket_is_versioned_encrypted_private_and_requires_tls(template: Template) -> None:
    bucket = template.properties("DataBucket")
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["NotificationConfiguration"]["EventBridgeConfiguration"] == {"EventBridgeEnabled": True}
    policy = template.properties("DataBucketPolicy")["PolicyDocument"]["Statement"]
    assert [(s["Effect"], s["Principal"], s["Condition"]) for s in policy] == [
        ("Deny", "*", {"Bool": {"aws:SecureTransport": "false"}})
    ]
    assert template.resolve(policy[0]["Resource"], {}) == ["DataBucket.Arn", "DataBucket.Arn/*"]


def lifecycle_rules(template: Template, *, optional: bool = False) -> list[dict[str, Any]]:
    """The rules that always exist, or those that depend on a condition."""
    rules = template.properties("DataBucket")["LifecycleConfiguration"]["Rules"]
    return (
        [rule["Fn::If"][1] for rule in rules if "Fn::If" in rule]
        if optional
        else [rule for rule in rules if "Fn::If" not in rule]
    )


def test_files_of_runs_are_kept_unless_asked_and_never_the_active_models_configuration(
    template: Template, parameters: dict[str, Any]
) -> None:
    (rule,) = lifecycle_rules(template, optional=True)
    assert (rule["Prefix"], rule["ExpirationInDays"]) == ("runs/", {"Ref": "RunExpiryDays"})
    # A channel configuration is far smaller, so the router always finds the one of the active model's run.
    assert int(rule["ObjectSizeGreaterThan"]) >= 10 * len(dump_channel_config(default_channel_config()))
    expiry = parameters["RunExpiryDays"]
    assert expiry["Default"] == 0
    # No file expires while its run may still need it.
    longest = sum(parameters[f"{stage.value.capitalize()}DeadlineSeconds"]["MaxValue"] for stage in Stage)
    assert min(days for days in expiry["AllowedValues"] if days) * 86_400 > longest


def test_predictions_results_and_noncurrent_versions_expire(template: Template) -> None:
    rules = {rule["Id"]: rule for rule in lifecycle_rules(template)}
    assert all(rule["Status"] == "Enabled" for rule in rules.values())
    assert rules["predictions"]["TagFilters"] == [{"Key": k, "Value": v} for k, v in EXPIRING.items()]
    assert rules["results"]["Prefix"] == "results/"
    for name in ("predictions", "results"):
        assert rules[name]["ExpirationInDays"] == {"Ref": "ExpiryDays"}
    assert rules["replaced-versions"]["NoncurrentVersionExpiration"]["NoncurrentDays"] == {
        "Ref": "ExpiryDays"
    }
    assert rules["aborted-uploads"]["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] > 0


@pytest.mark.parametrize(
    ("table", "key", "expiry"),
    [
        ("RunsTable", "run_id", None),
        ("ResultsTable", "query_id", "expires_at"),
        ("ClaimsTable", "claim", None),
        ("GenerationsTable", "generation_id", None),
        ("LabelsTable", "generation_id", None),
        ("IdempotencyTable", "id", "expiration"),
    ],
)
def test_a_table_has_its_key_expiry_and_protection(
    template: Template, table: str, key: str, expiry: str | None
) -> None:
    properties = template.properties(table)
    assert properties["KeySchema"][0] == {"AttributeName": key, "KeyType": "HASH"}
    assert len(properties["KeySchema"]) == 1 + (table == "LabelsTable")
    assert properties["BillingMode"] == "PAY_PER_REQUEST"
    assert properties["SSESpecification"]["SSEEnabled"] is True
    if expiry:
        assert properties["TimeToLiveSpecification"] == {"AttributeName": expiry, "Enabled": True}
    else:
        # These tables hold what was paid for: they outlive the stack and can be restored.
        assert properties["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True
        assert table in RETAINED


def test_no_deployment_of_the_stack_overwrites_the_active_model(template: Template) -> None:
    properties = template.properties("ActiveModelParameter")
    assert properties["Value"] == "{}"
    assert properties["Name"] == {"Fn::Sub": "/${AWS::StackName}/active-model"}
    references = {node["Ref"] for node in walk(properties) if isinstance(node, dict) and "Ref" in node}
    # CloudFormation writes `{}` over the active model when any property changes, the description included.
    assert references == set()
    assert properties["Type"] == "String"
    assert properties["Description"] == "The model that the router asks"
    assert set(properties) == {"Name", "Type", "Value", "Description"}
