"""The data bucket (S3): streams in, files and documents out, keys in one place."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

from botocore.exceptions import ClientError

from distillery.aws import clients
from distillery.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_s3 import S3Client

ParsedT = TypeVar("ParsedT")

EXPIRING = {"expire": "predictions"}
"""Tag of what is bulky and can be made again; the bucket's lifecycle removes it."""


def run_key(run_id: str, name: str) -> str:
    """Key of a run's own object, e.g. `runs/<run_id>/train.jsonl`."""
    return f"runs/{run_id}/{name}"


def predictions_key(run_id: str, candidate: str) -> str:
    """Key of a candidate's answers to the holdout."""
    return run_key(run_id, f"predictions/{candidate}.jsonl")


def judge_input_key(run_id: str, candidate: str) -> str:
    """Key of the answers in the form that a judge job reads."""
    return run_key(run_id, f"bedrock/judge-input/{candidate}.jsonl")


def judge_output_prefix(run_id: str, candidate: str) -> str:
    """Prefix under which a judge job writes."""
    return run_key(run_id, f"bedrock/judge-output/{candidate}/")


def training_output_prefix(run_id: str) -> str:
    """Prefix under which the customization job writes."""
    return run_key(run_id, "bedrock/training/")


class Bucket:
    """The data bucket."""

    def __init__(self, name: str, client: S3Client | None = None) -> None:
        self.name = name
        self._client: S3Client = client or clients.client("s3")

    def uri(self, key: str) -> str:
        """The s3:// address that Bedrock is given."""
        return f"s3://{self.name}/{key}"

    def stream(self, key: str, version_id: str | None = None) -> Any:
        """The object's body, to be read in pieces; raises Missing when it is gone."""
        wanted: dict[str, Any] = {"Bucket": self.name, "Key": key}
        if version_id:
            wanted["VersionId"] = version_id
        with clients.explained(f"read s3://{self.name}/{key}"):
            return self._client.get_object(**wanted)["Body"]

    def read(self, key: str) -> bytes:
        """The whole object."""
        body = self.stream(key)
        with clients.explained(f"read s3://{self.name}/{key}"):
            return bytes(body.read())

    def has(self, key: str) -> bool:
        """Whether the object is there."""
        return key in self.keys(key)

    def put(self, key: str, content: bytes, content_type: str, tags: dict[str, str] | None = None) -> None:
        """Write a small object."""
        # An empty tagging header would ask for the right to tag as well.
        tagging: dict[str, Any] = {"Tagging": urlencode(tags)} if tags else {}
        with clients.explained(f"write s3://{self.name}/{key}"):
            self._client.put_object(
                Bucket=self.name, Key=key, Body=content, ContentType=content_type, **tagging
            )

    def put_new(self, key: str, content: bytes, content_type: str) -> str:
        """Write an object unless its key is taken; returns the version that is there, ours or the other."""
        with clients.explained(f"write s3://{self.name}/{key}"):
            try:
                answer = self._client.put_object(
                    Bucket=self.name, Key=key, Body=content, ContentType=content_type, IfNoneMatch="*"
                )
                return str(answer.get("VersionId") or answer["ETag"].strip('"'))
            except ClientError as error:
                if clients.error_code(error) != "PreconditionFailed":
                    raise
            found = self._client.head_object(Bucket=self.name, Key=key)
        return str(found.get("VersionId") or found["ETag"].strip('"'))

    def upload(self, key: str, file: IO[bytes]) -> None:
        """Write a large object from the file's start, in parts."""
        file.seek(0)
        with clients.explained(f"write s3://{self.name}/{key}"):
            self._client.upload_fileobj(file, self.name, key, ExtraArgs={"ContentType": "application/jsonl"})

    def keys(self, prefix: str) -> list[str]:
        """Every key under a prefix."""
        with clients.explained(f"list s3://{self.name}/{prefix}"):
            return list(self._keys(prefix))

    def _keys(self, prefix: str) -> Iterator[str]:
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix):
            for entry in page.get("Contents", []):
                yield entry["Key"]


def read_parsed(bucket: Bucket, key: str, parse: Callable[[bytes], ParsedT]) -> ParsedT | None:
    """A file that a person may have put into the bucket, None where there is none.

    What `parse` has against it is told with the file's name.
    """
    try:
        content = bucket.read(key)
    except clients.Missing:
        return None
    try:
        return parse(content)
    except BadInput as error:
        raise BadInput(f"{key}: {error.message}", fix=error.fix) from error
