"""Failures that need a person send an alarm that says what happened and what to do first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.template.stack import FUNCTIONS
from tools.translate import ROOT

if TYPE_CHECKING:
    from tests.template.template_reader import Template


def test_dead_letters_errors_and_fallbacks_send_an_alarm(template: Template) -> None:
    alarms = template.of_type("AWS::CloudWatch::Alarm")
    watched = {
        (alarm["Namespace"], alarm["MetricName"], str(template.resolve(alarm["Dimensions"][0]["Value"], {})))
        for alarm in alarms.values()
    }
    assert watched == {
        ("AWS/SQS", "ApproximateNumberOfMessagesVisible", "DeadLetterQueue.QueueName"),
        *(("AWS/Lambda", "Errors", function) for function in FUNCTIONS),
        ("Distillery", "FallbackAnswers", "route_queries"),
        ("Distillery", "NoUsableModel", "route_queries"),
        ("Distillery", "ActiveModelUnusable", "route_queries"),
        ("Distillery", "ChannelConfigUnusable", "route_queries"),
    }
    assert all(alarm["AlarmActions"] == [{"Ref": "NotificationTopic"}] for alarm in alarms.values())
    router = (ROOT / "layers/distillery/src/distillery/steps/route_queries.py").read_text("utf-8")
    assert all(
        f'"{metric}"' in router
        for metric in ("FallbackAnswers", "NoUsableModel", "ActiveModelUnusable", "ChannelConfigUnusable")
    )


def test_an_alarm_says_in_one_sentence_what_happened_and_what_to_do_first(template: Template) -> None:
    for name, alarm in template.of_type("AWS::CloudWatch::Alarm").items():
        what, separator, first_step = alarm["AlarmDescription"].partition(": ")
        assert what, name
        assert separator, name
        assert first_step.endswith("."), name
        assert ". " not in alarm["AlarmDescription"], name
