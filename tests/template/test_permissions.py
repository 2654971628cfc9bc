"""A role allows what its function needs and nothing else."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from distillery.earlier_names import CHANNEL_CONFIG_FILE
from distillery.runs import events
from tests.template.stack import FUNCTIONS, resources_of, roles, statements

if TYPE_CHECKING:
    from tests.template.template_reader import Statement, Template

TRIGGERS = ("datasets/", "queries/", "specs/")
GENERATED = "datasets/*/generated-*"
"""A generated dataset starts a run, as intended. It must not trigger the function that writes it."""
IDS_ASSIGNED_BY_AWS = ("model-customization-job", "custom-model", "custom-model-deployment", "evaluation-job")
"""Types of Bedrock resources whose ARN ends in an ID that AWS assigns during the call."""
WITHOUT_RESOURCE_TYPES = {
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
    "bedrock:GetFoundationModelAvailability",
    "bedrock:ListCustomModelDeployments",
    "bedrock:ListCustomModels",
    "bedrock:ListEvaluationJobs",
    "bedrock:ListModelCustomizationJobs",
}
"""Actions without resource types in the service authorization reference."""


def test_no_action_has_a_wildcard(template: Template) -> None:
    for statement in statements(template):
        assert statement.content["Effect"] == "Allow"
        assert not [action for action in statement.actions if "*" in action], statement


def test_a_resource_has_a_wildcard_only_where_its_name_is_not_known(template: Template) -> None:
    for statement in statements(template):
        for resource in resources_of(template, statement):
            if "*" not in resource:
                continue
            if resource == "*":
                assert set(statement.actions) <= WITHOUT_RESOURCE_TYPES, statement
            elif resource.startswith("DataBucket.Arn/"):
                # The wildcard is an ID, the user's name for a dataset, or the hash of a dataset's content.
                own = r"(runs|generations)/\*/[^*]+(/\*)?|attempts/\*"
                assert re.fullmatch(
                    rf"DataBucket\.Arn/({own}|(datasets|specs)/\*|datasets/\*/generated-\*)", resource
                ), statement
            elif resource.startswith("arn:aws:bedrock:*::foundation-model/"):
                # The Regions of a profile may change. Only calls through the profile are allowed.
                profile = statement.conditions["bedrock:InferenceProfileArn"]
                model = resource.partition("/")[2]
                assert str(template.resolve(profile, {})).split("/")[1] in {model, f"us.{model}"}
            else:
                kind = resource.split(":")[5].split("/")[0]
                assert kind in IDS_ASSIGNED_BY_AWS, statement
                assert re.fullmatch(rf"arn:aws:bedrock:us-east-1:123456789012:{kind}/\*", resource), statement


def test_no_aws_managed_policy_is_attached(template: Template) -> None:
    for role in roles(template):
        attached = template.properties(role).get("ManagedPolicyArns", [])
        assert all(set(policy) == {"Ref"} for policy in attached)


def _triggers(rule: dict[str, Any], statement: Statement, template: Template) -> bool:
    """Whether a rule triggers a function that has the statement's role."""
    return any(
        template.role_of(name) == statement.holder and target["Arn"] == {"Fn::GetAtt": [name, "Arn"]}
        for name in FUNCTIONS
        for target in rule["Targets"]
    )


def test_no_function_writes_to_a_prefix_that_triggers_it(template: Template) -> None:
    writes = [s for s in statements(template) if "s3:PutObject" in s.actions]
    assert writes
    for statement in writes:
        for resource in resources_of(template, statement):
            key = resource.removeprefix("DataBucket.Arn/")
            assert key != resource
            if key == GENERATED:
                triggers = [
                    r
                    for r in template.of_type("AWS::Events::Rule").values()
                    if _triggers(r, statement, template)
                ]
                assert triggers
                assert not [rule for rule in triggers if "datasets/" in str(rule["EventPattern"])]
            else:
                assert not key.startswith((*TRIGGERS, "*"))


def test_a_function_sends_events_with_the_source_distillery_only(template: Template) -> None:
    puts = [s for s in statements(template) if "events:PutEvents" in s.actions]
    assert {s.holder for s in puts} == {
        template.role_of(name)
        for name in FUNCTIONS
        if name not in {"RouteQueriesFunction", "LabelQueriesFunction"}
    }
    for statement in puts:
        assert statement.actions == ["events:PutEvents"]
        assert statement.conditions == {"events:source": events.SOURCE}
        assert resources_of(template, statement) == ["EventBus.Arn"]


def test_only_the_functions_that_start_jobs_pass_the_bedrock_role(template: Template) -> None:
    passes = [s for s in statements(template) if "iam:PassRole" in s.actions]
    assert {s.holder for s in passes} == {"StartDistillationRole", "EvaluateModelRole"}
    for statement in passes:
        assert statement.conditions == {"iam:PassedToService": "bedrock.amazonaws.com"}
        assert resources_of(template, statement) == ["BedrockRole.Arn"]


def test_only_the_preflight_checks_read_the_bedrock_role(template: Template) -> None:
    reads = [s for s in statements(template) if "iam:SimulatePrincipalPolicy" in s.actions]
    assert [(s.holder, s.actions, resources_of(template, s)) for s in reads] == [
        ("StartDistillationRole", ["iam:GetRole", "iam:SimulatePrincipalPolicy"], ["BedrockRole.Arn"])
    ]


