"""What tests of the local cloud share: waiting for conditions, the control room, a role and datasets."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.cloud import LocalCloud

ACCOUNT = "123456789012"
STUDENT = "amazon.nova-micro-v1:0:128k"
TEACHER = "amazon.nova-pro-v1:0"
ENDED = {"Completed", "Failed", "Stopped"}
LOOK_EVERY = 0.05

T = TypeVar("T")


def wait_for(look: Callable[[], T | None], what: str, seconds: float = 30.0) -> T:
    """The first true value of `look`; fails the test when none comes in time."""
    pause = threading.Event()
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s in vain for {what}")
        pause.wait(LOOK_EVERY)
    return seen


@dataclass(frozen=True)
class Control:
    """The control room of a local cloud."""

    endpoint: str

    def faults(self, **faults: Any) -> Any:
        return self._call("POST", "faults", faults)

    def settings(self, **settings: Any) -> Any:
        return self._call("POST", "settings", settings)

    def event(self, **event: Any) -> Any:
        return self._call("POST", "events", event)

    def reset(self, *, state: bool = False) -> Any:
        return self._call("POST", "reset", {"state": state})

    def state(self) -> Any:
        return self._call("GET", "state", None)

    def calls(self, operation: str) -> int:
        return int(self.state()["calls"].get(operation, 0))

    def _call(self, method: str, what: str, content: Any) -> Any:
        body = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(f"{self.endpoint}/_distillery/{what}", data=body, method=method)  # noqa: S310  # loopback
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return json.load(answer)


def record(query: str, label: str | None = None) -> bytes:
    """A training record."""
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
    """Records with labels that follow a word of the query."""
    words = ("red", "music", "quote", "2019")
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
class Workshop:
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
        """A custom model that is Active."""
        job = self.ended_job(self.start_job())
        assert job["status"] == "Completed", job.get("failureMessage")
        return str(job["outputModelArn"])

    def deployment(self, model_arn: str) -> str:
        """A deployment that is Active."""
        name = f"d-{uuid.uuid4().hex[:12]}"
        created = self.bedrock.create_custom_model_deployment(modelDeploymentName=name, modelArn=model_arn)
        arn = str(created["customModelDeploymentArn"])
        wait_for(lambda: self.deployment_status(arn) == "Active", "an active deployment")
        return arn

    def deployment_status(self, identifier: str) -> str:
        found = self.bedrock.get_custom_model_deployment(customModelDeploymentIdentifier=identifier)
        return str(found["status"])


def make_role(
    cloud: LocalCloud,
    statements: list[dict[str, Any]],
    *,
    service: str = "bedrock.amazonaws.com",
    condition: dict[str, Any] | None = None,
) -> str:
    """A role with one inline policy; returns its ARN."""
    iam = cloud.client("iam")
    name = f"role-{uuid.uuid4().hex[:12]}"
    trust: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sts:AssumeRole",
    }
    if condition:
        trust["Condition"] = condition
    document = {"Version": "2012-10-17", "Statement": [trust]}
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(document))["Role"]
    policy = {"Version": "2012-10-17", "Statement": statements}
    if statements:
        iam.put_role_policy(RoleName=name, PolicyName="only", PolicyDocument=json.dumps(policy))
    return str(role["Arn"])


def allow(action: str | list[str], resource: str | list[str] = "*") -> dict[str, Any]:
    """An Allow statement."""
    return {"Effect": "Allow", "Action": action, "Resource": resource}


def bedrock_role(cloud: LocalCloud, bucket: str) -> str:
    """A service role as the documentation describes it."""
    return make_role(
        cloud,
        [
            allow(
                ["s3:GetObject", "s3:PutObject", "s3:ListBucket"],
                [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
            ),
            allow("bedrock:InvokeModel", f"arn:aws:bedrock:us-east-1::foundation-model/{TEACHER}"),
        ],
        condition={
            "StringEquals": {"aws:SourceAccount": ACCOUNT},
            "ArnLike": {
                "aws:SourceArn": [
                    f"arn:aws:bedrock:us-east-1:{ACCOUNT}:model-customization-job/*",
                    f"arn:aws:bedrock:us-east-1:{ACCOUNT}:evaluation-job/*",
                ]
            },
        },
    )


def as_user(cloud: LocalCloud, service: str, statements: list[dict[str, Any]]) -> Any:
    """A client of a user who may do what the statements say, and nothing else."""
    iam = cloud.client("iam")
    name = f"user-{uuid.uuid4().hex[:12]}"
    iam.create_user(UserName=name)
    if statements:
        policy = {"Version": "2012-10-17", "Statement": statements}
        iam.put_user_policy(UserName=name, PolicyName="only", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return cloud.client(
        service, aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"]
    )
