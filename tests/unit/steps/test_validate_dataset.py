"""The validation step: one run per object version, one claim per content, nothing started on bad data."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from distillery.runs.states import Run, Source, State, run_id
from distillery.settings import ValidateSettings
from distillery.steps.validate_dataset import validate_dataset
from distillery.task.channels import default_channel_config
from distillery.task.prompts import student_prompt

if TYPE_CHECKING:
    from distillery.steps.run_steps import Pipeline
    from tests.unit.fakes import Surroundings

CHANNEL_CONFIG = default_channel_config()


def line(query: str) -> str:
    return json.dumps(
        {
            "schemaVersion": "bedrock-conversation-2024",
            "system": [{"text": student_prompt(CHANNEL_CONFIG)}],
            "messages": [
                {"role": "user", "content": [{"text": query}]},
                {"role": "assistant", "content": [{"text": json.dumps(CHANNEL_CONFIG.fallback)}]},
            ],
        }
    )


GOOD = "\n".join(line(f"rain on roof {i}") for i in range(200)) + "\n"


def drop(key: str, content: str) -> Source:
    answer = boto3.client("s3").put_object(Bucket="data", Key=key, Body=content.encode())
    return Source(bucket="data", key=key, etag=answer["ETag"].strip('"'))


@pytest.fixture
def validate(cloud: Surroundings, pipeline: Pipeline) -> Any:
    settings = ValidateSettings.load(cloud.environment)
    return lambda source: validate_dataset(source, settings, pipeline)


def objects() -> set[str]:
    return {entry["Key"] for entry in boto3.client("s3").list_objects_v2(Bucket="data").get("Contents", [])}


def read(key: str) -> bytes:
    content: bytes = boto3.client("s3").get_object(Bucket="data", Key=key)["Body"].read()
    return content


def test_good_dataset_is_validated_and_split(validate: Any, cloud: Surroundings) -> None:
    run: Run = validate(drop("datasets/set/a.jsonl", GOOD))
    assert run.state is State.VALIDATED
    assert (run.counts["train"], run.counts["holdout"]) == (150, 50)
    base = f"runs/{run.run_id}"
    assert objects() >= {f"{base}/validation.json", f"{base}/train.jsonl", f"{base}/holdout.jsonl"}
    assert cloud.heard() == {"Dataset Validated": 1}
    (watch,) = cloud.received("WATCH_QUEUE_URL")
    assert json.loads(watch["Body"])["run_id"] == run.run_id


def test_same_event_twice_is_one_run_said_once(validate: Any, cloud: Surroundings) -> None:
    source = drop("datasets/set/a.jsonl", GOOD)
    first, second = validate(source), validate(source)
    assert first.run_id == second.run_id
    assert [move.state for move in second.history] == [State.RECEIVED, State.VALIDATED]
    assert cloud.heard() == {"Dataset Validated": 1}


def test_same_content_under_another_key_is_a_duplicate(validate: Any, cloud: Surroundings) -> None:
    first = validate(drop("datasets/set/a.jsonl", GOOD))
    second = validate(drop("datasets/other/b.jsonl", "\n".join(reversed(GOOD.splitlines()))))
    assert (second.state, second.duplicate_of) == (State.DUPLICATE, first.run_id)
    assert cloud.heard() == {"Dataset Validated": 1, "Dataset Rejected": 1}


def test_same_content_goes_ahead_when_the_first_run_failed(validate: Any, pipeline: Pipeline) -> None:
    first = validate(drop("datasets/set/a.jsonl", GOOD))
    pipeline.fail(first.run_id, "test", "because")
    second = validate(drop("datasets/set/b.jsonl", GOOD))
    assert second.state is State.VALIDATED
    third = validate(drop("datasets/set/c.jsonl", GOOD))
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
def test_bad_dataset_is_rejected_with_reasons_and_nothing_to_train_on(
    validate: Any, cloud: Surroundings, content: str
) -> None:
    run: Run = validate(drop("datasets/set/a.jsonl", content))
    assert run.state is State.REJECTED
    assert run.reasons
    assert f"runs/{run.run_id}/train.jsonl" not in objects()
    assert f"runs/{run.run_id}/validation.json" in objects()
    assert cloud.heard() == {"Dataset Rejected": 1}


def test_bad_lines_within_the_tolerance_are_set_aside_and_the_run_goes_on(validate: Any) -> None:
    content = GOOD.replace('roof 7"', 'ro\\u0000of 7"') + "not JSON\n" + line("rain on roof 200") + "\n"
    run: Run = validate(drop("datasets/set/a.jsonl", content))
    assert run.state is State.VALIDATED
    assert (run.counts["lines"], run.counts["accepted"], run.counts["fixed"]) == (202, 201, 1)
    base = f"runs/{run.run_id}"
    quarantined = json.loads(read(f"{base}/quarantine.jsonl"))
    assert (quarantined["line"], quarantined["raw"]) == (201, "not JSON")
    assert read(f"{base}/fixes.diff").count(b"\n@@ ") == 2
    assert b"u0000" not in read(f"{base}/train.jsonl") + read(f"{base}/holdout.jsonl")


def test_bad_lines_beyond_the_tolerance_reject_the_dataset(validate: Any) -> None:
    run: Run = validate(drop("datasets/set/a.jsonl", GOOD + "not JSON\n" * 3))
    assert run.state is State.REJECTED
    assert "3 lines of 203 cannot be used (share tolerated: 0.01)" in run.reasons[0]


def test_what_was_found_is_a_document_for_machines_and_a_page_for_people(validate: Any) -> None:
    run: Run = validate(drop("datasets/set/a.jsonl", GOOD))
    base = f"runs/{run.run_id}"
    assert json.loads(read(f"{base}/validation.json"))["lines"] == 200
    page = boto3.client("s3").get_object(Bucket="data", Key=f"{base}/validation.html")
    assert page["ContentType"] == "text/html; charset=utf-8"
    assert run.run_id in page["Body"].read().decode()
    assert f"{base}/fixes.diff" not in objects()


def test_object_that_is_gone_fails_the_run(validate: Any) -> None:
    run: Run = validate(Source(bucket="data", key="datasets/set/gone.jsonl", etag="x"))
    assert run.state is State.FAILED
    assert run.failure is not None
    assert "datasets/set/gone.jsonl" in run.failure.cause


def test_run_id_follows_from_the_object_version(validate: Any) -> None:
    source = drop("datasets/My Set/a.jsonl", GOOD)
    assert validate(source).run_id == run_id("data", source.key, source.etag)


def test_function_that_died_before_announcing_is_completed_by_the_next_delivery(
    validate: Any, pipeline: Pipeline, cloud: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = drop("datasets/set/a.jsonl", GOOD)
    with monkeypatch.context() as patched:

        def die(_: Any) -> None:
            raise MemoryError

        patched.setattr(pipeline.bus, "say", die)
        with pytest.raises(MemoryError):
            validate(source)
    assert validate(source).announced is State.VALIDATED
    assert cloud.heard() == {"Dataset Validated": 1}
