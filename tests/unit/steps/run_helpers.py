"""What the tests of a run's steps share: datasets, runs in a given state, and calls of single steps."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import boto3

from distillery.aws.bedrock.jobs import Distillation
from distillery.aws.queues import Queue
from distillery.runs.events import WatchMessage
from distillery.runs.states import Run, Source, Stage, State, now
from distillery.settings import EvaluateSettings, PromoteSettings
from distillery.steps.evaluate_model import evaluate_model
from distillery.steps.promote_model import promote_model
from distillery.steps.watch_bedrock import watch_bedrock
from distillery.task.channels import default_channel_config
from distillery.task.prompts import student_prompt
from tests.unit.fakes import (
    ARN,
    CloudResources,
    FakeContext,
    FakeConverse,
    FakeDeployments,
    FakeEvaluations,
    FakeJobs,
    put_validation,
)

if TYPE_CHECKING:
    from distillery.steps.run_steps import RunSteps

RUN = "set-0123456789ab"
MODELS = {
    "teacher": "amazon.nova-pro-v1:0",
    "student": "amazon.nova-micro-v1:0:128k",
    "baseline": "us.anthropic.claude-haiku-4-5-20251001-v1:0",
    "judge": "amazon.nova-pro-v1:0",
}
"""The models of the stack in `cloud`."""
CHANNEL_CONFIG = default_channel_config()


def line(query: str) -> str:
    """A valid line of a dataset."""
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


GOOD_DATASET = "\n".join(line(f"rain on roof {i}") for i in range(200)) + "\n"


def drop(key: str, content: str) -> Source:
    """Put a dataset into the bucket."""
    response = boto3.client("s3").put_object(Bucket="data", Key=key, Body=content.encode())
    return Source(bucket="data", key=key, etag=response["ETag"].strip('"'))


def jobs(steps: RunSteps) -> FakeJobs:
    assert isinstance(steps.jobs, FakeJobs)
    return steps.jobs


def deployments(steps: RunSteps) -> FakeDeployments:
    assert isinstance(steps.deployments, FakeDeployments)
    return steps.deployments


def evaluations(steps: RunSteps) -> FakeEvaluations:
    assert isinstance(steps.evaluations, FakeEvaluations)
    return steps.evaluations


def create_run(steps: RunSteps, run_id: str = RUN) -> Run:
    """A run in RECEIVED, with the files that validation writes."""
    put_validation(run_id)
    return steps.run_store.receive(run_id, Source(bucket="data", key="datasets/set/a.jsonl", version_id="1"))


def bring_to(state: State, steps: RunSteps, run_id: str = RUN) -> None:
    """Move a run through the states up to `state`, with its job and its deployment in Bedrock."""
    create_run(steps, run_id)
    path = [State.VALIDATED, State.TRAINING, State.DEPLOYING, State.EVALUATING]
    for step in path[: path.index(state) + 1]:
        models = {} if step is State.VALIDATED else MODELS  # those of the stack count until the job starts
        steps.run_store.move(run_id, step, step="test", models=models)
        if step is State.TRAINING:
            arn = jobs(steps).start(Distillation(run_id, "t", "s", "r", "i", "o")).arn
            steps.run_store.note(run_id, job_arn=arn)
        if step is State.DEPLOYING:
            jobs(steps).end(run_id, "Completed")
            deployment = deployments(steps).start(run_id, f"{ARN}:custom-model/m/{run_id}")
            steps.run_store.note(run_id, deployment_arn=deployment.arn)
        if step is State.EVALUATING:
            deployments(steps).become(run_id, "Active")


def poll(
    steps: RunSteps, cloud: CloudResources, stage: Stage, *, overdue: bool = False, run_id: str = RUN
) -> bool:
    """Let the poller poll a wait once. Returns whether the wait is over."""
    deadline = now() + timedelta(hours=-1 if overdue else 1)
    dead_letters = Queue(cloud.environment["DEAD_LETTER_QUEUE_URL"])
    return watch_bedrock(WatchMessage(run_id=run_id, stage=stage, deadline=deadline), steps, dead_letters)


def dead_letter_reason(cloud: CloudResources) -> str:
    """The reason of the only message in the dead-letter queue."""
    (message,) = cloud.messages("DEAD_LETTER_QUEUE_URL")
    return str(message["MessageAttributes"]["reason"]["StringValue"])


def evaluate(
    cloud: CloudResources, steps: RunSteps, run_id: str, converse: FakeConverse, remaining: int = 900_000
) -> Run:
    """Deliver `Model Deployed`."""
    context: Any = FakeContext(remaining)
    settings = EvaluateSettings.load(cloud.environment)
    evaluate_model(run_id, settings, steps, context, converse=converse)
    return steps.run_store.get(run_id)


def finish_evaluation(cloud: CloudResources, steps: RunSteps, run_id: str, status: str = "Completed") -> None:
    """Evaluate a run and let its evaluation jobs end."""
    evaluate(cloud, steps, run_id, FakeConverse())
    evaluations(steps).end(status)


def promote(cloud: CloudResources, steps: RunSteps, run_id: str, **environment: str) -> Run:
    """Deliver `Evaluation Finished`."""
    return promote_model(run_id, PromoteSettings.load(cloud.environment | environment), steps)
