"""Data that version 0.1.0 wrote is read under the present names.

The samples are written out as that version stored them.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import yaml

from distillery.aws.bucket import Bucket
from distillery.aws.generation_store import Generations, Label, Labels
from distillery.aws.run_store import RunStore
from distillery.aws.stack_config import (
    generation_channel_config,
    pin_channel_config,
    run_channel_config,
    stack_channel_config,
)
from distillery.aws.tables import to_item
from distillery.dataset.validation import DatasetReport
from distillery.earlier_names import renamed
from distillery.errors import BadInput
from distillery.generation.planner import Planned, load_plan
from distillery.generation.spec import parse_spec
from distillery.runs.states import Run, State
from distillery.settings import PlanSettings, StartSettings
from distillery.steps.generation_steps import GenerationSteps
from distillery.steps.start_distillation import start_distillation
from distillery.task.channels import parse_channel_config
from distillery.task.repairs import Repair
from tests.specs import small_spec
from tests.unit.fakes import FakeModels, FakeRoles, validation
from tests.unit.steps.run_helpers import RUN, bring_to

if TYPE_CHECKING:
    from distillery.steps.run_steps import RunSteps
    from tests.unit.fakes import CloudResources

CHANNEL_CONFIG = b"""
subject: sound search
label_grid: 0.1
facets:
  - name: speech
    description: What is said.
  - name: noise
    description: What is heard.
