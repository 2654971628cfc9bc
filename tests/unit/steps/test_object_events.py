"""Events of S3 as its operations write them, and keys with every character that a key may have."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from aws_lambda_powertools.utilities.parser import parse
from aws_lambda_powertools.utilities.parser.models import S3EventNotificationEventBridgeModel

from distillery.runs.events import dropped_object
from distillery.runs.states import State
from distillery.settings import ValidateSettings
from distillery.steps.validate_dataset import validate_dataset
from tests.unit.steps.run_helpers import GOOD_DATASET

if TYPE_CHECKING:
    from collections.abc import Callable

    from distillery.runs.states import Run
    from distillery.steps.run_steps import RunSteps
    from tests.unit.fakes import CloudResources

KEYS = [
    "datasets/harbour/january 2026 (final).jsonl",
    "datasets/harbour/a+b.jsonl",
    "datasets/harbour/a%2Bb.jsonl",
    "datasets/harbour/100%.jsonl",
    "datasets/harbour/q=1&x=2;y.jsonl",
    "datasets/harbour/#1?.jsonl",
    'datasets/harbour/it\'s "quoted".jsonl',
    "datasets/harbour/<b>bold<b>.jsonl",
    "datasets/harbour/動画🎬.jsonl",
    "datasets/harbour/back\\slash.jsonl",
    "datasets/dt=2026-11-24/part-00001.jsonl",
    "datasets/My Set v1.2/Sheet1.jsonl",
    "datasets/-/-.jsonl",
    "datasets/harbour/tab\tand\xa0blank.jsonl",
    f"datasets/k/{'k' * (1_024 - 17)}.jsonl",
    f"datasets/{'é' * 251}/{'ü' * 253}.jsonl",
]
OPERATIONS: dict[str, dict[str, Any]] = {
    "multipart upload": {"reason": "CompleteMultipartUpload", "etag": f"{'3' * 32}-17"},
    "copy": {"reason": "CopyObject"},
    "replication": {"reason": "CopyObject", "requester": "s3.amazonaws.com", "source-ip-address": None},
    "form": {"reason": "POST Object"},
    "without size and ETag": {"reason": "PutObject", "size": None, "etag": None},
}


@pytest.fixture
def drop(cloud: CloudResources, steps: RunSteps) -> Callable[..., Run]:
    """Puts an object into the versioned bucket and delivers its event, with some fields changed or absent."""
    s3, settings = boto3.client("s3"), ValidateSettings.load(cloud.environment)
    s3.put_bucket_versioning(Bucket="data", VersioningConfiguration={"Status": "Enabled"})

    def deliver(key: str, content: str = GOOD_DATASET, **changed: Any) -> Run:
        stored = s3.put_object(Bucket="data", Key=key, Body=content.encode())
        fields = {
            "key": key,
            "size": len(content),
            "etag": stored["ETag"].strip('"'),
            "sequencer": "0065A1B2C3D4E5F6A7",
            "version-id": stored["VersionId"],
        }
        detail = {
            "version": "0",
            "bucket": {"name": "data"},
            "object": {name: changed.get(name, value) for name, value in fields.items()},
            "request-id": "AAAAAAAAAAAAAAAA",
            "requester": "123456789012",
            "source-ip-address": "203.0.113.7",
        } | {name: value for name, value in changed.items() if name not in fields}
        event = {
            "version": "0",
            "id": "00000000-0000-4000-8000-00000000000a",
            "detail-type": "Object Created",
            "source": "aws.s3",
            "account": "123456789012",
            "time": "2026-11-24T10:00:00Z",
            "region": "us-east-1",
            "resources": ["arn:aws:s3:::data"],
            "detail": _without_none(detail),
        }
        parsed: Any = parse(event=event, model=S3EventNotificationEventBridgeModel)
        return validate_dataset(dropped_object(parsed), settings, steps)

    return deliver


def _without_none(content: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _without_none(value) if isinstance(value, dict) else value
        for name, value in content.items()
        if value is not None
    }


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_that_creates_an_object_opens_one_run(
    drop: Callable[..., Run], cloud: CloudResources, operation: str
) -> None:
    run = drop("datasets/harbour/a.jsonl", **OPERATIONS[operation])
    assert run.state is State.VALIDATED
    assert cloud.published() == {"Dataset Validated": 1}


def test_empty_object_is_rejected_as_empty(drop: Callable[..., Run]) -> None:
    run = drop("datasets/harbour/empty.jsonl", "", reason="PutObject")
    assert run.state is State.REJECTED
    document = boto3.client("s3").get_object(Bucket="data", Key=f"runs/{run.run_id}/validation.json")
    findings = json.loads(document["Body"].read())["findings"]
    assert [finding["code"] for finding in findings] == ["empty_file"]


def test_every_key_opens_a_run_of_its_own_and_equal_content_is_a_duplicate(drop: Callable[..., Run]) -> None:
    runs = [drop(key, reason="PutObject") for key in KEYS]
    assert [run.source.key for run in runs] == KEYS
    assert len({run.run_id for run in runs}) == len(KEYS)
    assert {len(run.source.key.encode()) for run in runs[-2:]} == {1_024}
    assert [run.state for run in runs] == [State.VALIDATED] + [State.DUPLICATE] * (len(KEYS) - 1)
    assert {run.duplicate_of for run in runs[1:]} == {runs[0].run_id}


def test_key_of_a_dataset_is_no_markup_in_its_page(drop: Callable[..., Run]) -> None:
    run = drop("datasets/<b>bold<b>/<i>.jsonl", reason="PutObject")
    page = boto3.client("s3").get_object(Bucket="data", Key=f"runs/{run.run_id}/validation.html")
    text = page["Body"].read().decode()
    assert "<b>bold" not in text
    assert "&lt;b&gt;bold" in text
