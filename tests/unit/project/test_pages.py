"""README.md and docs/: examples can be used, tables are current, names are complete, links lead somewhere."""

from __future__ import annotations

import fnmatch
import json
import re
from io import BytesIO
from pathlib import Path

import cfnlint
import pytest

from cli.app import main
from distillery.cost.prices import parse_prices
from distillery.dataset.validation import Rules, validate_dataset
from distillery.generation.planner import plan
from distillery.generation.spec import parse_spec
from distillery.generation.states import GenerationState
from distillery.runs import events
from distillery.runs.states import State
from distillery.task.channels import default_channel_config, parse_channel_config
from tests.pages import blocks
from tools.docs_tables import PAGES, TABLES, with_tables
from tools.translate import ROOT, source, translated

README = ROOT / "README.md"
LONGEST_README = 1_200
"""Words."""


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text("utf-8")


def example(name: str, language: str) -> str:
    """The first block of a page in a language."""
    return next(block.text for block in blocks(ROOT / "docs" / name) if block.language == language)


def heading_anchors(text: str) -> set[str]:
    """The anchors that a page's headings get, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_readme_can_be_read_in_a_few_minutes() -> None:
    assert len(README.read_text("utf-8").split()) <= LONGEST_README


def test_readme_says_in_the_first_screen_that_no_aws_account_was_used() -> None:
    first_screen = "\n".join(README.read_text("utf-8").splitlines()[:30])
    assert "never been run on a real AWS account" in first_screen


def test_example_of_a_channel_configuration_can_be_used() -> None:
    assert parse_channel_config(example("datasets.md", "yaml")).names == ("speech", "noise")


def test_example_of_a_record_is_accepted() -> None:
    record = example("datasets.md", "json").strip()
    lines = "".join(record.replace("a tin roof", f"roof {number}") + "\n" for number in range(100))
    report = validate_dataset(
        BytesIO(lines.encode()),
        channel_config=default_channel_config(),
        rules=Rules(),
        train=BytesIO(),
        holdout=BytesIO(),
    )
    assert (report.accepted, report.errors) == (100, 0)


def test_example_of_a_spec_can_be_planned() -> None:
    spec = parse_spec(example("generation.md", "yaml").encode())
    assert len(plan(spec, default_channel_config())) >= spec.records


def test_example_of_a_price_list_can_be_used() -> None:
    prices = parse_prices(example("cost.md", "yaml"))
    assert prices.find("amazon.nova-pro-v1:0") is not None
    customising = prices.find_customising("amazon.nova-micro-v1:0:128k")
    assert customising is not None
    assert (customising.training, customising.storage) == (1.0, 1.95)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_tables_are_the_ones_that_the_code_gives(path: Path) -> None:
    text = path.read_text("utf-8")
    assert with_tables(text) == text, "run `python -m tools.docs_tables`"


def test_every_table_stands_on_a_page() -> None:
    everything = "".join(path.read_text("utf-8") for path in PAGES)
    assert [name for name in TABLES if f"<!-- table: {name} -->" not in everything] == []


@pytest.mark.parametrize(
    ("name", "terms"),
    [
        ("architecture.md", [state.value for state in State if state is not State.RETIRED]),
        ("architecture.md", [event.detail_type for event in events.OWN_EVENTS]),
        (
            "architecture.md",
            sorted(folder.name for folder in (ROOT / "functions").iterdir() if folder.is_dir()),
        ),
        ("generation.md", [state.value for state in GenerationState]),
    ],
    ids=["states", "events", "functions", "states of a generation"],
)
def test_every_name_is_on_its_page(name: str, terms: list[str]) -> None:
    text = page(name)
    assert [term for term in terms if f"`{term}`" not in text] == []


def test_every_folder_of_the_package_is_described() -> None:
    package = ROOT / "layers/distillery/src/distillery"
    folders = sorted(folder.name for folder in package.iterdir() if (folder / "__init__.py").exists())
    assert [name for name in folders if f"`{name}/`" not in page("architecture.md")] == []


def test_every_metric_of_the_router_is_described() -> None:
    router = (ROOT / "layers/distillery/src/distillery/steps/route_queries.py").read_text("utf-8")
    named = set(re.findall(r'"([A-Z][a-zA-Z]+)"', router)) - {"MessageBody"}
    metrics = {name for name in named if re.search(rf'add_metric\("{name}"|"{name}":', router)}
    assert metrics
    assert [name for name in sorted(metrics) if f"`{name}`" not in page("operations.md")] == []


def test_every_retained_resource_is_named_where_uninstalling_is_described() -> None:
    retained = [
        name
        for name, resource in source()["Resources"].items()
        if resource.get("DeletionPolicy", "").startswith("Retain")
    ]
    uninstall = page("operations.md").split("## Uninstall")[1]
    assert [name for name in retained if f"`{name}`" not in uninstall] == []


@pytest.mark.parametrize("path", [*PAGES, *ROOT.glob("[A-Z]*.md")], ids=lambda path: path.name)
def test_links_lead_to_a_file_and_a_heading(path: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text("utf-8")):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        if not file.exists() or (anchor and anchor not in heading_anchors(file.read_text("utf-8"))):
            broken.append(target)
    assert broken == []


def test_policy_of_the_person_who_deploys_has_actions_for_every_resource_type_and_no_star() -> None:
    policy = json.loads((ROOT / "docs/deploy-policy.json").read_text("utf-8"))
    actions = {action for statement in policy["Statement"] for action in statement["Action"]}
    services = {
        "Events": "events",
        "Lambda": "lambda",
        "CloudWatch": "cloudwatch",
    }
    wanted = {kind.split("::")[1] for kind in (r["Type"] for r in translated()["Resources"].values())}
    allowed = {action.split(":")[0] for action in actions}
    assert {services.get(service, service.lower()) for service in wanted} - allowed == set()
    assert not {action for action in actions if action in {"*", "iam:*", "s3:*"}}
    document = json.dumps(policy, separators=(",", ":"))
    assert len(document) <= 6_144, "the limit of a managed policy"


def test_actions_of_that_policy_exist() -> None:
    known = json.loads(
        Path(cfnlint.__file__)
        .with_name("data")
        .joinpath("AdditionalSpecs", "Policies.json")
        .read_text("utf-8")
    )
    policy = json.loads((ROOT / "docs/deploy-policy.json").read_text("utf-8"))
    unknown = []
    for action in (action for statement in policy["Statement"] for action in statement["Action"]):
        service, _, name = action.partition(":")
        if not fnmatch.filter([one.lower() for one in known[service]["Actions"]], name.lower()):
            unknown.append(action)
    assert unknown == []


@pytest.mark.parametrize("name", ["README.md", "docs/cost.md"])
def test_estimate_on_the_page_is_what_the_command_prints(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = [block.text.strip() for block in blocks(ROOT / name) if block.text.startswith("The run costs ")]
    assert main(["estimate", str(ROOT / "samples/dataset.jsonl")]) == 0
    printed = capsys.readouterr().out
    assert len(shown) == 1
    assert shown[0] in printed
