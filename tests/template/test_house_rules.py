"""House rules of the template: nothing is lost, nothing hangs, nothing is allowed that is not needed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from distillery import settings
from distillery.aws.bucket import EXPIRING
from distillery.runs import events
from distillery.runs.states import Stage
from distillery.steps.watch_bedrock import RENEW_AFTER
from tests.template.reading import Template, listed, walk
from tools.translate import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.template.reading import Statement

FUNCTIONS: dict[str, type[settings.Settings]] = {
    "ValidateDatasetFunction": settings.ValidateSettings,
    "StartDistillationFunction": settings.StartSettings,
    "DeployModelFunction": settings.RunSettings,
    "WatchBedrockFunction": settings.WatchSettings,
    "EvaluateModelFunction": settings.EvaluateSettings,
    "PromoteModelFunction": settings.PromoteSettings,
    "RouteQueriesFunction": settings.RouteSettings,
    "PlanDatasetFunction": settings.PlanSettings,
    "LabelQueriesFunction": settings.LabelSettings,
    "AssembleDatasetFunction": settings.GenerationSettings,
}
CONSUMERS = {"WatchBedrockFunction", "RouteQueriesFunction", "LabelQueriesFunction"}
ASYNCHRONOUS = [name for name in FUNCTIONS if name not in CONSUMERS]
OUTPUTS = {
    "DataBucketName",
    "QueryQueueUrl",
    "DeadLetterQueueUrl",
    "WatchQueueUrl",
    "RunsTableName",
    "ResultsTableName",
    "LabelQueueUrl",
    "GenerationsTableName",
    "LabelsTableName",
    "TeacherModelId",
    "EventBusName",
    "NotificationTopicArn",
    "ActiveModelParameter",
}
TRIGGERS = ("datasets/", "queries/", "specs/")
GENERATED = "datasets/*/generated-*"
"""What the generator makes starts the chain, as it should; it must not start the generator."""
TWO_WEEKS = 1_209_600
LONGEST_VISIBILITY = 43_200
DEAD_LETTERS = {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}
NAMED_BY_AWS = ("model-customization-job", "custom-model", "custom-model-deployment", "evaluation-job")
"""Bedrock's resources whose ARN ends in an id that is not known before the call."""
WITHOUT_RESOURCES = {
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
    "bedrock:ListCustomModelDeployments",
    "bedrock:ListCustomModels",
    "bedrock:ListEvaluationJobs",
    "bedrock:ListModelCustomizationJobs",
}
"""Actions that the service authorization reference gives no resource."""
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


def roles(template: Template) -> list[str]:
    return sorted(template.of_type("AWS::IAM::Role"))


def statements(template: Template) -> Iterator[Statement]:
    for role in roles(template):
        yield from template.statements(role)


def resources_of(template: Template, statement: Statement) -> list[str]:
    resolved = template.resolve(statement.content["Resource"], {})
    return [str(one) for one in listed(resolved)]


# -- functions


def test_there_are_the_ten_functions(template: Template) -> None:
    assert set(template.of_type("AWS::Lambda::Function")) == set(FUNCTIONS)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_has_its_own_role_log_group_json_logs_and_traces(
    template: Template, function: str
) -> None:
    properties = template.properties(function)
    others = [template.role_of(name) for name in FUNCTIONS if name != function]
    assert template.role_of(function) not in others
    group = properties["LoggingConfig"]["LogGroup"]["Ref"]
    assert properties["LoggingConfig"]["LogFormat"] == "JSON"
    assert template.properties(group)["RetentionInDays"] == {"Ref": "LogRetentionDays"}
    assert properties["TracingConfig"] == {"Mode": "Active"}
    assert properties["Handler"] == "handler.handler"
    logs = [s for s in template.statements(template.role_of(function)) if "logs:PutLogEvents" in s.actions]
    assert [resources_of(template, s) for s in logs] == [[f"{group}.Arn"]]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_is_told_what_its_settings_read_and_nothing_else(
    template: Template, function: str
) -> None:
    told = template.resolve(template.properties(function)["Environment"]["Variables"], {})
    read = FUNCTIONS[function].model_fields
    own = {name for name in told if not name.startswith("POWERTOOLS_")}
    assert own <= {name.upper() for name in read}
    FUNCTIONS[function].load(told)
    assert told["POWERTOOLS_METRICS_NAMESPACE"] == "Distillery"
    source = ROOT / "functions" / told["POWERTOOLS_SERVICE_NAME"] / "handler.py"
    assert source.exists()


