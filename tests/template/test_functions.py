"""Each function has its own role and log group, its settings, a failure destination and a build target."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.template.stack import ASYNCHRONOUS, DEAD_LETTER_QUEUE, FUNCTIONS, folder_of, resources_of
from tools.translate import ROOT

if TYPE_CHECKING:
    from tests.template.template_reader import Template


def test_the_stack_has_ten_functions(template: Template) -> None:
    assert set(template.of_type("AWS::Lambda::Function")) == set(FUNCTIONS)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_has_its_own_role_and_log_group_json_logs_and_traces(
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
def test_a_function_has_the_environment_variables_that_its_settings_read_and_no_others(
    template: Template, function: str
) -> None:
    environment = template.resolve(template.properties(function)["Environment"]["Variables"], {})
    read = FUNCTIONS[function].model_fields
    own = {name for name in environment if not name.startswith("POWERTOOLS_")}
    assert own <= {name.upper() for name in read}
    FUNCTIONS[function].load(environment)
    assert environment["POWERTOOLS_METRICS_NAMESPACE"] == "Distillery"
    source = ROOT / "functions" / environment["POWERTOOLS_SERVICE_NAME"] / "handler.py"
    assert source.exists()


def test_parameters_and_settings_have_the_same_defaults(template: Template) -> None:
    for function, kind in FUNCTIONS.items():
        environment = template.resolve(template.properties(function)["Environment"]["Variables"], {})
        loaded = kind.load(environment)
        for name, field in kind.model_fields.items():
            if not field.is_required():
                assert getattr(loaded, name) == field.default, f"{function}: {name}"


@pytest.mark.parametrize("function", ASYNCHRONOUS)
def test_a_failed_asynchronous_invocation_goes_to_the_dead_letter_queue(
    template: Template, function: str
) -> None:
    configured = [
        properties
        for properties in template.of_type("AWS::Lambda::EventInvokeConfig").values()
        if properties["FunctionName"] == {"Ref": function}
    ]
    assert len(configured) == 1
    assert configured[0]["DestinationConfig"]["OnFailure"]["Destination"] == DEAD_LETTER_QUEUE
    assert configured[0]["MaximumRetryAttempts"] == 2
    sends = [s for s in template.statements(template.role_of(function)) if "sqs:SendMessage" in s.actions]
    assert any("DeadLetterQueue.Arn" in resources_of(template, s) for s in sends)


def test_every_function_has_a_build_target() -> None:
    makefile = (ROOT / "functions/Makefile").read_text("utf-8")
    for function in FUNCTIONS:
        assert f"build-{function}:\n\t$(call handler,{folder_of(function)})" in makefile


def test_the_poller_may_send_a_wait_again_for_as_long_as_it_takes(template: Template) -> None:
    # Lambda follows a message that a function sends to its own queue, and stops it after about 16 times.
    allowed = {name for name in FUNCTIONS if template.properties(name).get("RecursiveLoop") == "Allow"}
    assert allowed == {"WatchBedrockFunction"}
