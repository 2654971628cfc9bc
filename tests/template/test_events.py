"""Rules match the events that are sent, deliver each event or keep it, and notify people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from distillery.runs import events
from tests.template.stack import DEAD_LETTER_QUEUE

if TYPE_CHECKING:
    from tests.template.template_reader import Template


def test_an_event_that_cannot_be_delivered_goes_to_the_dead_letter_queue(template: Template) -> None:
    rules = template.of_type("AWS::Events::Rule")
    assert len(rules) == 10
    policy = template.properties("DeadLetterQueuePolicy")["PolicyDocument"]["Statement"][0]
    allowed = {arn["Fn::GetAtt"][0] for arn in policy["Condition"]["ArnEquals"]["aws:SourceArn"]}
    assert allowed == set(rules)
    for properties in rules.values():
        for target in properties["Targets"]:
            assert target["DeadLetterConfig"]["Arn"] == DEAD_LETTER_QUEUE
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
def test_a_function_is_triggered_by_its_events_only(
    template: Template, function: str, patterns: list[tuple[str, list[str]]]
) -> None:
    triggers = []
    for rule in template.of_type("AWS::Events::Rule").values():
        if rule["Targets"][0]["Arn"] == {"Fn::GetAtt": [function, "Arn"]}:
            pattern = rule["EventPattern"]
            triggers.append((pattern["source"][0], pattern["detail-type"]))
            own = pattern["source"] == [events.SOURCE]
            assert rule.get("EventBusName") == ({"Ref": "EventBus"} if own else None)
    assert sorted(triggers) == sorted(patterns)


def test_rules_match_events_that_the_functions_send(template: Template) -> None:
    sent = {event.detail_type for event in events.OWN_EVENTS}
    for rule in template.of_type("AWS::Events::Rule").values():
        pattern = rule["EventPattern"]
        if pattern["source"] == [events.SOURCE]:
            assert set(pattern["detail-type"]) <= sent


def test_the_topic_receives_the_message_of_each_event_that_people_need(template: Template) -> None:
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
    target = rule["Targets"][0]
    # A path selects a JSON string, valid whatever it holds. A template does not escape what it inserts.
    assert target["InputPath"] == "$.detail.message"
    assert "InputTransformer" not in target
    assert template.properties("NotificationTopic")["KmsMasterKeyId"] == {"Ref": "NotificationKey"}


def test_no_condition_blocks_notifications_from_eventbridge(template: Template) -> None:
    # EventBridge sends no source account or ARN to SNS and its key (documented by AWS). CloudWatch does.
    documents = [
        template.properties("NotificationTopicPolicy")["PolicyDocument"],
        template.properties("NotificationKey")["KeyPolicy"],
    ]
    for document in documents:
        by_service = {s["Principal"].get("Service"): s for s in document["Statement"]}
        assert "Condition" not in by_service["events.amazonaws.com"]
        assert by_service["cloudwatch.amazonaws.com"]["Condition"]


def test_every_object_in_the_folder_of_datasets_is_noticed(template: Template) -> None:
    pattern = template.properties("ValidateDatasetFunctionDatasetDropped")["EventPattern"]["detail"]
    assert pattern == {
        "bucket": {"name": [{"Ref": "DataBucket"}]},
        "object": {"key": [{"prefix": "datasets/"}]},
    }


def test_only_a_spec_in_the_data_bucket_starts_a_generation(template: Template) -> None:
    pattern = template.properties("PlanDatasetFunctionSpecDropped")["EventPattern"]["detail"]
    assert pattern == {
        "bucket": {"name": [{"Ref": "DataBucket"}]},
        "object": {"key": [{"wildcard": "specs/*.yaml"}]},
    }


def test_only_a_job_that_has_ended_triggers_deploy_model(template: Template) -> None:
    pattern = template.properties("DeployModelFunctionJobChanged")["EventPattern"]
    assert pattern["detail"] == {"jobStatus": ["Completed", "Failed", "Stopped"]}