def test_bedrock_assumes_its_role_for_jobs_of_this_account_only(template: Template) -> None:
    trust = template.properties("BedrockRole")["AssumeRolePolicyDocument"]["Statement"]
    assert [s["Principal"] for s in trust] == [{"Service": "bedrock.amazonaws.com"}]
    condition = template.resolve(trust[0]["Condition"], {})
    prefix = "arn:aws:bedrock:us-east-1:123456789012"
    assert condition == {
        "StringEquals": {"aws:SourceAccount": "123456789012"},
        "ArnLike": {
            "aws:SourceArn": [f"{prefix}:model-customization-job/*", f"{prefix}:evaluation-job/*"],
        },
    }


def test_a_function_that_fails_a_run_can_stop_its_jobs_and_delete_its_deployment(template: Template) -> None:
    needed = {
        "bedrock:StopModelCustomizationJob",
        "bedrock:DeleteCustomModelDeployment",
        "bedrock:StopEvaluationJob",
    }
    able = {
        role
        for role in roles(template)
        if needed <= {action for s in template.statements(role) for action in s.actions}
    }
    assert able == {
        "StartDistillationRole",
        "DeployModelRole",
        "WatchBedrockRole",
        "EvaluateModelRole",
        "PromoteModelRole",
    }


@pytest.mark.parametrize(
    ("given", "foundation"),
    [
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", "anthropic.claude-haiku-4-5-20251001-v1:0"),
        ("amazon.nova-pro-v1:0", "amazon.nova-pro-v1:0"),
        ("provider.status.model-us.x-v1:0", "provider.status.model-us.x-v1:0"),
    ],
)
@pytest.mark.parametrize("role", ["Baseline", "Teacher", "Judge"])
def test_a_model_may_be_invoked_by_its_id_or_its_inference_profile(
    template: Template, role: str, given: str, foundation: str
) -> None:
    holder = "BedrockRole" if role == "Judge" else "EvaluateModelRole"
    allowed = {
        one
        for s in template.statements(holder)
        if "bedrock:InvokeModel" in s.actions
        for one in template.resolve(s.content["Resource"], {f"{role}ModelId": given})
    }
    expected = {
        f"arn:aws:bedrock:{region}::foundation-model/{foundation}"
        for region in ("us-east-1", "us-east-2", "us-west-2")
    }
    assert allowed >= expected | {f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/{given}"}


def test_the_untuned_model_is_invoked_without_its_context_length(template: Template) -> None:
    invoked = [s for s in template.statements("EvaluateModelRole") if s.content.get("Sid") == "UntunedModel"]
    assert [resources_of(template, s) for s in invoked] == [
        ["arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-micro-v1:0"]
    ]


def test_the_earlier_name_of_the_channel_configuration_is_read_and_never_written(template: Template) -> None:
    earlier = {
        (resource, *statement.actions)
        for statement in statements(template)
        for resource in resources_of(template, statement)
        if resource.endswith(f"/{CHANNEL_CONFIG_FILE}")
    }
    folders = ("config", "runs/*", "generations/*")
    assert earlier == {
        (f"DataBucket.Arn/{folder}/{CHANNEL_CONFIG_FILE}", "s3:GetObject") for folder in folders
    }


def test_only_jobs_and_deployments_of_runs_can_be_stopped_or_deleted(template: Template) -> None:
    ending = [s for s in statements(template) if any(re.search(r":(Stop|Delete)[A-Z]", a) for a in s.actions)]
    bedrock = [s for s in ending if s.actions[0].startswith("bedrock:")]
    assert len(bedrock) == 3 * 5
    for statement in bedrock:
        assert statement.content["Condition"] == {"Null": {"aws:ResourceTag/distillery:run": "false"}}


def test_a_run_tags_everything_that_it_may_have_to_stop_or_delete(template: Template) -> None:
    tagged = {
        resource.split(":")[5].split("/")[0]
        for s in statements(template)
        if s.actions == ["bedrock:TagResource"]
        for resource in resources_of(template, s)
    }
    assert tagged == {"model-customization-job", "custom-model-deployment", "evaluation-job"}


def test_the_judge_may_look_up_its_inference_profile(template: Template) -> None:
    lookups = [s for s in template.statements("BedrockRole") if s.actions == ["bedrock:GetInferenceProfile"]]
    profile = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
    assert [template.resolve(s.content["Resource"], {"JudgeModelId": profile}) for s in lookups] == [
        f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/{profile}"
    ]


def test_a_job_may_be_created_whichever_models_bedrock_authorises(template: Template) -> None:
    (creates,) = [
        s
        for s in template.statements("StartDistillationRole")
        if "bedrock:CreateModelCustomizationJob" in s.actions
    ]
    models = {r.split("/", 1)[1] for r in resources_of(template, creates) if ":foundation-model/" in r}
    assert models == {
        "amazon.nova-micro-v1:0:128k",
        "amazon.nova-micro-v1:0",
        "amazon.nova-pro-v1:0",
    }
