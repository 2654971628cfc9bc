"""Fixtures of the unit tests. No test opens a socket: moto emulates AWS, and Bedrock is in memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from cfnlint.decode import cfn_yaml
from moto import mock_aws

from distillery.aws import clients
from distillery.aws.event_bus import EventBus
from distillery.aws.queues import Queue
from distillery.aws.run_store import RunStore
from distillery.settings import RunSettings
from distillery.steps.run_steps import RunSteps
from tests.unit.fakes import CloudResources, FakeDeployments, FakeEvaluations, FakeJobs

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLES = (
    "RunsTable",
    "ResultsTable",
    "ClaimsTable",
    "IdempotencyTable",
    "GenerationsTable",
    "LabelsTable",
)
TEMPLATE = Path(__file__).parents[2] / "template.yaml"


@pytest.fixture(autouse=True)
def _no_network(socket_disabled: None) -> None:
    """Applies to every unit test."""


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "POWERTOOLS_TRACE_DISABLED": "true",
        "POWERTOOLS_SERVICE_NAME": "distillery",
        "POWERTOOLS_METRICS_NAMESPACE": "Distillery",
    }.items():
        monkeypatch.setenv(name, value)
    # With COLUMNS set, rich wraps text at that width.
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def resources() -> dict[str, Any]:
    """The resources of the template."""
    template: dict[str, Any] = cfn_yaml.load(str(TEMPLATE))
    found: dict[str, Any] = template["Resources"]
    return found


def create_table(resources: dict[str, Any], logical_id: str) -> str:
    """Create a table with the keys that the template defines."""
    properties = resources[logical_id]["Properties"]
    boto3.client("dynamodb").create_table(
        TableName=logical_id,
        KeySchema=properties["KeySchema"],
        AttributeDefinitions=properties["AttributeDefinitions"],
        BillingMode="PAY_PER_REQUEST",
    )
    return logical_id


@pytest.fixture
def cloud(resources: dict[str, Any]) -> Iterator[CloudResources]:
    """The resources of the stack, in memory."""
    clients.client.cache_clear()
    with mock_aws():
        for table in TABLES:
            create_table(resources, table)
        boto3.client("s3").create_bucket(Bucket="data")
        sqs = boto3.client("sqs")
        urls = {
            name: sqs.create_queue(QueueName=name)["QueueUrl"]
            for name in ("watch", "query", "label", "dead", "published")
        }
        events = boto3.client("events")
        events.create_event_bus(Name="bus")
        events.put_rule(Name="all", EventBusName="bus", EventPattern='{"source": ["distillery"]}')
        arn = sqs.get_queue_attributes(QueueUrl=urls["published"], AttributeNames=["QueueArn"])["Attributes"][
            "QueueArn"
        ]
        events.put_targets(Rule="all", EventBusName="bus", Targets=[{"Id": "1", "Arn": arn}])
        boto3.client("ssm").put_parameter(Name="/stack/active-model", Value="{}", Type="String")
        environment = {
            "RUNS_TABLE": "RunsTable",
            "RESULTS_TABLE": "ResultsTable",
            "CLAIMS_TABLE": "ClaimsTable",
            "IDEMPOTENCY_TABLE": "IdempotencyTable",
            "GENERATIONS_TABLE": "GenerationsTable",
            "LABELS_TABLE": "LabelsTable",
            "LABEL_QUEUE_URL": urls["label"],
            "DATA_BUCKET": "data",
            "EVENT_BUS": "bus",
            "WATCH_QUEUE_URL": urls["watch"],
            "QUERY_QUEUE_URL": urls["query"],
            "DEAD_LETTER_QUEUE_URL": urls["dead"],
            "ACTIVE_MODEL_PARAMETER": "/stack/active-model",
            "BEDROCK_ROLE_ARN": "arn:aws:iam::123456789012:role/bedrock",
            "TEACHER_MODEL": "amazon.nova-pro-v1:0",
            "STUDENT_MODEL": "amazon.nova-micro-v1:0:128k",
            "BASELINE_MODEL": "us.anthropic.claude-haiku-4-5-20251001-v1:0",
            "JUDGE_MODEL": "amazon.nova-pro-v1:0",
        }
        yield CloudResources(environment)
    clients.client.cache_clear()


@pytest.fixture
def steps(cloud: CloudResources) -> RunSteps:
    """The resources of a run's steps, with Bedrock in memory."""
    settings = RunSettings.load(cloud.environment)
    return RunSteps(
        settings=settings,
        run_store=RunStore("RunsTable"),
        event_bus=EventBus("bus"),
        watch_queue=Queue(settings.watch_queue_url),
        jobs=FakeJobs(),
        deployments=FakeDeployments(),
        evaluations=FakeEvaluations(),
    )
