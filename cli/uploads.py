"""Dropping a dataset into the bucket."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from distillery.aws import clients
from distillery.errors import BadInput
from distillery.runs.states import run_id, slug

if TYPE_CHECKING:
    from pathlib import Path

    from cli.stack import Stack

SUFFIX = ".jsonl"
LARGEST = 5 * 1024**3
"""Bytes S3 takes in one PutObject; Bedrock takes 2 GB of training data at most."""


@dataclass(frozen=True, slots=True)
class Drop:
    """Where a file went, and the run that follows from it."""

    run_id: str
    bucket: str
    key: str
    version_id: str


def drop_file(stack: Stack, file: Path, dataset: str | None = None) -> Drop:
    """Upload a file as a dataset; the dataset's name is the file's unless given.

    One PutObject, because its answer names the version that the run's id is made of.
    """
    if file.suffix != SUFFIX:
        raise BadInput(f"{file} does not end in {SUFFIX}, so nothing would pick it up.", fix="Rename it.")
    try:
        size = file.stat().st_size
        body = file.open("rb")
    except OSError as error:
        raise BadInput(f"{file} cannot be read: {error.strerror}.") from error
    name = slug(dataset or file.stem)
    bucket = stack.output("DataBucketName")
    key = f"datasets/{name}/{slug(file.stem)}{SUFFIX}"
    with body:
        if size > LARGEST:
            raise BadInput(f"{file} is larger than the 5 GB that one upload may be.")
        with clients.explained(f"upload {file.name}"):
            answer = stack.client("s3").put_object(
                Bucket=bucket, Key=key, Body=body, ContentType="application/jsonl"
            )
    version = answer.get("VersionId") or answer["ETag"].strip('"')
    return Drop(run_id(bucket, key, version), bucket, key, version)
