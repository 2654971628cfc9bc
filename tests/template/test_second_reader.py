"""moto's CloudFormation creates the stack: a second reader of the template, with its own rules.

It finds what a linter does not: references that do not resolve, circular dependencies, and properties that a
service refuses. What it lacks is listed by name, so that a new gap does not go unnoticed.
"""

from __future__ import annotations

import copy
import json
import warnings
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from tests.template.stack import FUNCTIONS
from tools.translate import REGION, UPLOADED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.template.template_reader import Template

LACKING = {
    "AWS::CloudWatch::Alarm",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::TopicPolicy",
    "AWS::SQS::QueuePolicy",
}
"""Types of resources that moto does not create."""
STACK = "distillery"


def readable(content: dict[str, Any]) -> dict[str, Any]:
    """The template without what moto gets wrong: the value of a reference to a bus is not the bus's name."""
    named = json.dumps(content).replace('{"Ref": "EventBus"}', '{"Fn::Sub": "${AWS::StackName}"}')
    changed: dict[str, Any] = json.loads(named)
    for resource in changed["Resources"].values():
        if "EventBusName" in resource.get("Properties", {}):
            resource["DependsOn"] = "EventBus"
    return changed


@pytest.fixture(scope="module")
def stack(template: Template) -> Iterator[dict[str, Any]]:
    """The stack as moto describes it, in memory, with the default parameters."""
    bucket, key = UPLOADED.removeprefix("s3://").split("/")
    with mock_aws(), warnings.catch_warnings():
        # moto warns of each type that it does not create; `LACKING` has them.
        warnings.simplefilter("ignore")
        s3, formation = boto3.client("s3", REGION), boto3.client("cloudformation", REGION)
        s3.create_bucket(Bucket=bucket)
        s3.put_object(Bucket=bucket, Key=key, Body=b"code")
        # The template is larger than a request may be.
        body = json.dumps(readable(copy.deepcopy(template.content))).encode()
        s3.put_object(Bucket=bucket, Key="template.json", Body=body)
        formation.create_stack(
            StackName=STACK,
            TemplateURL=f"https://{bucket}.s3.amazonaws.com/template.json",
            Capabilities=["CAPABILITY_IAM"],
        )
        yield dict(formation.describe_stacks(StackName=STACK)["Stacks"][0])


def test_the_stack_is_created_except_for_what_the_second_reader_lacks(
    stack: dict[str, Any], template: Template
) -> None:
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    pages = boto3.client("cloudformation", REGION).get_paginator("list_stack_resources")
    created = {
        resource["LogicalResourceId"]
        for page in pages.paginate(StackName=STACK)
        for resource in page["StackResourceSummaries"]
    }
    conditional = {name for name, resource in template.resources.items() if "Condition" in resource}
    lacking = set(template.resources) - created - conditional
    assert {template.resources[name]["Type"] for name in lacking} == LACKING


def test_outputs_and_environment_variables_name_what_was_created(
    stack: dict[str, Any], template: Template
) -> None:
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    buckets = {bucket["Name"] for bucket in boto3.client("s3", REGION).list_buckets()["Buckets"]}
    assert outputs["DataBucketName"] in buckets
    queues = set(boto3.client("sqs", REGION).list_queues()["QueueUrls"])
    assert {value for name, value in outputs.items() if name.endswith("QueueUrl")} == queues
    tables = set(boto3.client("dynamodb", REGION).list_tables()["TableNames"])
    assert {value for name, value in outputs.items() if name.endswith("TableName")} < tables
    parameter = boto3.client("ssm", REGION).get_parameter(Name=outputs["ActiveModelParameter"])
    assert parameter["Parameter"]["Value"] == "{}"
    functions = boto3.client("lambda", REGION).list_functions()["Functions"]
    assert len(functions) == len(FUNCTIONS)
    names = buckets | queues | tables | set(outputs.values())
    for function in functions:
        for name, value in function["Environment"]["Variables"].items():
            if name.endswith(("_TABLE", "_QUEUE_URL", "_BUCKET", "EVENT_BUS")):
                assert value in names, (function["FunctionName"], name)


def test_every_queue_consumer_is_mapped_to_its_queue(stack: dict[str, Any]) -> None:
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    mappings = boto3.client("lambda", REGION).list_event_source_mappings()["EventSourceMappings"]
    assert len({mapping["EventSourceArn"] for mapping in mappings}) == 3
