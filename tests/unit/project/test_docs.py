"""What the README shows is what the software takes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from cli.app import main
from distillery.cost.prices import parse_prices
from distillery.dataset.findings import CODES
from distillery.generation.planner import plan
from distillery.generation.spec import parse_spec
from distillery.runs import events
from distillery.runs.states import State
from distillery.task.channels import default_channel_config, parse_channel_config
from tools.translate import source

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text("utf-8")


def example(heading: str, language: str) -> str:
    """The first block in a language under a heading of the README."""
    section = re.split(rf"^#+ {re.escape(heading)}$", README, flags=re.MULTILINE)[1]
    section = re.split(r"^## ", section, flags=re.MULTILINE)[0]
    block = re.search(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert block is not None, f"no {language} example under {heading!r}"
    return block[1]


def test_example_of_a_channel_config_can_be_used() -> None:
    assert parse_channel_config(example("A channel configuration", "yaml")).names == ("speech", "noise")


def test_example_of_a_spec_can_be_planned() -> None:
    spec = parse_spec(example("A spec", "yaml").encode())
    assert len(plan(spec, default_channel_config())) >= spec.records


def test_example_of_a_price_list_can_be_used() -> None:
    prices = parse_prices(example("Prices", "yaml"))
    assert prices.find("amazon.nova-pro-v1:0") is not None
    customising = prices.find_customising("amazon.nova-micro-v1:0:128k")
    assert customising is not None
    assert (customising.training, customising.storage) == (1.0, None)


def test_example_of_a_quote_is_what_the_command_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["estimate", str(ROOT / "samples/dataset.jsonl")]) == 0
    assert example("An estimate", "text").strip() in capsys.readouterr().out


def test_every_finding_code_is_in_the_table_as_the_doctor_says_it() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (error|warning|note) \| (.*) \| (.*) \|$", README, re.MULTILINE)
    assert {code: (severity, meaning) for code, severity, meaning, _ in rows} == {
        code: (kind.severity, kind.meaning) for code, kind in CODES.items()
    }
    for code, _, _, fix in rows:
        assert fix == f"{'Fixed. ' if CODES[code].fixed else ''}{CODES[code].fix}"


def test_every_state_event_parameter_and_output_is_named() -> None:
    template = source()
    names = [
        *(state.value for state in State if state is not State.RETIRED),
        *(event.detail_type for event in events.OWN_EVENTS),
        *template["Outputs"],
        *(name for name in template["Parameters"] if not name.endswith("DeadlineSeconds")),
    ]
    missing = [name for name in names if f"`{name}`" not in README]
    assert missing == []
