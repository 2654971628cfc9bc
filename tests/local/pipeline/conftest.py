"""The deployed pipeline, reset after each test."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from cli.app import main
from distillery.runs.states import State
from tests.local.pipeline.deployed_pipeline import DeployedPipeline, sample_records
from tests.local.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local.cloud import LocalCloud
    from tests.local.control_api import ControlApi


@pytest.fixture(scope="session")
def quick_stack(cloud: LocalCloud, stack: dict[str, str]) -> dict[str, str]:
    """The stack with short visibility timeouts, so that messages of a failed function return in seconds."""
    # Longer than ten concurrent cold starts take on two cores, or every batch would be delivered twice.
    for queue, seconds in (("QueryQueueUrl", "30"), ("WatchQueueUrl", "15")):
        attributes = {"VisibilityTimeout": seconds}
        cloud.client("sqs").set_queue_attributes(QueueUrl=stack[queue], Attributes=attributes)
    functions = cloud.client("lambda")
    names = [function["FunctionName"] for function in functions.list_functions()["Functions"]]
    router = next(name for name in names if "RouteQueries" in name)
    # An idempotency record expires with the timeout of the function that wrote it.
    functions.update_function_configuration(FunctionName=router, Timeout=70)
    return stack


@pytest.fixture
def pipeline(
    cloud: LocalCloud, quick_stack: dict[str, str], control: ControlApi
) -> Iterator[DeployedPipeline]:
    """The pipeline without waiting messages and without injected faults."""
    found = DeployedPipeline(cloud, quick_stack)
    yield found
    control.reset()
    found.end_runs()


@pytest.fixture
def promoted(pipeline: DeployedPipeline) -> DeployedPipeline:
    """The pipeline with a distilled model active."""
    parameter = pipeline.ssm.get_parameter(Name=pipeline.outputs["ActiveModelParameter"])["Parameter"]
    run_id = json.loads(parameter["Value"]).get("run_id", "")
    if not pipeline.is_deployed(run_id):
        # Content that no run had: the model of an earlier run with equal content may have been deleted since.
        runs = pipeline.dynamodb.scan(TableName=pipeline.outputs["RunsTableName"])["Items"]
        earlier = sum(item["run_id"]["S"].startswith("promoted-") for item in runs)
        name = pipeline.drop(sample_records(1_000 - earlier, "promoted"), "datasets/promoted/a.jsonl")
        pipeline.reach(name, State.PROMOTED)
    # The router may have cached the model that was active before.
    pipeline.restart_router()
    return pipeline


@pytest.fixture
def active_model(pipeline: DeployedPipeline) -> Iterator[Callable[[str | None], None]]:
    """Writes or deletes the active-model parameter, which is restored afterwards."""
    name = pipeline.outputs["ActiveModelParameter"]
    before = pipeline.ssm.get_parameter(Name=name)["Parameter"]["Value"]

    def write(content: str | None) -> None:
        if content is None:
            pipeline.ssm.delete_parameter(Name=name)
        else:
            pipeline.ssm.put_parameter(Name=name, Value=content, Type="String", Overwrite=True)
        pipeline.restart_router()

    yield write
    write(before)


@pytest.fixture
def start_environment(pipeline: DeployedPipeline) -> Iterator[Callable[..., None]]:
    """Changes the environment of start_distillation, which is restored afterwards."""
    function = "StartDistillationFunction"
    before = pipeline.configure(function)

    def change(**variables: str) -> None:
        pipeline.configure(function, **variables)

    yield change
    pipeline.configure(function, **before)


@pytest.fixture
def distillery(pipeline: DeployedPipeline, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs the command line on this cloud. Returns its exit code."""
    monkeypatch.setenv("DISTILLERY_PORT", str(pipeline.cloud.port))
    return lambda *arguments: main(arguments)


@pytest.fixture
def notification(pipeline: DeployedPipeline) -> Iterator[Callable[[str], str]]:
    """Waits for a notification that contains a text and returns it. Every notification must be valid JSON."""
    sns, sqs = pipeline.cloud.client("sns"), pipeline.sqs
    url = sqs.create_queue(QueueName="notifications")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = pipeline.outputs["NotificationTopicArn"]
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "sns.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": arn,
                "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
            }
        ],
    }
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
    subscription = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, ReturnSubscriptionArn=True)
    received: list[str] = []

    def find(text: str) -> str:
        def look() -> str | None:
            messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
            received.extend(str(json.loads(json.loads(message["Body"])["Message"])) for message in messages)
            return next((message for message in received if text in message), None)

        return str(wait_for(look, f"a notification with {text!r}"))

    yield find
    sns.unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])
    sqs.delete_queue(QueueUrl=url)
