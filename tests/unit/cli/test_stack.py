"""Which stack a command uses, and the message when it cannot be reached."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.parsers import ResponseParserError

from cli import stack as stack_module
from cli.app import main
from cli.stack import Stack, Target
from distillery.errors import BadInput
from tests.unit.cli.stacks import ON_AWS

if TYPE_CHECKING:
    from pathlib import Path


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
    assert capsys.readouterr().err.startswith("Stack nobody does not exist in this account in us-east-1.")


def test_profile_that_does_not_exist_is_an_error(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--profile", "nobody"]) == 1
    assert "nobody" in capsys.readouterr().err


def test_stack_of_another_application_is_an_error(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", *ON_AWS, "--stack-name", "other"]) == 1
    assert "no output RunsTableName" in capsys.readouterr().err


def test_settings_of_the_shell_do_not_reach_the_local_cloud(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "config"
    broken.write_text("this is no configuration file")
    for name, value in {
        "AWS_PROFILE": "of-another-job",
        "AWS_CONFIG_FILE": str(broken),
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_REGION": "eu-central-1",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
    }.items():
        monkeypatch.setenv(name, value)
    session, endpoint = stack_module._session(Target())
    assert session.region_name == "us-east-1"
    client = Stack("distillery", "us-east-1", endpoint, session).client("sqs")
    assert client.meta.endpoint_url == stack_module.local_endpoint()
    assert client._endpoint.http_session._proxy_config._proxies == {}


def test_region_of_either_variable_counts_on_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    session, _ = stack_module._session(Target(aws=True))
    assert session.region_name == "eu-central-1"


@pytest.mark.parametrize("port", ["x", "0", "65536", "-1"])
def test_port_that_is_none_is_an_error(monkeypatch: pytest.MonkeyPatch, port: str) -> None:
    monkeypatch.setenv("DISTILLERY_PORT", port)
    with pytest.raises(BadInput, match="is not a port"):
        stack_module.local_endpoint()


@pytest.mark.parametrize("answer", [ResponseParserError("<html>"), KeyError("Stacks")])
def test_another_program_at_the_port_of_the_local_cloud_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], answer: Exception
) -> None:
    def other(*_: object) -> None:
        raise answer

    monkeypatch.setenv("DISTILLERY_PORT", "4599")
    monkeypatch.setattr(Stack, "client", other)
    assert main(["runs"]) == 1
    assert capsys.readouterr().err.startswith("Another program answers at http://127.0.0.1:4599")
