"""The data bucket (S3) and the keys of the objects in it."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

from botocore.exceptions import ClientError

from distillery.aws import clients
from distillery.errors import BadInput
from distillery.runs.names import NULL_VERSION, object_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mypy_boto3_s3 import S3Client

ParsedT = TypeVar("ParsedT")

EXPIRING = {"expire": "predictions"}
"""Tag of large objects that can be created again. A lifecycle rule of the bucket deletes them."""


def run_key(run_id: str, name: str) -> str:
    """Key of an object of a run, such as `runs/<run_id>/train.jsonl`."""
    return f"runs/{run_id}/{name}"


def attempt_prefix(run_id: str, attempt: str) -> str:
    """Prefix of the files of one attempt to validate a run's dataset. A lifecycle rule deletes them."""
    return f"attempts/{run_id}/{attempt}/"


def predictions_key(run_id: str, candidate: str) -> str:
    """Key of a candidate's answers to the holdout."""
    return run_key(run_id, f"predictions/{candidate}.jsonl")


def judge_input_key(run_id: str, candidate: str) -> str:
    """Key of a candidate's answers in the format that an evaluation job reads."""
    return run_key(run_id, f"bedrock/judge-input/{candidate}.jsonl")


def judge_output_prefix(run_id: str, candidate: str) -> str:
    """Prefix under which an evaluation job writes."""
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
        """The S3 URI of an object, as Bedrock expects it."""
        return f"s3://{self.name}/{key}"

    def stream(self, key: str, version_id: str = "", etag: str = "") -> Any:
        """Return the object's body as a stream. Raises Missing when the object does not exist.

        Raises BadInput when the object no longer has this ETag, because its bucket keeps no versions and
        another object was written to the key.
        """
        request: dict[str, Any] = {"Bucket": self.name, "Key": key}
        if version_id:
            request["VersionId"] = version_id
        if etag and version_id in {"", NULL_VERSION}:
            request["IfMatch"] = f'"{etag}"'
        with clients.explained(f"read s3://{self.name}/{key}"):
            try:
                return self._client.get_object(**request)["Body"]
            except ClientError as error:
                if clients.error_code(error) != "PreconditionFailed":
                    raise
        raise BadInput(
            f"s3://{self.name}/{key} was replaced before it was read.",
            fix="See the run of the object that replaced it. Enable versioning to keep every object.",
        )

    def read(self, key: str) -> bytes:
        """Return the content of an object. Raises Missing when the object does not exist."""
        body = self.stream(key)
        with clients.explained(f"read s3://{self.name}/{key}"):
            return bytes(body.read())

    def metadata(self, key: str, version_id: str | None = None) -> dict[str, str]:
        """Return the user-defined metadata of an object. Raises Missing when the object does not exist."""
        request: dict[str, Any] = {"Bucket": self.name, "Key": key}
        if version_id and version_id != NULL_VERSION:
            request["VersionId"] = version_id
        with clients.explained(f"read the metadata of s3://{self.name}/{key}"):
            return self._client.head_object(**request)["Metadata"]

    def copy(self, key: str, to: str) -> None:
        """Copy an object within the bucket, in parts when it is large. Raises Missing."""
        with clients.explained(f"copy s3://{self.name}/{key}"):
            self._client.copy({"Bucket": self.name, "Key": key}, self.name, to)

    def has(self, key: str) -> bool:
        """Whether the object exists."""
        return key in self.keys(key)

    def put(self, key: str, content: bytes, content_type: str, tags: dict[str, str] | None = None) -> None:
        """Write a small object."""
        # Even an empty Tagging parameter requires the permission s3:PutObjectTagging.
        tagging: dict[str, Any] = {"Tagging": urlencode(tags)} if tags else {}
        with clients.explained(f"write s3://{self.name}/{key}"):
            self._client.put_object(
                Bucket=self.name, Key=key, Body=content, ContentType=content_type, **tagging
            )

    def put_new(self, key: str, content: bytes, content_type: str) -> str:
        """Write an object unless the key exists. Returns the version that the key has afterwards."""
        with clients.explained(f"write s3://{self.name}/{key}"):
            try:
                response = self._client.put_object(
                    Bucket=self.name, Key=key, Body=content, ContentType=content_type, IfNoneMatch="*"
                )
                return written_version(response)
            except ClientError as error:
                if clients.error_code(error) != "PreconditionFailed":
                    raise
            found = self._client.head_object(Bucket=self.name, Key=key)
        return written_version(found)

    def upload(self, key: str, file: IO[bytes]) -> None:
        """Upload a file from its start, as a multipart upload when it is large."""
        file.seek(0)
        with clients.explained(f"write s3://{self.name}/{key}"):
            self._client.upload_fileobj(file, self.name, key, ExtraArgs={"ContentType": "application/jsonl"})

    def keys(self, prefix: str) -> list[str]:
        """Return every key under a prefix."""
        with clients.explained(f"list s3://{self.name}/{prefix}"):
            return list(self._keys(prefix))

    def _keys(self, prefix: str) -> Iterator[str]:
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix):
            for entry in page.get("Contents", []):
                yield entry["Key"]


def written_version(response: Mapping[str, Any]) -> str:
    """Return the version of an object from S3's response, the one that the event of the object leads to."""
    return object_version(response.get("VersionId", ""), response["ETag"].strip('"'))


def read_parsed(bucket: Bucket, key: str, parse: Callable[[bytes], ParsedT]) -> ParsedT | None:
    """Read and parse a configuration file that a user may have put into the bucket.

    Returns None when the file does not exist. A BadInput that `parse` raises gets the key as prefix.
    """
    try:
        content = bucket.read(key)
    except clients.Missing:
        return None
    try:
        return parse(content)
    except BadInput as error:
        raise BadInput(f"{key}: {error.message}", fix=error.fix) from error
