"""`distillery estimate`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from cfnlint.decode import cfn_yaml

from cli.app import main
from cli.cost_estimate import MODELS
from distillery.task.channels import default_channel_config
from tests.unit.conftest import TEMPLATE

if TYPE_CHECKING:
    from pathlib import Path


def test_default_models_are_those_of_the_template() -> None:
    parameters: Any = cfn_yaml.load(str(TEMPLATE))["Parameters"]
    assert {role: parameters[f"{role.capitalize()}ModelId"]["Default"] for role in MODELS} == MODELS


def dataset(folder: Path, count: int = 120) -> Path:
    """A file with labelled queries."""
    label = json.dumps({name: float(at == 0) for at, name in enumerate(default_channel_config().names)})
    file = folder / "set.jsonl"
    with file.open("w") as lines:
        for number in range(count):
            turns = [("user", f"query number {number}"), ("assistant", label)]
            messages = [{"role": role, "content": [{"text": text}]} for role, text in turns]
            lines.write(
                json.dumps({"schemaVersion": "bedrock-conversation-2024", "messages": messages}) + "\n"
            )
    return file


def test_estimate_needs_no_stack(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["estimate", str(dataset(tmp_path))]) == 0
    text = capsys.readouterr().out
    for part in (
        "teacher's answers",
        "training",
        "storage",
        "judge",
        "total without unknown",
        "has paid for itself after",
    ):
        assert part in text
    assert main(["estimate", str(dataset(tmp_path)), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["unknown"] == []
    assert document["per_thousand"]["student"]["high"] < document["per_thousand"]["baseline"]["low"]


def test_other_prices_and_models_change_the_estimate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text("as_of: 2026-01-01\ncurrency: USD\nmodels: []\n")
    options = ["--prices", str(prices), "--teacher", "us.amazon.nova-premier-v1:0", "--json"]
    assert main(["estimate", str(dataset(tmp_path)), *options]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["known"] == {"low": 0.0, "high": 0.0}
    assert document["models"]["teacher"] == "us.amazon.nova-premier-v1:0"


@pytest.mark.parametrize(
    ("name", "message"),
    [("set.jsonl", "The stack would reject"), ("missing.jsonl", "cannot be read"), (".", "cannot be read")],
)
def test_file_that_is_not_a_dataset_is_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, message: str
) -> None:
    dataset(tmp_path, 3)
    assert main(["estimate", str(tmp_path / name)]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert message in output.err


@pytest.mark.parametrize("option", ["--prices", "--channels"])
@pytest.mark.parametrize("content", [b"\xff", b"[", b"nothing: here"])
def test_invalid_price_list_or_channel_config_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, content: bytes
) -> None:
    file = tmp_path / "other.yaml"
    file.write_bytes(content)
    assert main(["estimate", str(dataset(tmp_path)), option, str(file)]) == 1
    assert "Traceback" not in capsys.readouterr().err
