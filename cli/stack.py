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
import botocore.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
)
from botocore.parsers import ResponseParserError

from distillery.aws import clients
from distillery.aws.bucket import Bucket
from distillery.aws.generation_store import Generations, Labels
from distillery.aws.holdout_store import Holdouts
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
WITHOUT_PROXY = Config(proxies={})
"""A proxy in the environment does not apply to the loopback interface."""


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
    port = os.environ.get("DISTILLERY_PORT") or str(LOCAL_PORT)
    if not port.isdecimal() or not 0 < int(port) < 65_536:
        raise BadInput(f"DISTILLERY_PORT is {port!r}, which is not a port.", fix="Set it to 1 to 65535.")
    return f"http://127.0.0.1:{port}"


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
        config = clients.CONFIG.merge(WITHOUT_PROXY) if self.local else clients.CONFIG
        return self.session.client(service, endpoint_url=self.endpoint, config=config)  # type: ignore[call-overload]  # one factory for all services

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
    def holdouts(self) -> Holdouts:
        """The queries that the versions of each dataset hold out."""
        return Holdouts(self.output("ClaimsTableName"), self.client("dynamodb"))

    @cached_property
    def bucket(self) -> Bucket:
        """The data bucket."""
        return Bucket(self.output("DataBucketName"), self.client("s3"))


def find_stack(target: Target) -> Stack:
    """Get the stack from CloudFormation; BadInput if it cannot be reached or does not exist."""
    region = ""
    try:
        session, endpoint = _session(target)
        region = str(session.region_name)
        stack = Stack(target.name, region, endpoint, session)
        described = stack.client("cloudformation").describe_stacks(StackName=target.name)["Stacks"][0]
    except ProfileNotFound as error:
        raise BadInput(f"{error}.", fix="Run `aws configure list-profiles` to list the profiles.") from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise BadInput(
            "No AWS credentials were found.", fix="Sign in, or set --profile to a profile with credentials."
        ) from error
    except ClientError as error:
        raise _not_found(target, region, error) from error
    except EndpointConnectionError as error:
        if target.local:
            raise BadInput(
                f"The local cloud is not running at {local_endpoint()}.", fix="Start it with `make up`."
            ) from error
        raise BadInput(f"{error}") from error
    except (ResponseParserError, KeyError) as error:
        if target.local:
            raise BadInput(
                f"Another program answers at {local_endpoint()}, and not the local cloud.",
                fix="Set DISTILLERY_PORT to the port of the local cloud.",
            ) from error
        raise BadInput(
            "The address of CloudFormation does not answer as AWS does.",
            fix="Check the network and AWS_ENDPOINT_URL.",
        ) from error
    except BotoCoreError as error:
        raise BadInput(f"AWS cannot be reached: {error}") from error
    outputs = {item["OutputKey"]: item["OutputValue"] for item in described.get("Outputs", [])}
    return Stack(target.name, region, endpoint, session, outputs)


def _session(target: Target) -> tuple[boto3.Session, str | None]:
    if target.local:
        owner = boto3.Session(
            aws_access_key_id=LOCAL_KEY,
            aws_secret_access_key=LOCAL_KEY,
            region_name=REGION,
            botocore_session=_unconfigured_session(),
        )
        return owner, local_endpoint()
    # The SDK for Python reads AWS_DEFAULT_REGION only; Lambda, containers and other SDKs set AWS_REGION.
    region = target.region or os.environ.get("AWS_REGION") or None
    configured = boto3.Session(profile_name=target.profile, region_name=region)
    return boto3.Session(profile_name=target.profile, region_name=configured.region_name or REGION), None


def _unconfigured_session() -> botocore.session.Session:
    """A session that reads no AWS environment variable and no AWS configuration file."""
    defaults = botocore.session.Session.SESSION_VARIABLES
    ignored = {
        name: (None, None, os.devnull if name in {"config_file", "credentials_file"} else default, convert)
        for name, (_, _, default, convert) in defaults.items()
    }
    return botocore.session.Session(session_vars=ignored)


def _not_found(target: Target, region: str, error: ClientError) -> BadInput:
    if "does not exist" in clients.error_message(error):
        place = (
            f"on the local cloud at {local_endpoint()}" if target.local else f"in this account in {region}"
        )
        fix = "Start it with `make up`." if target.local else "Set --stack-name and --region."
        return BadInput(f"Stack {target.name} does not exist {place}.", fix=fix)
    return BadInput(
        f"CloudFormation returned an error: {clients.error_message(error)} ({clients.error_code(error)})."
    )
