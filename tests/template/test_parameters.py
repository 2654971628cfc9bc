"""Parameters are described and bounded, and outputs and physical names are those that callers rely on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from tools.translate import ROOT

if TYPE_CHECKING:
    from tests.template.template_reader import Template

OUTPUTS = {
    "DataBucketName",
    "QueryQueueUrl",
    "DeadLetterQueueUrl",
    "WatchQueueUrl",
    "RunsTableName",
    "ClaimsTableName",
    "ResultsTableName",
    "LabelQueueUrl",
    "GenerationsTableName",
    "LabelsTableName",
    "TeacherModelId",
    "EventBusName",
    "NotificationTopicArn",
    "NotificationWarning",
    "ActiveModelParameter",
}
NAME_PROPERTIES = {
    "AWS::CloudWatch::Alarm": "AlarmName",
    "AWS::DynamoDB::Table": "TableName",
    "AWS::Events::Rule": "Name",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::IAM::Role": "RoleName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::SNS::Topic": "TopicName",
    "AWS::SQS::Queue": "QueueName",
    "AWS::Serverless::Function": "FunctionName",
    "AWS::Serverless::LayerVersion": "LayerName",
}


def test_every_parameter_is_described_bounded_and_grouped(
    written: Template, parameters: dict[str, Any]
) -> None:
    groups = written.content["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    shown = [name for group in groups for name in group["Parameters"]]
    assert sorted(shown) == sorted(parameters)
    for name, parameter in parameters.items():
        assert parameter["Description"], name
        assert "Default" in parameter, name
        bounded = {"MinValue", "MaxValue"} <= set(parameter)
        assert bounded or "AllowedValues" in parameter or "AllowedPattern" in parameter, name
        if "AllowedPattern" in parameter:
            assert parameter["ConstraintDescription"], name


@pytest.mark.parametrize(
    ("value", "accepted"),
    [
        ("amazon.nova-pro-v1:0", True),
        ("us.amazon.nova-premier-v1:0", True),
        ("eu.anthropic.claude-haiku-4-5-20251001-v1:0", False),
        ("global.anthropic.claude-haiku-4-5-20251001-v1:0", False),
        ("nova", False),
        ("", False),
    ],
)
def test_a_model_id_that_the_permissions_do_not_cover_is_refused(
    parameters: dict[str, Any], value: str, accepted: bool
) -> None:
    for name in ("TeacherModelId", "BaselineModelId", "JudgeModelId"):
        assert bool(re.fullmatch(parameters[name]["AllowedPattern"], value)) is accepted


def test_the_layer_is_built_for_the_default_runtime_and_architecture(parameters: dict[str, Any]) -> None:
    makefile = (ROOT / "layers/distillery/Makefile").read_text("utf-8")
    runtime = parameters["FunctionRuntime"]["Default"].removeprefix("python")
    assert f"LAYER_PYTHON ?= {runtime}\n" in makefile
    assert f"LAYER_ARCHITECTURE ?= {parameters['FunctionArchitecture']['Default']}\n" in makefile


def test_the_stack_has_the_outputs_that_callers_read(written: Template) -> None:
    assert set(written.content["Outputs"]) == OUTPUTS


def test_a_deployment_without_an_email_address_says_that_nobody_is_notified(written: Template) -> None:
    output = written.content["Outputs"]["NotificationWarning"]
    condition = written.content["Conditions"][output["Condition"]]
    assert condition == {"Fn::Equals": [{"Ref": "NotificationEmail"}, ""]}
    assert "nobody learns that a run waits for approval" in output["Value"]


def test_only_the_parameter_and_the_bus_have_a_physical_name(written: Template) -> None:
    # Callers know the parameter by its name, and CloudFormation requires a name for a bus.
    for name, resource in written.resources.items():
        assert NAME_PROPERTIES.get(resource["Type"], "") not in resource.get("Properties", {}), name