def test_parameters_default_to_what_the_settings_default_to(template: Template) -> None:
    for function, kind in FUNCTIONS.items():
        told = template.resolve(template.properties(function)["Environment"]["Variables"], {})
        loaded = kind.load(told)
        for name, field in kind.model_fields.items():
            if not field.is_required():
                assert getattr(loaded, name) == field.default, f"{function}: {name}"


@pytest.mark.parametrize("function", ASYNCHRONOUS)
def test_an_asynchronous_function_has_a_failure_destination(template: Template, function: str) -> None:
    configured = [
        properties
        for properties in template.of_type("AWS::Lambda::EventInvokeConfig").values()
        if properties["FunctionName"] == {"Ref": function}
    ]
    assert len(configured) == 1
    assert configured[0]["DestinationConfig"]["OnFailure"]["Destination"] == DEAD_LETTERS
    assert configured[0]["MaximumRetryAttempts"] == 2
    sends = [s for s in template.statements(template.role_of(function)) if "sqs:SendMessage" in s.actions]
    assert any("DeadLetterQueue.Arn" in resources_of(template, s) for s in sends)


def test_every_build_target_of_the_functions_exists() -> None:
    makefile = (ROOT / "functions/Makefile").read_text("utf-8")
    for function in FUNCTIONS:
        directory = re.sub(r"(?<!^)([A-Z])", r"_\1", function.removesuffix("Function")).lower()
        assert f"build-{function}:\n\t$(call handler,{directory})" in makefile


# -- queues


