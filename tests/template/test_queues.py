"""Queues keep messages long enough, and messages that cannot be processed go to the dead-letter queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from distillery.runs.states import Stage
from distillery.steps.watch_bedrock import RENEW_AFTER
from tests.template.stack import DEAD_LETTER_QUEUE, QUEUE_CONSUMERS, resources_of

if TYPE_CHECKING:
    from tests.template.template_reader import Template

FOURTEEN_DAYS = 1_209_600
"""Seconds; the longest time that SQS keeps a message."""
MOST_RECEIVES = 1_000
"""The largest maxReceiveCount that SQS accepts."""
LONGEST_VISIBILITY = 43_200
"""Seconds; SQS accepts no longer visibility timeout."""


def test_a_queue_consumer_reports_partial_failures_and_its_queue_waits_six_timeouts_and_the_longest_batching(
    template: Template, parameters: dict[str, Any]
) -> None:
    sources = template.of_type("AWS::Lambda::EventSourceMapping").values()
    assert len(sources) == len(QUEUE_CONSUMERS)
    for source in sources:
        function, queue = source["FunctionName"]["Ref"], source["EventSourceArn"]["Fn::GetAtt"][0]
        properties = template.properties(queue)
        assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert source["BatchSize"] == 10
        assert int(template.resolve(source["ScalingConfig"]["MaximumConcurrency"], {})) >= 2
        window = source["MaximumBatchingWindowInSeconds"]
        longest = parameters[window["Ref"]]["MaxValue"] if isinstance(window, dict) else window
        assert properties["VisibilityTimeout"] == 6 * template.properties(function)["Timeout"] + longest
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


@pytest.mark.parametrize("queue", ["QueryQueue", "LabelQueue"])
def test_a_throttled_message_is_received_as_often_as_sqs_allows(template: Template, queue: str) -> None:
    properties = template.properties(queue)
    receives = properties["RedrivePolicy"]["maxReceiveCount"]
    assert receives == MOST_RECEIVES
    # A message whose function always stops reaches the dead-letter queue before SQS deletes it.
    assert receives * properties["VisibilityTimeout"] < properties["MessageRetentionPeriod"]
