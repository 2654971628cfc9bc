"""The deployed stack, put right before each test."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from cli.app import main
from distillery.runs.states import State
from tests.local.pipeline.chain import Chain, sample_records
from tests.local.tools import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local.cloud import LocalCloud
    from tests.local.tools import Control


@pytest.fixture(scope="session")
def quick_stack(cloud: LocalCloud, stack: dict[str, str]) -> dict[str, str]:
    """The stack, recovering from a dead function in seconds instead of six of its time-outs."""
    # Longer than ten cold starts at once take on two cores, or every batch would be delivered twice.
    for queue, seconds in (("QueryQueueUrl", "30"), ("WatchQueueUrl", "15")):
        attributes = {"VisibilityTimeout": seconds}
        cloud.client("sqs").set_queue_attributes(QueueUrl=stack[queue], Attributes=attributes)
    functions = cloud.client("lambda")
    names = [function["FunctionName"] for function in functions.list_functions()["Functions"]]
    router = next(name for name in names if "RouteQueries" in name)
    # A claim on a query ends with the time of the function that made it.
    functions.update_function_configuration(FunctionName=router, Timeout=70)
    return stack


@pytest.fixture
def chain(cloud: LocalCloud, quick_stack: dict[str, str], control: Control) -> Iterator[Chain]:
    """The stack with nothing waiting and a Bedrock that behaves."""
    found = Chain(cloud, quick_stack)
    yield found
    control.reset()
    found.let_runs_end()


@pytest.fixture
def promoted(chain: Chain) -> Chain:
    """The stack with a distilled model in charge."""
    parameter = chain.ssm.get_parameter(Name=chain.outputs["ActiveModelParameter"])["Parameter"]
    run_id = json.loads(parameter["Value"]).get("run_id", "")
    if not chain.deployed(run_id):
        name = chain.drop(sample_records(1_000, run_id or "promoted"), "datasets/promoted/a.jsonl")
        chain.reach(name, State.PROMOTED)
        chain.router_sees_parameter()
    return chain


@pytest.fixture
def active_model(chain: Chain) -> Iterator[Callable[[str | None], None]]:
    """Writes the active-model parameter, or removes it; put back afterwards."""
    name = chain.outputs["ActiveModelParameter"]
    before = chain.ssm.get_parameter(Name=name)["Parameter"]["Value"]

    def write(content: str | None) -> None:
        if content is None:
            chain.ssm.delete_parameter(Name=name)
        else:
            chain.ssm.put_parameter(Name=name, Value=content, Type="String", Overwrite=True)
        chain.router_sees_parameter()

    yield write
    write(before)


@pytest.fixture
def spending(chain: Chain) -> Iterator[Callable[..., None]]:
    """Changes what start_distillation is told by its environment; put back afterwards."""
    function = "StartDistillationFunction"
    before = chain.configure(function)

    def change(**variables: str) -> None:
        chain.configure(function, **variables)

    yield change
    chain.configure(function, **before)


@pytest.fixture
def distillery(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """The command line on this cloud; gives its exit code."""
    monkeypatch.setenv("DISTILLERY_PORT", str(chain.cloud.port))
    return lambda *arguments: main(arguments)


@pytest.fixture
def told(chain: Chain) -> Iterator[Callable[[str], str]]:
    """What the notification topic said of something; the test waits for it."""
    sns, sqs = chain.cloud.client("sns"), chain.sqs
    url = sqs.create_queue(QueueName="told")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = chain.outputs["NotificationTopicArn"]
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
    heard: list[str] = []

    def find(text: str) -> str:
        def look() -> str | None:
            messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
            heard.extend(json.loads(message["Body"])["Message"] for message in messages)
            return next((sentence for sentence in heard if text in sentence), None)

        return str(wait_for(look, f"a notification about {text}"))

    yield find
    sns.unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])
    sqs.delete_queue(QueueUrl=url)