def test_every_queue_consumer_reports_partial_failures_and_outlasts_its_function(template: Template) -> None:
    sources = template.of_type("AWS::Lambda::EventSourceMapping").values()
    assert len(sources) == len(CONSUMERS)
    for source in sources:
        function, queue = source["FunctionName"]["Ref"], source["EventSourceArn"]["Fn::GetAtt"][0]
        properties = template.properties(queue)
        assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert source["BatchSize"] == 10
        assert source["ScalingConfig"]["MaximumConcurrency"] >= 2
        assert properties["VisibilityTimeout"] == 6 * template.properties(function)["Timeout"]
        assert properties["RedrivePolicy"]["deadLetterTargetArn"] == DEAD_LETTERS
        allowed = {
            action
            for s in template.statements(template.role_of(function))
            if f"{queue}.Arn" in resources_of(template, s)
            for action in s.actions
        }
        assert {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"} <= allowed


def test_queues_are_encrypted_and_keep_messages_for_two_weeks(template: Template) -> None:
    queues = template.of_type("AWS::SQS::Queue")
    assert set(queues) == {"QueryQueue", "WatchQueue", "LabelQueue", "DeadLetterQueue"}
    for properties in queues.values():
        assert properties["SqsManagedSseEnabled"] is True
        assert properties["MessageRetentionPeriod"] == TWO_WEEKS


def test_no_wait_outlasts_the_watch_queue(template: Template, parameters: dict[str, Any]) -> None:
    # A message is replaced by a fresh one before SQS has counted its last receive, and before it is too old.
    assert template.properties("WatchQueue")["RedrivePolicy"]["maxReceiveCount"] > RENEW_AFTER
    assert parameters["PollIntervalSeconds"]["MaxValue"] <= LONGEST_VISIBILITY
    for stage in Stage:
        assert parameters[f"{stage.value.capitalize()}DeadlineSeconds"]["MaxValue"] < TWO_WEEKS


@pytest.mark.parametrize(
    ("queue", "kind"), [("QueryQueue", settings.RouteSettings), ("LabelQueue", settings.LabelSettings)]
)
def test_a_consumer_gives_up_before_the_queue_does(
    template: Template, queue: str, kind: type[settings.Settings]
) -> None:
    receives = template.properties(queue)["RedrivePolicy"]["maxReceiveCount"]
    assert kind.model_fields["give_up_after"].default < receives


# -- rules


def test_every_rule_target_keeps_what_it_cannot_deliver(template: Template) -> None:
    rules = template.of_type("AWS::Events::Rule")
    assert len(rules) == 10
    policy = template.properties("DeadLetterQueuePolicy")["PolicyDocument"]["Statement"][0]
    allowed = {arn["Fn::GetAtt"][0] for arn in policy["Condition"]["ArnEquals"]["aws:SourceArn"]}
    assert allowed == set(rules)
    for properties in rules.values():
        for target in properties["Targets"]:
            assert target["DeadLetterConfig"]["Arn"] == DEAD_LETTERS
            assert target["RetryPolicy"]["MaximumRetryAttempts"] > 0


@pytest.mark.parametrize(
    ("function", "patterns"),
    [
        (
            "StartDistillationFunction",
            [("distillery", ["Dataset Validated"]), ("distillery", ["Run Approved"])],
        ),
        (
            "DeployModelFunction",
            [
                ("aws.bedrock", ["Model Customization Job State Change"]),
                ("distillery", ["Distillation Finished"]),
            ],
        ),
        ("EvaluateModelFunction", [("distillery", ["Model Deployed"])]),
        ("PromoteModelFunction", [("distillery", ["Evaluation Finished"])]),
        ("ValidateDatasetFunction", [("aws.s3", ["Object Created"])]),
        ("PlanDatasetFunction", [("aws.s3", ["Object Created"])]),
        ("AssembleDatasetFunction", [("distillery", ["Labels Complete"])]),
    ],
)
def test_a_function_hears_what_the_design_says(
    template: Template, function: str, patterns: list[tuple[str, list[str]]]
) -> None:
    heard = []
    for rule in template.of_type("AWS::Events::Rule").values():
        if rule["Targets"][0]["Arn"] == {"Fn::GetAtt": [function, "Arn"]}:
            pattern = rule["EventPattern"]
            heard.append((pattern["source"][0], pattern["detail-type"]))
            own = pattern["source"] == [events.SOURCE]
            assert rule.get("EventBusName") == ({"Ref": "EventBus"} if own else None)
    assert sorted(heard) == sorted(patterns)


def test_rules_name_events_that_are_sent(template: Template) -> None:
    sent = {event.detail_type for event in events.OWN_EVENTS}
    for rule in template.of_type("AWS::Events::Rule").values():
        pattern = rule["EventPattern"]
        if pattern["source"] == [events.SOURCE]:
            assert set(pattern["detail-type"]) <= sent


def test_people_hear_how_a_run_ends_and_that_it_waits_in_words(template: Template) -> None:
    rule = template.properties("NotificationRule")
    assert set(rule["EventPattern"]["detail-type"]) == {
        event.detail_type
        for event in (
            events.ApprovalNeeded,
            events.DatasetRejected,
            events.RunFailed,
            events.ModelPromoted,
            events.ModelNotPromoted,
            events.DatasetGenerated,
            events.GenerationStopped,
            events.GenerationFailed,
        )
    }
    transformer = rule["Targets"][0]["InputTransformer"]
    assert transformer == {"InputPathsMap": {"message": "$.detail.message"}, "InputTemplate": '"<message>"'}
    assert template.properties("NotificationTopic")["KmsMasterKeyId"] == {"Ref": "NotificationKey"}


def test_no_condition_keeps_notifications_away(template: Template) -> None:
    # AWS documents that EventBridge offers SNS and its key no source to ask for; CloudWatch does.
    documents = [
        template.properties("NotificationTopicPolicy")["PolicyDocument"],
        template.properties("NotificationKey")["KeyPolicy"],
    ]
    for document in documents:
        by_service = {s["Principal"].get("Service"): s for s in document["Statement"]}
        assert "Condition" not in by_service["events.amazonaws.com"]
        assert by_service["cloudwatch.amazonaws.com"]["Condition"]


def test_a_dropped_dataset_is_seen_in_this_bucket_only(template: Template) -> None:
    pattern = template.properties("ValidateDatasetFunctionDatasetDropped")["EventPattern"]["detail"]
    assert pattern == {
        "bucket": {"name": [{"Ref": "DataBucket"}]},
        "object": {"key": [{"wildcard": "datasets/*/*.jsonl"}]},
    }


def test_a_dropped_spec_is_seen_in_this_bucket_only(template: Template) -> None:
    pattern = template.properties("PlanDatasetFunctionSpecDropped")["EventPattern"]["detail"]
    assert pattern == {
        "bucket": {"name": [{"Ref": "DataBucket"}]},
        "object": {"key": [{"wildcard": "specs/*.yaml"}]},
    }


def test_bedrock_rings_only_when_a_job_has_ended(template: Template) -> None:
    pattern = template.properties("DeployModelFunctionJobChanged")["EventPattern"]
    assert pattern["detail"] == {"jobStatus": ["Completed", "Failed", "Stopped"]}


# -- permissions


def test_no_action_is_a_wildcard(template: Template) -> None:
    for statement in statements(template):
        assert statement.content["Effect"] == "Allow"
        assert not [action for action in statement.actions if "*" in action], statement


def test_no_resource_is_a_wildcard_that_could_be_a_name(template: Template) -> None:
    for statement in statements(template):
        for resource in resources_of(template, statement):
            if "*" not in resource:
                continue
            if resource == "*":
                assert set(statement.actions) <= WITHOUT_RESOURCES, statement
            elif resource.startswith("DataBucket.Arn/"):
                # An id; or what the user calls a dataset; or what the content of a dataset is called.
                own = r"(runs|generations)/\*/[^*]+(/\*)?"
                assert re.fullmatch(
                    rf"DataBucket\.Arn/({own}|(datasets|specs)/\*|datasets/\*/generated-\*)", resource
                ), statement
            else:
                kind = resource.split(":")[5].split("/")[0]
                assert kind in NAMED_BY_AWS, statement
                assert re.fullmatch(rf"arn:aws:bedrock:us-east-1:123456789012:{kind}/\*", resource), statement


def test_no_managed_policy_of_aws_is_attached(template: Template) -> None:
    for role in roles(template):
        attached = template.properties(role).get("ManagedPolicyArns", [])
        assert all(set(policy) == {"Ref"} for policy in attached)


def _hears(rule: dict[str, Any], statement: Statement, template: Template) -> bool:
    """Whether a rule rings for a function that has the statement's role."""
    return any(
        template.role_of(name) == statement.holder and target["Arn"] == {"Fn::GetAtt": [name, "Arn"]}
        for name in FUNCTIONS
        for target in rule["Targets"]
    )


def test_no_function_writes_where_it_would_trigger_one(template: Template) -> None:
    writes = [s for s in statements(template) if "s3:PutObject" in s.actions]
    assert writes
    for statement in writes:
        for resource in resources_of(template, statement):
            key = resource.removeprefix("DataBucket.Arn/")
            assert key != resource
            if key == GENERATED:
                heard = [
                    r
                    for r in template.of_type("AWS::Events::Rule").values()
                    if _hears(r, statement, template)
                ]
                assert heard
                assert not [rule for rule in heard if "datasets/" in str(rule["EventPattern"])]
            else:
                assert not key.startswith((*TRIGGERS, "*"))


def test_events_are_put_under_the_own_source_only(template: Template) -> None:
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


def test_only_the_functions_that_start_jobs_pass_the_role_of_bedrock(template: Template) -> None:
    passes = [s for s in statements(template) if "iam:PassRole" in s.actions]
    assert {s.holder for s in passes} == {"StartDistillationRole", "EvaluateModelRole"}
    for statement in passes:
        assert statement.conditions == {"iam:PassedToService": "bedrock.amazonaws.com"}
        assert resources_of(template, statement) == ["BedrockRole.Arn"]


def test_the_role_of_bedrock_is_looked_at_by_the_preflight_alone(template: Template) -> None:
    looks = [s for s in statements(template) if "iam:SimulatePrincipalPolicy" in s.actions]
    assert [(s.holder, s.actions, resources_of(template, s)) for s in looks] == [
        ("StartDistillationRole", ["iam:GetRole", "iam:SimulatePrincipalPolicy"], ["BedrockRole.Arn"])
    ]


def test_bedrock_takes_its_role_for_jobs_of_this_account_only(template: Template) -> None:
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


def test_whoever_can_fail_a_run_can_remove_what_it_left(template: Template) -> None:
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
def test_a_model_may_be_asked_by_its_id_or_by_its_profile(
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


def test_the_student_before_distillation_is_asked_without_its_context_length(template: Template) -> None:
    asked = [s for s in template.statements("EvaluateModelRole") if s.content.get("Sid") == "Student"]
    assert [resources_of(template, s) for s in asked] == [
        ["arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-micro-v1:0"]
    ]


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
def test_a_model_id_that_no_permission_would_fit_is_refused(
    parameters: dict[str, Any], value: str, accepted: bool
) -> None:
    for name in ("TeacherModelId", "BaselineModelId", "JudgeModelId"):
        assert bool(re.fullmatch(parameters[name]["AllowedPattern"], value)) is accepted


# -- data


def test_the_bucket_is_versioned_encrypted_private_and_speaks_tls_only(template: Template) -> None:
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


def test_what_is_bulky_and_can_be_made_again_expires(template: Template) -> None:
    rules = {
        rule["Id"]: rule for rule in template.properties("DataBucket")["LifecycleConfiguration"]["Rules"]
    }
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
        # What was paid for: kept when the stack goes, and restorable.
        assert properties["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True
        assert template.resources[table]["DeletionPolicy"] == "Retain"


def test_the_active_model_starts_as_nothing_and_is_touched_by_no_parameter(template: Template) -> None:
    properties = template.properties("ActiveModelParameter")
    assert properties["Value"] == "{}"
    assert properties["Name"] == {"Fn::Sub": "/${AWS::StackName}/active-model"}
    references = {node["Ref"] for node in walk(properties) if isinstance(node, dict) and "Ref" in node}
    # A changed property would make CloudFormation write `{}` over the model in charge.
    assert references == set()


def test_nothing_has_a_physical_name_but_what_needs_one(written: Template) -> None:
    # The parameter is part of the contract, and CloudFormation demands a name for a bus.
    for name, resource in written.resources.items():
        assert NAME_PROPERTIES.get(resource["Type"], "") not in resource.get("Properties", {}), name


# -- around it


def test_the_outputs_are_those_of_the_design(written: Template) -> None:
    assert set(written.content["Outputs"]) == OUTPUTS


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


def test_dead_letters_errors_and_fallbacks_ring_somebody(template: Template) -> None:
    alarms = template.of_type("AWS::CloudWatch::Alarm")
    watched = {
        (alarm["Namespace"], alarm["MetricName"], str(template.resolve(alarm["Dimensions"][0]["Value"], {})))
        for alarm in alarms.values()
    }
    assert watched == {
        ("AWS/SQS", "ApproximateNumberOfMessagesVisible", "DeadLetterQueue.QueueName"),
        *(("AWS/Lambda", "Errors", function) for function in FUNCTIONS),
        ("Distillery", "FallbackAnswers", "route_queries"),
        ("Distillery", "ActiveModelUnusable", "route_queries"),
        ("Distillery", "ChannelConfigUnusable", "route_queries"),
    }
    assert all(alarm["AlarmActions"] == [{"Ref": "NotificationTopic"}] for alarm in alarms.values())
    router = (ROOT / "layers/distillery/src/distillery/steps/route_queries.py").read_text("utf-8")
    assert all(
        f'"{metric}"' in router
        for metric in ("FallbackAnswers", "ActiveModelUnusable", "ChannelConfigUnusable")
    )


def test_the_layer_is_built_for_what_the_template_runs_by_default(parameters: dict[str, Any]) -> None:
    makefile = (ROOT / "layers/distillery/Makefile").read_text("utf-8")
    runtime = parameters["FunctionRuntime"]["Default"].removeprefix("python")
    assert f"LAYER_PYTHON ?= {runtime}\n" in makefile
    assert f"LAYER_ARCHITECTURE ?= {parameters['FunctionArchitecture']['Default']}\n" in makefile
