"""Uploading datasets and specs to the data bucket, where they start a run or a generation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from cli.files import read_spec
from distillery.aws import clients
from distillery.aws.stack_config import stack_channel_config
from distillery.errors import BadInput
from distillery.generation.spec import check_channels
from distillery.generation.states import generation_id, spec_dataset, spec_key
from distillery.runs.states import run_id, slug

if TYPE_CHECKING:
    from pathlib import Path

    from cli.stack import Stack

SUFFIX = ".jsonl"
MAX_BYTES = 5 * 1024**3
"""The limit of S3 for one PutObject. Bedrock accepts at most 2 GB of training data."""


@dataclass(frozen=True, slots=True)
class UploadedDataset:
    """The object that was written, and the run that it starts."""

    run_id: str
    bucket: str
    key: str
    version_id: str


@dataclass(frozen=True, slots=True)
class UploadedSpec:
    """The object that was written, and the generation that it starts."""

    generation_id: str
    dataset: str
    bucket: str
    key: str
    version_id: str


def check_name(file: Path) -> None:
    """Raise BadInput for a file whose name does not start a run."""
    if file.suffix != SUFFIX:
        raise BadInput(
            f"{file} does not end in {SUFFIX}, so it would not start a run.",
            fix=f"Rename the file to {file.stem}{SUFFIX}.",
        )


def upload_dataset(stack: Stack, file: Path, dataset: str | None = None) -> UploadedDataset:
    """Upload a dataset file. The default for the name of the dataset is the name of the file."""
    check_name(file)
    try:
        size = file.stat().st_size
        body = file.open("rb")
    except OSError as error:
        raise BadInput(f"{file} cannot be read: {error.strerror}.") from error
    with body:
        if size > MAX_BYTES:
            raise BadInput(
                f"{file} is larger than 5 GB, the limit for one upload.",
                fix="Split it into several datasets.",
            )
        bucket = stack.output("DataBucketName")
        key = f"datasets/{slug(dataset or file.stem)}/{slug(file.stem)}{SUFFIX}"
        version = _put(stack, file, bucket, key, body, "application/jsonl")
    return UploadedDataset(run_id(bucket, key, version), bucket, key, version)


def upload_spec(stack: Stack, file: Path, dataset: str | None = None) -> UploadedSpec:
    """Upload a spec after checking it against the stack's channel configuration."""
    spec, content = read_spec(file)
    channel_config = stack_channel_config(stack.bucket)
    check_channels(spec, channel_config)
    key = spec_key(dataset or file.stem)
    name = spec_dataset(key)
    teacher = stack.output("TeacherModelId")
    bucket = stack.output("DataBucketName")
    version = _put(stack, file, bucket, key, content, "application/yaml")
    return UploadedSpec(generation_id(name, spec, channel_config, teacher), name, bucket, key, version)


def _put(stack: Stack, file: Path, bucket: str, key: str, body: bytes | IO[bytes], content_type: str) -> str:
    """Write one object and return its version.

    PutObject and not a multipart upload: its response has the version, which the ID of the run is made from.
    """
    with clients.explained(f"upload {file.name}"):
        response = stack.client("s3").put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type)
    return str(response.get("VersionId") or response["ETag"].strip('"'))
