"""Fixtures of the exploration: an account in memory with a virtual clock."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import time_machine
from cfnlint.decode import cfn_yaml
from moto import mock_aws

from distillery.aws import clients
from tests.races.cloud import Cloud
from tests.races.pipeline import Pipeline, SerialExecutor
from tests.unit.conftest import TABLES, TEMPLATE, create_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

FOLDER = Path(__file__).parent
START = datetime(2026, 12, 1, 9, 0, tzinfo=UTC)
ENVIRONMENT = {
    "RUNS_TABLE": "RunsTable",
    "RESULTS_TABLE": "ResultsTable",
    "CLAIMS_TABLE": "ClaimsTable",
    "IDEMPOTENCY_TABLE": "IdempotencyTable",
    "GENERATIONS_TABLE": "GenerationsTable",
    "LABELS_TABLE": "LabelsTable",
    "DATA_BUCKET": "data",
    "EVENT_BUS": "bus",
    "WATCH_QUEUE_URL": "https://queue/watch",
    "LABEL_QUEUE_URL": "https://queue/label",
    "QUERY_QUEUE_URL": "https://queue/query",
    "DEAD_LETTER_QUEUE_URL": "https://queue/dead",
    "ACTIVE_MODEL_PARAMETER": "/stack/active-model",
    "BEDROCK_ROLE_ARN": "arn:aws:iam::123456789012:role/bedrock",
    "TEACHER_MODEL": "amazon.nova-pro-v1:0",
    "STUDENT_MODEL": "amazon.nova-micro-v1:0:128k",
    "BASELINE_MODEL": "us.anthropic.claude-haiku-4-5-20251001-v1:0",
    "JUDGE_MODEL": "amazon.nova-pro-v1:0",
    "HOLDOUT_MIN": "3",
    "HOLDOUT_MAX": "3",
    "POLL_INTERVAL_SECONDS": "600",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder, so that `make explore` finds them."""
    for item in items:
        if item.path.is_relative_to(FOLDER):
            item.add_marker(pytest.mark.races)


@pytest.fixture(autouse=True)
def _no_network(socket_disabled: None) -> None:
    """Applies to every test of the exploration."""


@pytest.fixture(scope="session")
def resources() -> dict[str, Any]:
    """The resources of the template."""
    template: dict[str, Any] = cfn_yaml.load(str(TEMPLATE))
    found: dict[str, Any] = template["Resources"]
    return found


@pytest.fixture
def world(
    resources: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> Callable[[], AbstractContextManager[Pipeline]]:
    """A context manager that gives the pipeline of a new account; one for each schedule."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "us-east-1")
    monkeypatch.setenv("POWERTOOLS_TRACE_DISABLED", "true")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "distillery")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").startswith("distillery.") and (
            getattr(module, "ThreadPoolExecutor", None) is ThreadPoolExecutor
        ):
            monkeypatch.setattr(module, "ThreadPoolExecutor", SerialExecutor)

    @contextmanager
    def create() -> Iterator[Pipeline]:
        with (
            mock_aws(),
            time_machine.travel(START, tick=False) as clock,
            pytest.MonkeyPatch.context() as patch,
        ):
            for table in TABLES:
                create_table(resources, table)
            boto3.client("s3").create_bucket(Bucket="data")
            boto3.client("ssm").put_parameter(Name="/stack/active-model", Value="{}", Type="String")
            cloud = Cloud(clock)
            patch.setattr(clients, "client", cloud.client)
            patch.setattr("time.sleep", lambda _seconds: None)
            yield Pipeline(cloud, dict(ENVIRONMENT))

    return create
