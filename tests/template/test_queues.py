"""Queues keep messages long enough, and messages that cannot be processed go to the dead-letter queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from distillery import settings
from distillery.runs.states import Stage
from distillery.steps.watch_bedrock import RENEW_AFTER
from tests.template.stack import DEAD_LETTER_QUEUE, QUEUE_CONSUMERS, resources_of

if TYPE_CHECKING:
    from tests.template.template_reader import Template

FOURTEEN_DAYS = 1_209_600
"""Seconds; the longest time that SQS keeps a message."""
LONGEST_VISIBILITY = 43_200
"""Seconds; SQS accepts no longer visibility timeout."""


def test_a_queue_consumer_reports_partial_failures_and_its_queue_waits_six_timeouts(
    template: Template,
) -> None:
    sources = template.of_type("AWS::Lambda::EventSourceMapping").values()
    assert len(sources) == len(QUEUE_CONSUMERS)
    for source in sources:
        function, queue = source["FunctionName"]["Ref"], source["EventSourceArn"]["Fn::GetAtt"][0]
        properties = template.properties(queue)
        assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert source["BatchSize"] == 10
        assert source["ScalingConfig"]["MaximumConcurrency"] >= 2
        assert properties["VisibilityTimeout"] == 6 * template.properties(function)["Timeout"]
        assert properties["RedrivePolicy"]["deadLetterTargetArn"] == DEAD_LETTER_QUEUE
        allowed = {
            action
            for s in template.statements(template.role_of(function))
            if f"{queue}.Arn" in resources_of(template, s)
            for action in s.actions
        }
        assert {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"} <= allowed


def test_queues_are_encrypted_and_keep_messages_for_14_days(template: Template) -> None:
    queues = template.of_type("AWS::SQS::Queue")
    assert set(queues) == {"QueryQueue", "WatchQueue", "LabelQueue", "DeadLetterQueue"}
    for properties in queues.values():
        assert properties["SqsManagedSseEnabled"] is True
        assert properties["MessageRetentionPeriod"] == FOURTEEN_DAYS


def test_no_deadline_is_longer_than_the_watch_queue_keeps_a_message(
    template: Template, parameters: dict[str, Any]
) -> None:
    # The poller replaces a message before the last receive that SQS allows, and before SQS deletes it.
    assert template.properties("WatchQueue")["RedrivePolicy"]["maxReceiveCount"] > RENEW_AFTER
    assert parameters["PollIntervalSeconds"]["MaxValue"] <= LONGEST_VISIBILITY
    for stage in Stage:
        assert parameters[f"{stage.value.capitalize()}DeadlineSeconds"]["MaxValue"] < FOURTEEN_DAYS


@pytest.mark.parametrize(
    ("queue", "kind"), [("QueryQueue", settings.RouteSettings), ("LabelQueue", settings.LabelSettings)]
)
def test_a_consumer_gives_up_before_sqs_moves_the_message(
    template: Template, queue: str, kind: type[settings.Settings]
) -> None:
    receives = template.properties(queue)["RedrivePolicy"]["maxReceiveCount"]
    assert kind.model_fields["give_up_after"].default < receives
