"""Validation: one run per object version, one owner per content, and nothing started on bad data."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from distillery.runs.states import Run, Source, State, run_id
from distillery.settings import ValidateSettings
from distillery.steps.validate_dataset import validate_dataset
from tests.unit.steps.run_helpers import GOOD_DATASET, drop, line

if TYPE_CHECKING:
    from distillery.steps.run_steps import RunSteps
    from tests.unit.fakes import CloudResources


@pytest.fixture
def validate(cloud: CloudResources, steps: RunSteps) -> Any:
    settings = ValidateSettings.load(cloud.environment)
    return lambda source: validate_dataset(source, settings, steps)


def objects() -> set[str]:
    return {entry["Key"] for entry in boto3.client("s3").list_objects_v2(Bucket="data").get("Contents", [])}


def read(key: str) -> bytes:
    content: bytes = boto3.client("s3").get_object(Bucket="data", Key=key)["Body"].read()
    return content


def test_good_dataset_is_validated_and_split(validate: Any, cloud: CloudResources) -> None:
    run: Run = validate(drop("datasets/set/a.jsonl", GOOD_DATASET))
    assert run.state is State.VALIDATED
    assert (run.counts["train"], run.counts["holdout"]) == (150, 50)
    base = f"runs/{run.run_id}"
    assert objects() >= {f"{base}/validation.json", f"{base}/train.jsonl", f"{base}/holdout.jsonl"}
    assert cloud.published() == {"Dataset Validated": 1}
    (watch,) = cloud.messages("WATCH_QUEUE_URL")
    assert json.loads(watch["Body"])["run_id"] == run.run_id


def test_same_event_twice_is_one_run_and_one_event(validate: Any, cloud: CloudResources) -> None:
    source = drop("datasets/set/a.jsonl", GOOD_DATASET)
    first, second = validate(source), validate(source)
    assert first.run_id == second.run_id
    assert [move.state for move in second.history] == [State.RECEIVED, State.VALIDATED]
    assert cloud.published() == {"Dataset Validated": 1}


def test_same_content_under_another_key_is_a_duplicate(validate: Any, cloud: CloudResources) -> None:
    first = validate(drop("datasets/set/a.jsonl", GOOD_DATASET))
    second = validate(drop("datasets/other/b.jsonl", "\n".join(reversed(GOOD_DATASET.splitlines()))))
    assert (second.state, second.duplicate_of) == (State.DUPLICATE, first.run_id)
    assert cloud.published() == {"Dataset Validated": 1, "Dataset Rejected": 1}


def test_same_content_is_validated_when_the_first_run_failed(validate: Any, steps: RunSteps) -> None:
    first = validate(drop("datasets/set/a.jsonl", GOOD_DATASET))
    steps.fail(first.run_id, "test", "because")
    second = validate(drop("datasets/set/b.jsonl", GOOD_DATASET))
    assert second.state is State.VALIDATED
    third = validate(drop("datasets/set/c.jsonl", GOOD_DATASET))
    assert third.duplicate_of == second.run_id


@pytest.mark.parametrize(
    "content",
    [
        "",
        "not json\n",
        "\x00\x01\x02\n" * 100,
        line("always the same") + "\n",
        "\n".join([line("same")] * 120),
    ],
    ids=["empty", "not JSONL", "binary", "one record", "120 identical prompts"],
)
def test_bad_dataset_is_rejected_with_reasons_and_without_training_data(
    validate: Any, cloud: CloudResources, content: str
) -> None:
    run: Run = validate(drop("datasets/set/a.jsonl", content))
    assert run.state is State.REJECTED
    assert run.reasons
    assert f"runs/{run.run_id}/train.jsonl" not in objects()
    assert f"runs/{run.run_id}/validation.json" in objects()
    assert cloud.published() == {"Dataset Rejected": 1}


def test_bad_lines_within_the_tolerance_are_quarantined_and_the_run_goes_on(validate: Any) -> None:
    content = (
        GOOD_DATASET.replace('roof 7"', 'ro\\u0000of 7"') + "not JSON\n" + line("rain on roof 200") + "\n"
    )
    run: Run = validate(drop("datasets/set/a.jsonl", content))
    assert run.state is State.VALIDATED
    assert (run.counts["lines"], run.counts["accepted"], run.counts["fixed"]) == (202, 201, 1)
    base = f"runs/{run.run_id}"
    quarantined = json.loads(read(f"{base}/quarantine.jsonl"))
    assert (quarantined["line"], quarantined["raw"]) == (201, "not JSON")
    assert read(f"{base}/fixes.diff").count(b"\n@@ ") == 2
    assert b"u0000" not in read(f"{base}/train.jsonl") + read(f"{base}/holdout.jsonl")


def test_bad_lines_beyond_the_tolerance_reject_the_dataset(validate: Any) -> None:
    run: Run = validate(drop("datasets/set/a.jsonl", GOOD_DATASET + "not JSON\n" * 3))
    assert run.state is State.REJECTED
    assert "3 lines of 203 cannot be used (share tolerated: 0.01)" in run.reasons[0]


def test_the_findings_are_written_as_json_and_as_a_page(validate: Any) -> None:
    run: Run = validate(drop("datasets/set/a.jsonl", GOOD_DATASET))
    base = f"runs/{run.run_id}"
    assert json.loads(read(f"{base}/validation.json"))["lines"] == 200
    page = boto3.client("s3").get_object(Bucket="data", Key=f"{base}/validation.html")
    assert page["ContentType"] == "text/html; charset=utf-8"
    assert run.run_id in page["Body"].read().decode()
    assert f"{base}/fixes.diff" not in objects()


def test_object_that_does_not_exist_fails_the_run(validate: Any) -> None:
    run: Run = validate(Source(bucket="data", key="datasets/set/gone.jsonl", etag="x"))
    assert run.state is State.FAILED
    assert run.failure is not None
    assert "datasets/set/gone.jsonl" in run.failure.cause


@pytest.mark.parametrize(
    "key", ["set/A.JSONL", "set/a.json", "set/a.txt", "set/2026/11/a", "set.jsonl", "/set.jsonl"]
)
def test_dataset_of_any_ending_and_in_any_folder_is_validated(validate: Any, key: str) -> None:
    run: Run = validate(drop(f"datasets/{key}", GOOD_DATASET))
    assert run.state is State.VALIDATED
    assert run.dataset == "set"


@pytest.mark.parametrize(
    ("key", "content", "message"),
    [
        (
            "a.csv",
            "query,visual,audio\nrain,1,0\n",
            "The file is a table (CSV or TSV), not JSON lines. Convert it:",
        ),
        ("a.jsonl.gz", "\x1f\x8b\x08", "The file is compressed: gzip. Decompress it"),
        ("notes.md", "# Notes\n", "1 line of 1 cannot be used"),
    ],
)
def test_object_that_is_no_dataset_is_rejected_with_a_reason_and_an_event(
    validate: Any, cloud: CloudResources, key: str, content: str, message: str
) -> None:
    source = drop(f"datasets/set/{key}", "")
    boto3.client("s3").put_object(Bucket="data", Key=source.key, Body=content.encode("latin-1"))
    run: Run = validate(source.model_copy(update={"etag": ""}))
    assert run.state is State.REJECTED
    assert run.reasons[0].startswith(message)
    assert cloud.published() == {"Dataset Rejected": 1}


def test_second_upload_while_versioning_is_suspended_is_a_run_of_its_own(validate: Any) -> None:
    suspended = {"version_id": "null"}
    first = drop("datasets/set/a.jsonl", GOOD_DATASET).model_copy(update=suspended)
    assert validate(first).state is State.VALIDATED
    other = GOOD_DATASET.replace("rain", "snow")
    second = drop("datasets/set/a.jsonl", other).model_copy(update=suspended)
    assert validate(second).state is State.VALIDATED


def test_object_that_was_replaced_before_it_was_read_is_not_taken_for_the_one_of_the_event(
    validate: Any,
) -> None:
    first = drop("datasets/set/a.jsonl", GOOD_DATASET)
    second = drop("datasets/set/a.jsonl", GOOD_DATASET.replace("rain", "snow"))
    run: Run = validate(first)
    assert run.state is State.FAILED
    assert run.failure is not None
    assert "s3://data/datasets/set/a.jsonl was replaced before it was read" in run.failure.cause
    assert validate(second).state is State.VALIDATED


def test_run_id_is_derived_from_the_object_version(validate: Any) -> None:
    source = drop("datasets/My Set/a.jsonl", GOOD_DATASET)
    assert validate(source).run_id == run_id("data", source.key, source.etag)


def test_event_that_was_not_published_is_published_by_the_next_delivery(
    validate: Any, steps: RunSteps, cloud: CloudResources, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = drop("datasets/set/a.jsonl", GOOD_DATASET)
    with monkeypatch.context() as patched:

        def fail(_: Any) -> None:
            raise MemoryError

        patched.setattr(steps.event_bus, "publish", fail)
        with pytest.raises(MemoryError):
            validate(source)
    assert validate(source).announced is State.VALIDATED
    assert cloud.published() == {"Dataset Validated": 1}
