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
        ("AWS/SQS", "NumberOfMessagesSent", "DeadLetterQueue.QueueName"),
        ("Distillery", "QueryWaitSeconds", "route_queries"),
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


def test_every_message_moved_to_the_dead_letter_queue_sends_an_alarm(template: Template) -> None:
    # An alarm notifies when it changes to ALARM. The number of visible messages would keep it there after the
    # first one. The number sent falls to 0 in the next period, so that a later message notifies again.
    alarm = template.properties("DeadLettersAlarm")
    assert (alarm["MetricName"], alarm["Statistic"], alarm["Threshold"]) == ("NumberOfMessagesSent", "Sum", 0)
    assert (alarm["Period"], alarm["EvaluationPeriods"]) == (300, 1)
    assert alarm["TreatMissingData"] == "notBreaching"


def test_a_query_that_waits_sends_an_alarm_however_often_it_was_received(template: Template) -> None:
    alarm = template.properties("QueriesWaitAlarm")
    assert (alarm["Statistic"], alarm["Threshold"]) == ("Maximum", 900)
    ages = [a for a in template.of_type("AWS::CloudWatch::Alarm").values() if "Age" in a["MetricName"]]
    # SQS leaves out messages that were received more than three times, which are those that wait.
    assert ages == []


def test_no_alarm_uses_metric_math_which_the_local_cloud_does_not_know(template: Template) -> None:
    assert not [a for a in template.of_type("AWS::CloudWatch::Alarm").values() if "Metrics" in a]
