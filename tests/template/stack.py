"""The functions of the stack and the helpers that several test modules share."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from distillery import settings
from tests.template.template_reader import Template, listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.template.template_reader import Statement

FUNCTIONS: dict[str, type[settings.Settings]] = {
    "PlanDatasetFunction": settings.PlanSettings,
    "LabelQueriesFunction": settings.LabelSettings,
    "AssembleDatasetFunction": settings.GenerationSettings,
    "ValidateDatasetFunction": settings.ValidateSettings,
    "StartDistillationFunction": settings.StartSettings,
    "DeployModelFunction": settings.RunSettings,
    "WatchBedrockFunction": settings.WatchSettings,
    "EvaluateModelFunction": settings.EvaluateSettings,
    "PromoteModelFunction": settings.PromoteSettings,
    "RouteQueriesFunction": settings.RouteSettings,
}
"""Logical IDs in the order of the flow, with the settings that each function reads from its environment."""
QUEUE_CONSUMERS = {"WatchBedrockFunction", "RouteQueriesFunction", "LabelQueriesFunction"}
ASYNCHRONOUS = [name for name in FUNCTIONS if name not in QUEUE_CONSUMERS]
DEAD_LETTER_QUEUE = {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}


def folder_of(function: str) -> str:
    """The folder of a function's handler: `PlanDatasetFunction` -> `plan_dataset`."""
    return re.sub(r"(?<!^)([A-Z])", r"_\1", function.removesuffix("Function")).lower()


def roles(template: Template) -> list[str]:
    """Logical IDs of all roles."""
    return sorted(template.of_type("AWS::IAM::Role"))


def statements(template: Template) -> Iterator[Statement]:
    """The statements of all roles."""
    for role in roles(template):
        yield from template.statements(role)


def resources_of(template: Template, statement: Statement) -> list[str]:
    """The resources of a statement, with the parameters' defaults filled in."""
    resolved = template.resolve(statement.content["Resource"], {})
    return [str(one) for one in listed(resolved)]
