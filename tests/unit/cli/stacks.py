"""A stack with fakes for what moto does not have, and runs in it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from distillery.runs.states import Source, State

if TYPE_CHECKING:
    import pytest

    from cli.stack import Stack


REGION = "us-east-1"
ON_AWS = ["--region", REGION]
STATES_TO = {
    State.REJECTED: [State.REJECTED],
    State.DUPLICATE: [State.DUPLICATE],
    State.FAILED: [State.VALIDATED, State.FAILED],
    State.PROMOTED: [State.VALIDATED, State.TRAINING, State.DEPLOYING, State.EVALUATING, State.PROMOTED],
    State.NOT_PROMOTED: [
        State.VALIDATED,
        State.TRAINING,
        State.DEPLOYING,
        State.EVALUATING,
        State.NOT_PROMOTED,
    ],
}
RUN = "films-0123456789ab"


class Bedrock:
    """A run with one customization job, one deployment and two evaluation jobs."""

    def get_model_customization_job(self, **_: str) -> dict[str, Any]:
        return {
            "status": "InProgress",
            "statusDetails": {
                "validationDetails": {"status": "Completed"},
                "dataProcessingDetails": {"status": "Completed"},
                "trainingDetails": {"status": "InProgress"},
            },
        }

    def get_custom_model_deployment(self, **_: str) -> dict[str, Any]:
        return {"customModelDeploymentArn": "arn", "modelDeploymentName": RUN, "status": "Creating"}

    def get_evaluation_job(self, jobIdentifier: str) -> dict[str, Any]:  # noqa: N803  # Bedrock's name
        status = "Completed" if jobIdentifier == "one" else "InProgress"
        return {"jobArn": jobIdentifier, "jobName": jobIdentifier, "status": status}


class CloudFormation:
    """Two stacks; `other` is not a Distillery stack."""

    def __init__(self, outputs: dict[str, str]) -> None:
        self.stacks = {"distillery": outputs, "other": {"Site": "x"}}

    def describe_stacks(self, StackName: str) -> dict[str, Any]:  # noqa: N803  # the service's name
        if StackName not in self.stacks:
            message = f"Stack with id {StackName} does not exist"
            raise ClientError({"Error": {"Code": "ValidationError", "Message": message}}, "DescribeStacks")
        outputs = self.stacks[StackName].items()
        return {"Stacks": [{"Outputs": [{"OutputKey": k, "OutputValue": v} for k, v in outputs]}]}


def ended_run(stack: Stack, state: State, **lineage: Any) -> None:
    """Write a run that has ended in a state to the run table."""
    stack.run_store.receive(RUN, Source(bucket="data", key="datasets/films/films.jsonl", version_id="1"))
    for to in STATES_TO[state]:
        stack.run_store.move(RUN, to, step="a_step", **lineage)
    stack.run_store.note(RUN, announced=state)


def put(stack: Stack, key: str, content: object) -> None:
    """Write an object to the data bucket; what is not bytes becomes JSON."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    stack.client("s3").put_object(Bucket="data", Key=key, Body=body)


def printed(capsys: pytest.CaptureFixture[str]) -> Any:
    """The JSON document on standard output."""
    return json.loads(capsys.readouterr().out)
