"""Which stack a command uses, and the message when it cannot be reached."""

from __future__ import annotations

import pytest
from botocore.exceptions import EndpointConnectionError

from cli.app import main
from cli.stack import Stack, Target
from tests.unit.cli.stacks import ON_AWS


@pytest.mark.parametrize(
    ("target", "local"),
    [
        (Target(), True),
        (Target(aws=True), False),
        (Target(profile="a"), False),
        (Target(region="us-east-1"), False),
        (Target(stack_name="other"), False),
    ],
)
def test_stack_is_on_the_local_cloud_unless_an_option_selects_aws(target: Target, local: bool) -> None:
    assert target.local is local


def test_local_cloud_that_is_not_running_names_its_address_and_the_fix(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*_: object) -> None:
        raise EndpointConnectionError(endpoint_url="http://127.0.0.1:4599")

    monkeypatch.setenv("DISTILLERY_PORT", "4599")
    monkeypatch.setattr(Stack, "client", refused)
    assert main(["runs"]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err == "The local cloud is not running at http://127.0.0.1:4599. Start it with `make up`.\n"


def test_stack_that_does_not_exist_is_an_error(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", *ON_AWS, "--stack-name", "nobody"]) == 1
    assert capsys.readouterr().err.startswith("Stack nobody does not exist in this account and Region.")


def test_profile_that_does_not_exist_is_an_error(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--profile", "nobody"]) == 1
    assert "nobody" in capsys.readouterr().err


def test_stack_of_another_application_is_an_error(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", *ON_AWS, "--stack-name", "other"]) == 1
    assert "no output RunsTableName" in capsys.readouterr().err
