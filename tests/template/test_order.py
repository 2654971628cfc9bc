"""The template is ordered: shared resources by section, then each function with all that belongs to it."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

import yaml
from samcli.yamlhelper import yaml_dump, yaml_parse  # type: ignore[import-untyped]  # SAM has no stubs

from tests.template.stack import FUNCTIONS, folder_of
from tools.translate import TEMPLATE

if TYPE_CHECKING:
    from tests.template.template_reader import Template

SHARED = {
    "Data": [
        "DataBucket",
        "DataBucketPolicy",
        "RunsTable",
        "ClaimsTable",
        "ResultsTable",
        "GenerationsTable",
        "LabelsTable",
        "IdempotencyTable",
        "ActiveModelParameter",
    ],
    "Queues": ["DeadLetterQueue", "DeadLetterQueuePolicy", "QueryQueue", "LabelQueue", "WatchQueue"],
    "Events": [
        "EventBus",
        "NotificationKey",
        "NotificationTopic",
        "NotificationTopicPolicy",
        "NotificationSubscription",
        "NotificationRule",
    ],
    "Shared policies and roles": [
        "TracingPolicy",
        "RunPolicy",
        "GenerationPolicy",
        "CleanUpPolicy",
        "BaselinePolicy",
        "TeacherPolicy",
        "DeploymentsPolicy",
        "IdempotencyPolicy",
        "ChannelConfigPolicy",
        "RunChannelConfigPolicy",
        "BedrockRole",
    ],
    "Layer": ["DistilleryLayer"],
}
OTHER_ALARMS = {
    "route_queries": [
        "RouterFallbacksAlarm",
        "NoUsableModelAlarm",
        "ActiveModelUnusableAlarm",
        "ChannelConfigUnusableAlarm",
        "QueriesWaitAlarm",
    ]
}
"""Alarms of a function besides the one on its errors."""


def section_of(function: str) -> list[str]:
    """The resources of a function's section, in order."""
    stem, name = function.removesuffix("Function"), folder_of(function)
    return [
        function,
        *(f"{stem}{kind}" for kind in ("Role", "LogGroup", "ErrorsAlarm")),
        *OTHER_ALARMS.get(name, []),
    ]


def sections() -> dict[str, list[str]]:
    """The headings of the template's resources, with the logical IDs below each."""
    resources = re.split(r"^(?:Resources|Outputs):$", TEMPLATE.read_text("utf-8"), flags=re.MULTILINE)[1]
    _, *parts = re.split(r"^  # ---- (.+?) -+$", resources, flags=re.MULTILINE)
    headings, contents = parts[::2], parts[1::2]
    assert len(set(headings)) == len(headings)
    return {
        heading: re.findall(r"^  (\w+):", content, re.MULTILINE)
        for heading, content in zip(headings, contents, strict=True)
    }


def test_every_resource_stands_in_its_section_in_the_order_of_the_flow() -> None:
    expected = {
        **SHARED,
        **{folder_of(function): section_of(function) for function in FUNCTIONS},
        "Stack-wide alarms": ["DeadLettersAlarm", "DeadLettersWaitingAlarm"],
    }
    assert list(sections().items()) == list(expected.items())


def test_parameters_conditions_and_globals_come_before_resources_and_outputs(written: Template) -> None:
    order = ["Metadata", "Parameters", "Conditions", "Globals", "Resources", "Outputs"]
    assert [name for name in written.content if name in order] == order


def test_the_parameter_groups_follow_the_order_of_the_parameters(written: Template) -> None:
    groups = written.content["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    shown = [name for group in groups for name in group["Parameters"]]
    positions = [list(written.content["Parameters"]).index(name) for name in shown]
    assert all(first < second for first, second in pairwise(positions))


def test_a_built_template_has_no_yaml_alias_which_cloudformation_refuses() -> None:
    source = yaml_parse(TEMPLATE.read_text("utf-8"))
    built = yaml_dump(source)
    assert not [event for event in yaml.parse(built) if isinstance(event, yaml.AliasEvent)]
    assert yaml_parse(built) == source
