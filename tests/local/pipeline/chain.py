"""A stack on the local cloud as a test sees it: from outside, with Bedrock's controls at hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distillery.aws.tables import from_item
from distillery.runs.states import ENDED, Run, State, run_id
from tests.local.tools import Control, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterable

    from local.cloud import LocalCloud

SAMPLES = Path(__file__).parents[3] / "samples"
RUN_SECONDS = 120.0


def sample_records(count: int, mark: str) -> bytes:
    """Some of the sample dataset; `mark` in every query makes the content a new one."""
    lines = (SAMPLES / "dataset.jsonl").read_text("utf-8").splitlines()[:count]
    records = [json.loads(line) for line in lines]
    for record in records:
        record["messages"][0]["content"][0]["text"] += f" {mark}"
    return "".join(f"{json.dumps(record)}\n" for record in records).encode()


class Chain:
    """The deployed stack."""

    def __init__(self, cloud: LocalCloud, outputs: dict[str, str]) -> None:
        self.cloud, self.outputs = cloud, outputs
        self.s3, self.sqs = cloud.client("s3"), cloud.client("sqs")
        self.dynamodb, self.ssm = cloud.client("dynamodb"), cloud.client("ssm")
        self.functions = cloud.client("lambda")
        self.control = Control(cloud.endpoint)

    # ------------------------------------------------------------------------------------------ runs
    def drop(self, content: bytes, key: str) -> str:
        """Put an object into the bucket; returns the id of its run."""
        bucket = self.outputs["DataBucketName"]
        answer = self.s3.put_object(Bucket=bucket, Key=key, Body=content)
        return run_id(bucket, key, answer["VersionId"])

    def run(self, name: str) -> Run | None:
        """The run's ledger entry."""
        answer = self.dynamodb.get_item(
            TableName=self.outputs["RunsTableName"], Key={"run_id": {"S": name}}, ConsistentRead=True
        )
        return Run.model_validate(from_item(answer["Item"])) if "Item" in answer else None

    def reach(self, name: str, *states: State, seconds: float = RUN_SECONDS) -> Run:
        """Wait until the run is in one of the states, and announced where that is its end."""

        def look() -> Run | None:
            run = self.run(name)
            if run is None or run.state not in states:
                if run is not None and run.state in ENDED:
                    raise AssertionError(f"the run ended as {run.state}: {run.failure or run.reasons}")
                return None
            return run if run.state not in ENDED or run.announced is run.state else None

        return wait_for(look, f"{name} in {states}", seconds)

    def document(self, name: str, file: str) -> Any:
        """A JSON document of a run."""
        return json.loads(self.read(name, file))

    def read(self, name: str, file: str) -> bytes:
        """An object of a run."""
        answer = self.s3.get_object(Bucket=self.outputs["DataBucketName"], Key=f"runs/{name}/{file}")
        content: bytes = answer["Body"].read()
        return content

    def keys(self, name: str) -> set[str]:
        """The run's objects, without their common prefix."""
        prefix = f"runs/{name}/"
        answer = self.s3.list_objects_v2(Bucket=self.outputs["DataBucketName"], Prefix=prefix)
        return {entry["Key"].removeprefix(prefix) for entry in answer.get("Contents", [])}

    # --------------------------------------------------------------------------------------- queries
    def send(self, *bodies: Any) -> None:
        """Queue messages."""
        for body in bodies:
            text = body if isinstance(body, str) else json.dumps(body)
            self.sqs.send_message(QueueUrl=self.outputs["QueryQueueUrl"], MessageBody=text)

    def result(self, query_id: str) -> dict[str, Any] | None:
        """The result of a query, if it is there."""
        answer = self.dynamodb.get_item(
            TableName=self.outputs["ResultsTableName"], Key={"query_id": {"S": query_id}}, ConsistentRead=True
        )
        return from_item(answer["Item"]) if "Item" in answer else None

    def results(self, query_ids: Iterable[str], seconds: float = 120.0) -> dict[str, dict[str, Any]]:
        """Wait until every query has its result."""
        wanted = list(query_ids)

        def look() -> dict[str, dict[str, Any]] | None:
            found = {query_id: self.result(query_id) for query_id in wanted}
            present = {query_id: result for query_id, result in found.items() if result}
            return present if len(present) == len(wanted) else None

        return wait_for(look, f"results of {len(wanted)} queries", seconds)

    def waiting(self, queue: str) -> int:
        """How many messages lie in a queue, visible or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self.sqs.get_queue_attributes(QueueUrl=self.outputs[queue], AttributeNames=names)
        return sum(int(answer["Attributes"][name]) for name in names)

    def letter(self, holds: str, seconds: float = 30.0) -> dict[str, Any]:
        """Wait for the dead letter whose body holds a text; the letter is taken out."""

        def look() -> dict[str, Any] | None:
            answer = self.sqs.receive_message(
                QueueUrl=self.outputs["DeadLetterQueueUrl"],
                MaxNumberOfMessages=10,
                VisibilityTimeout=1,
                MessageAttributeNames=["All"],
            )
            for message in answer.get("Messages", []):
                if holds in message["Body"]:
                    self.sqs.delete_message(
                        QueueUrl=self.outputs["DeadLetterQueueUrl"], ReceiptHandle=message["ReceiptHandle"]
                    )
                    return dict(message)
            return None

        return wait_for(look, f"a dead letter with {holds!r}", seconds)

    # ------------------------------------------------------------------------------------- functions
    def function(self, logical_id: str) -> str:
        """A function's name."""
        names = [f["FunctionName"] for f in self.functions.list_functions()["Functions"]]
        return next(name for name in names if logical_id in name)

    def logs(self, logical_id: str) -> str:
        """All that a function has logged."""
        described = self.functions.get_function_configuration(FunctionName=self.function(logical_id))
        group = described["LoggingConfig"]["LogGroup"]
        pages = self.cloud.client("logs").get_paginator("filter_log_events").paginate(logGroupName=group)
        return "\n".join(event["message"] for page in pages for event in page["events"])

    def invoke(self, logical_id: str, event: dict[str, Any]) -> None:
        """Deliver an event once more, as EventBridge does: without waiting for the answer."""
        self.functions.invoke(
            FunctionName=self.function(logical_id), InvocationType="Event", Payload=json.dumps(event).encode()
        )

    # --------------------------------------------------------------------------------------- Bedrock
    def faults(self, **faults: Any) -> None:
        """Let things go wrong until the test ends."""
        self.control.faults(**faults)

    def calls(self, operation: str) -> int:
        """How often an operation of Bedrock was called since the test began."""
        return self.control.calls(operation)

    def paid(self, name: str) -> dict[str, int]:
        """How many jobs, models and evaluations Bedrock has under a run's name; refused calls apart."""
        state = self.control.state()
        return {
            kind: sum(one["name"] == name or one["name"].startswith(f"{name}-") for one in state[kind])
            for kind in ("jobs", "models", "evaluations")
        }

    def deployed(self, name: str) -> bool:
        """Whether a run has a deployment now."""
        return any(one["name"] == name for one in self.control.state()["deployments"])

    # ------------------------------------------------------------------------------- between the tests
    def let_runs_end(self) -> None:
        """End what a test has left running, so that it cannot be counted in the next one."""
        table = self.outputs["RunsTableName"]
        for item in self.dynamodb.scan(TableName=table)["Items"]:
            run = Run.model_validate(from_item(item))
            if run.state not in ENDED:
                self.dynamodb.update_item(
                    TableName=table,
                    Key={"run_id": {"S": run.run_id}},
                    UpdateExpression="SET #state = :failed, announced = :failed",
                    ExpressionAttributeNames={"#state": "state"},
                    ExpressionAttributeValues={":failed": {"S": State.FAILED}},
                )
        wait_for(lambda: self.waiting("WatchQueueUrl") == 0, "the watch to end", 60)
        self._make_room()

    def _make_room(self) -> None:
        """Delete the deployments that are not in charge: an account has ten, and a full house is refused."""
        parameter = self.ssm.get_parameter(Name=self.outputs["ActiveModelParameter"])["Parameter"]
        active = json.loads(parameter["Value"]).get("run_id", "")
        bedrock = self.cloud.client("bedrock")
        for deployment in self.control.state()["deployments"]:
            if deployment["name"] != active:
                bedrock.delete_custom_model_deployment(customModelDeploymentIdentifier=deployment["arn"])

    def router_sees_parameter(self) -> None:
        """Start the router's processes anew, which forget the parameter that they have cached."""
        self.configure("RouteQueriesFunction", SEEN=str(id(object())))

    def configure(self, logical_id: str, **variables: str) -> dict[str, str]:
        """Change a function's environment, which starts its processes anew; returns what it was."""
        name = self.function(logical_id)
        before: dict[str, str] = self.functions.get_function_configuration(FunctionName=name)["Environment"][
            "Variables"
        ]
        self.functions.update_function_configuration(
            FunctionName=name, Environment={"Variables": before | variables}
        )
        return before
