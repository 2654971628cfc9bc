"""Finding the stack that a command works with.

Without `--aws`, `--profile`, `--region` and `--stack-name`, it is the stack on the local cloud. With any of
them, it is a stack in AWS, and the configuration of the SDK applies (profiles, environment variables,
`AWS_ENDPOINT_URL`).
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
from distillery.aws.tables import from_item
from distillery.errors import BadInput
from distillery.runs.states import Run

STACK_NAME = "distillery"
REGION = "us-east-1"
"""The default Region: Bedrock distils Nova models in us-east-1."""
LOCAL_KEY = "test"
"""Access key and secret key of the owner of the local account."""
LOCAL_PORT = 4566


@dataclass(frozen=True, slots=True)
class Target:
    """The options that select a stack. With none set, the stack is on the local cloud."""

    profile: str | None = None
    region: str | None = None
    stack_name: str | None = None
    aws: bool = False

    @property
    def local(self) -> bool:
        """Whether the stack is on the local cloud."""
        return not (self.aws or self.profile or self.region or self.stack_name)

    @property
    def name(self) -> str:
        """The name of the stack."""
        return self.stack_name or STACK_NAME


def local_endpoint() -> str:
    """URL of the local cloud. `DISTILLERY_PORT` sets the port; the default is 4566."""
    return f"http://127.0.0.1:{os.environ.get('DISTILLERY_PORT') or LOCAL_PORT}"


@dataclass(frozen=True)
class Stack:
    """A deployed stack: its outputs, and clients for its resources."""

    name: str
    region: str
    endpoint: str | None
    session: boto3.Session
    outputs: dict[str, str] = field(default_factory=dict)

    @property
    def local(self) -> bool:
        """Whether the stack is on the local cloud."""
        return self.endpoint is not None

    def client(self, service: str) -> Any:
        """A client of a service in the Region of the stack."""
        return self.session.client(service, endpoint_url=self.endpoint, config=clients.CONFIG)  # type: ignore[call-overload]  # one factory for all services

    def output(self, name: str) -> str:
        """An output of the stack; BadInput if the stack has no such output."""
        if name not in self.outputs:
            raise BadInput(
                f"Stack {self.name} has no output {name}.",
                fix="Check that it is a Distillery stack and that its deployment succeeded.",
            )
        return self.outputs[name]

    @cached_property
    def run_store(self) -> RunStore:
        """The run table."""
        return RunStore(self.output("RunsTableName"), self.client("dynamodb"))

    def runs(self) -> list[Run]:
        """Every run in the run table, newest first."""
        table = self.output("RunsTableName")
        with clients.explained("list the runs"):
            pages = self.client("dynamodb").get_paginator("scan").paginate(TableName=table)
            runs = [Run.model_validate(from_item(item)) for page in pages for item in page["Items"]]
        return sorted(runs, key=lambda run: run.history[0].at, reverse=True)

    @cached_property
    def generations(self) -> Generations:
        """The table of generations."""
        return Generations(self.output("GenerationsTableName"), self.client("dynamodb"))

    @cached_property
    def labels(self) -> Labels:
        """The table of the labels of generations."""
        return Labels(self.output("LabelsTableName"), self.client("dynamodb"))

    @cached_property
    def bucket(self) -> Bucket:
        """The data bucket."""
        return Bucket(self.output("DataBucketName"), self.client("s3"))


def find_stack(target: Target) -> Stack:
    """Get the stack from CloudFormation; BadInput if it cannot be reached or does not exist."""
    try:
        session, endpoint = _session(target)
        region = session.region_name
        stack = Stack(target.name, region, endpoint, session)
        described = stack.client("cloudformation").describe_stacks(StackName=target.name)["Stacks"][0]
    except ProfileNotFound as error:
        raise BadInput(f"{error}.", fix="Run `aws configure list-profiles` to list the profiles.") from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise BadInput(
            "No AWS credentials were found.", fix="Sign in, or set --profile to a profile with credentials."
        ) from error
    except ClientError as error:
        raise _not_found(target, error) from error
    except EndpointConnectionError as error:
        if target.local:
            raise BadInput(
                f"The local cloud is not running at {local_endpoint()}.", fix="Start it with `make up`."
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
        place = f"on the local cloud at {local_endpoint()}" if target.local else "in this account and Region"
        fix = "Start it with `make up`." if target.local else "Set --stack-name and --region."
        return BadInput(f"Stack {target.name} does not exist {place}.", fix=fix)
    return BadInput(
        f"CloudFormation returned an error: {clients.error_message(error)} ({clients.error_code(error)})."
    )
