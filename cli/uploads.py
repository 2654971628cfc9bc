"""Uploading datasets and specs to the data bucket, where they start a run or a generation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cli.files import STANDARD_INPUT, open_file, read_spec
from cli.progress import size_of, with_progress
from distillery.aws import clients
from distillery.aws.bucket import written_version
from distillery.aws.stack_config import stack_channel_config
from distillery.errors import BadInput
from distillery.generation.spec import check_channels
from distillery.generation.states import generation_id, spec_dataset, spec_key
from distillery.runs.names import distinct_name
from distillery.runs.states import AGAIN, run_id

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from cli.progress import StreamWithProgress
    from cli.stack import Stack

SUFFIX = ".jsonl"
MAX_BYTES = 5 * 1024**3
"""The limit of S3 for one PutObject. Bedrock accepts at most 2 GB of training data."""


@dataclass(frozen=True, slots=True)
class UploadedDataset:
    """The object that was written, and the run that it starts."""

    run_id: str
    dataset: str
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


def check_dataset_file(file: Path) -> None:
    """Raise BadInput for a pipe, whose size is not known."""
    if str(file) == STANDARD_INPUT or file.is_fifo():
        raise BadInput(
            f"{file} is a pipe, and an upload needs a file.", fix="Write the data to a file, and drop that."
        )


def name_note(given: str, taken: str) -> str:
    """Say which name a dataset has, if it is not the one that was given; otherwise nothing."""
    return "" if given == taken else f"The name of the dataset is {taken}."


def upload_dataset(
    stack: Stack, file: Path, dataset: str | None, console: Console, *, again: bool = False
) -> UploadedDataset:
    """Upload a dataset file. The default for the name of the dataset is the name of the file.

    With `again` the run trains a model even if an earlier run did so with the same data and models.
    """
    with open_file(file) as source, with_progress(source, file, console, "uploading") as body:
        if (size_of(source) or 0) > MAX_BYTES:
            raise BadInput(
                f"{file} is larger than 5 GB, the limit for one upload.",
                fix="Split it into several datasets.",
            )
        bucket = stack.output("DataBucketName")
        name = distinct_name(dataset or file.stem)
        key = f"datasets/{name}/{distinct_name(file.stem)}{SUFFIX}"
        metadata = {AGAIN: "true"} if again else {}
        version = _put(stack, file, bucket, key, body, "application/jsonl", metadata)
    return UploadedDataset(run_id(bucket, key, version), name, bucket, key, version)


def upload_spec(stack: Stack, file: Path, dataset: str | None = None) -> UploadedSpec:
    """Upload a spec after checking it against the stack's channel configuration."""
    spec, content = read_spec(file)
    channel_config = stack_channel_config(stack.bucket)
    check_channels(spec, channel_config)
    key = spec_key(dataset or file.stem)
    name = spec_dataset(key)
    teacher = stack.output("TeacherModelId")
    bucket = stack.output("DataBucketName")
    version = _put(stack, file, bucket, key, content, "application/yaml", {})
    return UploadedSpec(generation_id(name, spec, channel_config, teacher), name, bucket, key, version)


def _put(
    stack: Stack,
    file: Path,
    bucket: str,
    key: str,
    body: bytes | StreamWithProgress,
    content_type: str,
    metadata: dict[str, str],
) -> str:
    """Write one object and return its version.

    PutObject and not a multipart upload: its response has the version, which the ID of the run is made from.
    """
    with clients.explained(f"upload {file.name}"):
        response = stack.client("s3").put_object(
            Bucket=bucket, Key=key, Body=body, ContentType=content_type, Metadata=metadata
        )
    return written_version(response)