fallback: {speech: 0.5, noise: 0.5}
"""
NAMES = ("speech", "noise")
PLAN = (
    b'{"number": 1, "query": "a red kayak", "family": "about_visual", "facet": "visual", "hard": null}\n'
    b'{"number": 2, "query": "loud tram", "family": "typos", "facet": "audio", "hard": "typos"}\n'
)
SOURCE = {"bucket": "data", "key": "datasets/set/a.jsonl", "version_id": "v", "etag": ""}
RUN_ITEM: dict[str, Any] = {
    "run_id": "set-0123456789ab",
    "state": "NOT_PROMOTED",
    "source": SOURCE,
    "dataset": "set",
    "counts": {"lines": 200, "accepted": 199, "mended": 3},
    "taxonomy_digest": "0123456789ab",
    "quote": {
        "low": 0.5,
        "high": 63.1,
        "unknown": ["training"],
        "waits_because": "it may cost $63.10, and the stack's limit is $50.00",
    },
    "approval": {
        "by": "arn:aws:iam::123456789012:user/ann",
        "at": "2026-11-20T08:00:00+00:00",
        "decision": "approved",
        "because": "agreed with finance",
    },
    "evaluation_jobs": {"distilled": "arn:d", "base": "arn:u", "baseline": "arn:b"},
    "scores": {
        "distilled": {"rubric": 4.2, "judge": 4.0},
        "base": {"rubric": 1.5},
        "baseline": {"rubric": 4.1},
    },
}


def put(key: str, content: bytes) -> None:
    boto3.client("s3").put_object(Bucket="data", Key=key, Body=content)


@pytest.fixture
def bucket(cloud: CloudResources) -> Bucket:
    return Bucket(cloud.environment["DATA_BUCKET"])


# The channel configuration


def test_channel_config_with_earlier_keys_is_read() -> None:
    assert parse_channel_config(CHANNEL_CONFIG).names == NAMES


def test_stack_reads_the_channel_config_at_its_earlier_key_with_a_warning(
    bucket: Bucket, caplog: pytest.LogCaptureFixture
) -> None:
    put("config/taxonomy.yaml", CHANNEL_CONFIG)
    with caplog.at_level(logging.WARNING):
        assert stack_channel_config(bucket).names == NAMES
    (warning,) = caplog.messages
    assert warning == "config/taxonomy.yaml is read in place of config/channels.yaml. Rename the object."


def test_channel_config_at_its_present_key_is_used_without_a_warning(
    bucket: Bucket, caplog: pytest.LogCaptureFixture
) -> None:
    put("config/taxonomy.yaml", b"not read")
    put("config/channels.yaml", CHANNEL_CONFIG.replace(b"noise", b"sound"))
    assert stack_channel_config(bucket).names == ("speech", "sound")
    assert not caplog.messages


def test_invalid_channel_config_at_its_earlier_key_is_refused_naming_that_key(bucket: Bucket) -> None:
    put("config/taxonomy.yaml", b"facets: 5")
    with pytest.raises(BadInput, match=r"config/taxonomy\.yaml"):
        stack_channel_config(bucket)


def test_run_and_generation_read_the_copy_that_an_earlier_version_kept(
    bucket: Bucket, caplog: pytest.LogCaptureFixture
) -> None:
    put("runs/old/taxonomy.yaml", CHANNEL_CONFIG)
    put("generations/old/taxonomy.yaml", CHANNEL_CONFIG)
    assert run_channel_config(bucket, "old").names == NAMES
    assert pin_channel_config(bucket, "old").names == NAMES
    assert generation_channel_config(bucket, "old").names == NAMES
    assert not bucket.has("runs/old/channels.yaml")
    assert not caplog.messages


# Generations


def earlier_spec() -> dict[str, Any]:
    """The small spec as version 0.1.0 took it."""
    content = small_spec()
    groups = content.pop("template_groups")
    del content["near_duplicates"]
    families = {
        name: {"facet": group["channel"], "templates": group["templates"]} for name, group in groups.items()
    }
    return content | {"families": families, "spare": 0.3, "near_copies": 0.25}


def test_spec_with_earlier_keys_is_the_same_spec() -> None:
    present = small_spec(oversample=0.3, near_duplicates=0.25)
    assert parse_spec(yaml.safe_dump(earlier_spec())) == parse_spec(yaml.safe_dump(present))


def test_plan_with_earlier_keys_is_read() -> None:
    assert load_plan(PLAN) == [
        Planned(1, "a red kayak", "about_visual", "visual"),
        Planned(2, "loud tram", "typos", "audio", "typos"),
    ]


def test_generation_of_an_earlier_version_is_read_from_its_tables_and_objects(cloud: CloudResources) -> None:
    generation = {
        "generation_id": "set-0123456789ab",
        "state": "LABELLING",
        "source": SOURCE | {"key": "specs/set.yaml"},
        "dataset": "set",
        "counts": {"planned": 2, "invented": 0, "near_copies": 1},
    }
    label = {
        "generation_id": "set-0123456789ab",
        "number": 1,
        "query": "a red kayak",
        "weights": {"speech": 1.0, "noise": 0.0},
        "repairs": ["surroundings", "missing_facet"],
    }
    client = boto3.client("dynamodb")
    client.put_item(TableName="GenerationsTable", Item=to_item(generation))
    client.put_item(TableName="LabelsTable", Item=to_item(label))
    put("generations/set-0123456789ab/plan.jsonl", PLAN)
    put("generations/set-0123456789ab/taxonomy.yaml", CHANNEL_CONFIG)
    put("generations/set-0123456789ab/spec.yaml", yaml.safe_dump(earlier_spec()).encode())
    counts = Generations("GenerationsTable").get("set-0123456789ab").counts
    assert counts == {"planned": 2, "invented": 0, "near_duplicates": 1}
    (stored,) = Labels("LabelsTable").all("set-0123456789ab")
    assert stored.repairs == [Repair.SURROUNDINGS, Repair.MISSING_CHANNEL]
    generating = GenerationSteps.from_settings(PlanSettings.load(cloud.environment))
    assert [one.channel for one in generating.plan("set-0123456789ab")] == ["visual", "audio"]
    assert generating.channel_config("set-0123456789ab").names == NAMES
    assert generating.spec("set-0123456789ab").oversample == 0.3


def test_label_is_written_with_the_present_name_of_a_repair() -> None:
    label = Label.model_validate(
        {"generation_id": "g", "number": 1, "query": "q", "repairs": ["missing_facet"]}
    )
    assert label.model_dump(mode="json")["repairs"] == ["missing_channel"]


def test_repair_that_no_version_had_is_refused() -> None:
    with pytest.raises(ValueError, match="not a valid Repair"):
        Repair("missing_everything")


# Runs


def test_run_of_an_earlier_version_is_read_from_the_run_table(cloud: CloudResources) -> None:
    boto3.client("dynamodb").put_item(TableName="RunsTable", Item=to_item(RUN_ITEM))
    run = RunStore("RunsTable").get("set-0123456789ab")
    assert run.counts == {"lines": 200, "accepted": 199, "fixed": 3}
    assert run.channel_config_digest == "0123456789ab"
    assert run.estimate is not None
    assert (run.estimate.high, run.estimate.unknown) == (63.1, ["training"])
    assert run.estimate.approval_reason.startswith("it may cost $63.10")
    assert run.approval is not None
    assert run.approval.reason == "agreed with finance"
    assert run.is_approved
    assert run.evaluation_jobs == {"distilled": "arn:d", "untuned": "arn:u", "baseline": "arn:b"}
    assert run.is_being_judged
    assert {name: scores["weight_score"] for name, scores in run.scores.items()} == {
        "distilled": 4.2,
        "untuned": 1.5,
        "baseline": 4.1,
    }
    assert run.scores["distilled"]["judge"] == 4.0


def earlier_report() -> dict[str, Any]:
    """A validation.json as version 0.1.0 wrote it."""
    codes = ("unknown_facet", "missing_facet", "thin_facet", "thin_length", "thin_language", "not_utf8")
    content = json.loads(validation(RUN).model_dump_json())
    content["mended"] = 7
    del content["fixed"]
    content["findings"] = [
        {
            "code": code,
            "severity": "warning",
            "line": 4,
            "message": "m",
            "mend": f"fix of {code}",
            "lines": [],
        }
        for code in codes
    ]
    content["finding_counts"] = {code: number for number, code in enumerate(codes, start=1)}
    return dict(content)


def test_validation_report_of_an_earlier_version_is_read() -> None:
    report = DatasetReport.model_validate_json(json.dumps(earlier_report()))
    assert report.fixed == 7
    assert [(finding.code, finding.fix) for finding in report.findings] == [
        ("unknown_channel", "fix of unknown_facet"),
        ("missing_channel", "fix of missing_facet"),
        ("underrepresented_channel", "fix of thin_facet"),
        ("underrepresented_length", "fix of thin_length"),
        ("underrepresented_language", "fix of thin_language"),
        ("not_utf8", "fix of not_utf8"),
    ]
    assert report.finding_counts == {
        "unknown_channel": 1,
        "missing_channel": 2,
        "underrepresented_channel": 3,
        "underrepresented_length": 4,
        "underrepresented_language": 5,
        "not_utf8": 6,
    }


def test_run_that_an_earlier_version_validated_is_started(cloud: CloudResources, steps: RunSteps) -> None:
    bring_to(State.VALIDATED, steps)
    put(f"runs/{RUN}/validation.json", json.dumps(earlier_report()).encode())
    put(f"runs/{RUN}/taxonomy.yaml", CHANNEL_CONFIG)
    settings = StartSettings.load(cloud.environment)
    run = start_distillation(RUN, settings, steps, FakeModels(), FakeRoles())
    assert run.state is State.TRAINING
    assert json.loads(Bucket("data").read(f"runs/{RUN}/estimate.json"))["labelled"] == 500


# Both names


@pytest.mark.parametrize("earlier_first", [True, False])
def test_present_name_is_used_when_both_are_there(earlier_first: bool) -> None:
    pairs = [("facet", "old"), ("channel", "new"), ("other", "kept")]
    content = dict(pairs if earlier_first else reversed(pairs))
    assert renamed(content, {"facet": "channel"}) == {"channel": "new", "other": "kept"}


@pytest.mark.parametrize("content", [None, 5, "facet", ["facet"], {"channel": 1}])
def test_content_without_earlier_names_is_returned_unchanged(content: Any) -> None:
    assert renamed(content, {"facet": "channel"}) is content


def test_present_names_are_used_in_every_stored_model_when_both_are_there() -> None:
    run = Run.model_validate(
        RUN_ITEM
        | {
            "estimate": {"low": 1, "high": 2, "approval_reason": "new", "waits_because": "old"},
            "channel_config_digest": "new",
            "evaluation_jobs": {"base": "old", "untuned": "new"},
            "scores": {"untuned": {"rubric": 1.0, "weight_score": 2.0}},
            "counts": {"mended": 1, "fixed": 2},
        }
    )
    assert run.estimate is not None
    assert (run.estimate.low, run.estimate.approval_reason) == (1, "new")
    assert run.channel_config_digest == "new"
    assert run.evaluation_jobs == {"untuned": "new"}
    assert run.scores == {"untuned": {"weight_score": 2.0}}
    assert run.counts == {"fixed": 2}
    line = {
        "number": 1,
        "query": "q",
        "family": "old",
        "template_group": "new",
        "facet": "old",
        "channel": "new",
    }
    assert load_plan(json.dumps(line).encode()) == [Planned(1, "q", "new", "new")]
    report = earlier_report() | {"fixed": 9}
    assert DatasetReport.model_validate(report).fixed == 9
    spec = parse_spec(yaml.safe_dump(small_spec(oversample=0.3) | {"spare": 1.0}))
    assert spec.oversample == 0.3
