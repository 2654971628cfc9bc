"""Which stack is meant, and how it is reached.

The rule: without `--aws`, `--profile`, `--region` and `--stack-name` the local cloud is meant. With any of
them the SDK's own chain decides (profiles, environment variables, `AWS_ENDPOINT_URL` included).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import boto3
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
)

from distillery.aws import clients
from distillery.aws.bucket import Bucket
from distillery.aws.generation_store import Generations, Labels
from distillery.aws.run_store import RunStore
from distillery.errors import BadInput

STACK_NAME = "distillery"
REGION = "us-east-1"
"""Where Bedrock distils Nova, hence the region when nothing else says one."""
LOCAL_KEY = "test"
"""Access key and secret of the local account's owner."""
LOCAL_PORT = 4566


@dataclass(frozen=True, slots=True)
class Target:
    """What the options of a command say; all unset means the local cloud."""

    profile: str | None = None
    region: str | None = None
    stack_name: str | None = None
    aws: bool = False

    @property
    def local(self) -> bool:
        """Whether the local cloud is meant."""
        return not (self.aws or self.profile or self.region or self.stack_name)

    @property
    def name(self) -> str:
        """The stack's name."""
        return self.stack_name or STACK_NAME


def local_endpoint() -> str:
    """Address of the local cloud: `DISTILLERY_PORT`, or 4566."""
    return f"http://127.0.0.1:{os.environ.get('DISTILLERY_PORT') or LOCAL_PORT}"


@dataclass(frozen=True)
class Stack:
    """A deployed stack: its outputs, and clients for what they name."""

    name: str
    region: str
    endpoint: str | None
    session: boto3.Session
    outputs: dict[str, str] = field(default_factory=dict)

    @property
    def local(self) -> bool:
        """Whether it runs on the local cloud."""
        return self.endpoint is not None

    def client(self, service: str) -> Any:
        """A client of a service in the stack's region."""
        return self.session.client(service, endpoint_url=self.endpoint, config=clients.CONFIG)  # type: ignore[call-overload]  # one factory for all services

    def output(self, name: str) -> str:
        """An output of the stack; BadInput when this stack is no (finished) Distillery."""
        if name not in self.outputs:
            raise BadInput(
                f"The stack {self.name} has no output {name}.",
                fix="Is it a Distillery stack, and has its deployment ended well?",
            )
        return self.outputs[name]

    @cached_property
    def run_store(self) -> RunStore:
        """The stack's runs."""
        return RunStore(self.output("RunsTableName"), self.client("dynamodb"))

    @cached_property
    def generations(self) -> Generations:
        """The stack's generations."""
        return Generations(self.output("GenerationsTableName"), self.client("dynamodb"))

    @cached_property
    def labels(self) -> Labels:
        """The labels of the stack's generations."""
        return Labels(self.output("LabelsTableName"), self.client("dynamodb"))

    @cached_property
    def bucket(self) -> Bucket:
        """The stack's data bucket."""
        return Bucket(self.output("DataBucketName"), self.client("s3"))


def find_stack(target: Target) -> Stack:
    """Ask CloudFormation for the stack; BadInput, in one sentence, when it cannot be reached or found."""
    try:
        session, endpoint = _session(target)
        region = session.region_name
        stack = Stack(target.name, region, endpoint, session)
        described = stack.client("cloudformation").describe_stacks(StackName=target.name)["Stacks"][0]
    except ProfileNotFound as error:
        raise BadInput(f"{error}.", fix="`aws configure list-profiles` names those there are.") from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise BadInput(
            "No AWS credentials were found.", fix="Log in, or name a profile with --profile."
        ) from error
    except ClientError as error:
        raise _not_found(target, error) from error
    except EndpointConnectionError as error:
        if target.local:
            raise BadInput(
                f"The local cloud is not up at {local_endpoint()}.", fix="Start it with `make up`."
            ) from error
        raise BadInput(f"{error}") from error
    except BotoCoreError as error:
        raise BadInput(f"AWS cannot be reached: {error}") from error
    outputs = {item["OutputKey"]: item["OutputValue"] for item in described.get("Outputs", [])}
    return Stack(target.name, region, endpoint, session, outputs)


def _session(target: Target) -> tuple[boto3.Session, str | None]:
    if target.local:
        owner = boto3.Session(
            aws_access_key_id=LOCAL_KEY, aws_secret_access_key=LOCAL_KEY, region_name=REGION
        )
        return owner, local_endpoint()
    configured = boto3.Session(profile_name=target.profile, region_name=target.region)
    return boto3.Session(profile_name=target.profile, region_name=configured.region_name or REGION), None


def _not_found(target: Target, error: ClientError) -> BadInput:
    if "does not exist" in clients.error_message(error):
        place = f"on the local cloud at {local_endpoint()}" if target.local else "in this account and region"
        fix = "Start it with `make up`." if target.local else "Name it with --stack-name and --region."
        return BadInput(f"There is no stack {target.name} {place}.", fix=fix)
    return BadInput(f"CloudFormation refused: {clients.error_message(error)} ({clients.error_code(error)}).")
