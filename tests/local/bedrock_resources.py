"""A bucket and a role for Bedrock jobs, training records, and the calls that tests repeat."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.local.waiting import wait_for

if TYPE_CHECKING:
    from local.cloud import LocalCloud

ACCOUNT = "123456789012"
STUDENT = "amazon.nova-micro-v1:0:128k"
TEACHER = "amazon.nova-pro-v1:0"
ENDED = {"Completed", "Failed", "Stopped"}


def refusal(call: Any, **params: Any) -> tuple[str, str]:
    """Make a call that must fail. Returns the error's code and message."""
    with pytest.raises(ClientError) as caught:
        call(**params)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def record(query: str, label: str | None = None) -> bytes:
    """Return a training record."""
    turns: list[dict[str, Any]] = [{"role": "user", "content": [{"text": query}]}]
    if label is not None:
        turns.append({"role": "assistant", "content": [{"text": label}]})
    return json.dumps(
        {
            "schemaVersion": "bedrock-conversation-2024",
            "system": [{"text": "Weigh the channels."}],
            "messages": turns,
        }
    ).encode()


def labelled(count: int = 120) -> list[bytes]:
    """Return records with labels that follow from a word of the query."""
    words = ("red", "music", "speech", "2019")
    channels = ("visual", "audio", "transcription", "metadata")
    return [
        record(
            f"{words[at % 4]} clip number {at}",
            json.dumps(
                {f: 1.0 if f == channels[at % 4] else 0.0 for f in channels} | {"reasoning": "as asked"}
            ),
        )
        for at in range(count)
    ]


@dataclass(frozen=True)
class BedrockResources:
    """A bucket, a role that Bedrock may assume, and the calls that tests repeat."""

    cloud: LocalCloud
    bucket: str
    role: str

    @property
    def bedrock(self) -> Any:
        return self.cloud.client("bedrock")

    def put(self, lines: list[bytes], key: str | None = None) -> str:
        key = key or f"data/{uuid.uuid4().hex}.jsonl"
        self.cloud.client("s3").put_object(Bucket=self.bucket, Key=key, Body=b"\n".join(lines) + b"\n")
        return f"s3://{self.bucket}/{key}"

    def job_request(self, lines: list[bytes] | None = None, **changes: Any) -> dict[str, Any]:
        name = f"t-{uuid.uuid4().hex[:12]}"
        teacher = {"teacherModelIdentifier": TEACHER, "maxResponseLengthForInference": 1000}
        return {
            "jobName": name,
            "customModelName": name,
            "roleArn": self.role,
            "baseModelIdentifier": STUDENT,
            "customizationType": "DISTILLATION",
            "trainingDataConfig": {"s3Uri": self.put(lines if lines is not None else labelled())},
            "outputDataConfig": {"s3Uri": f"s3://{self.bucket}/out/{name}"},
            "customizationConfig": {"distillationConfig": {"teacherModelConfig": teacher}},
        } | changes

    def start_job(self, lines: list[bytes] | None = None, **changes: Any) -> str:
        return str(
            self.bedrock.create_model_customization_job(**self.job_request(lines, **changes))["jobArn"]
        )

    def ended_job(self, arn: str) -> Any:
        def look() -> Any:
            job = self.bedrock.get_model_customization_job(jobIdentifier=arn)
            return job if job["status"] in ENDED else None

        return wait_for(look, f"the end of {arn}")

    def model(self) -> str:
        """Train a custom model and return its ARN when it is Active."""
        job = self.ended_job(self.start_job())
        assert job["status"] == "Completed", job.get("failureMessage")
        return str(job["outputModelArn"])

    def deployment(self, model_arn: str) -> str:
        """Deploy a custom model and return the deployment's ARN when it is Active."""
        name = f"d-{uuid.uuid4().hex[:12]}"
        created = self.bedrock.create_custom_model_deployment(modelDeploymentName=name, modelArn=model_arn)
        arn = str(created["customModelDeploymentArn"])
        wait_for(lambda: self.deployment_status(arn) == "Active", "an active deployment")
        return arn

    def deployment_status(self, identifier: str) -> str:
        found = self.bedrock.get_custom_model_deployment(customModelDeploymentIdentifier=identifier)
        return str(found["status"])
