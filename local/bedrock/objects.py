"""S3 as a job's role sees it: every read and write is checked against the role's own policies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from local.bedrock.catalogue import REGION
from local.bedrock.errors import JobFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.bedrock.iam import Session

LARGEST_DATASET = 2_000_000_000


class RoleObjects:
    """Objects read and written with a role's session; failures become the job's failure message."""

    def __init__(self, endpoint: str, session: Session) -> None:
        self._client: Any = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name=REGION,
            aws_access_key_id=session.access_key,
            aws_secret_access_key=session.secret_key,
            aws_session_token=session.token,
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 2}),
        )

    def lines(self, uri: str) -> Iterator[bytes]:
        """The lines of an object, without their ends."""
        bucket, key = split(uri)
        try:
            found = self._client.get_object(Bucket=bucket, Key=key)
            if found["ContentLength"] > LARGEST_DATASET:
                raise JobFailed(f"The dataset {uri} is larger than 2 GB.")
            yield from found["Body"].iter_lines(chunk_size=65_536)
        except (ClientError, BotoCoreError) as error:
            raise JobFailed(f"Could not read {uri} with the provided role: {error}") from error

    def put(self, uri: str, body: bytes) -> None:
        """Write an object."""
        bucket, key = split(uri)
        try:
            self._client.put_object(Bucket=bucket, Key=key, Body=body)
        except (ClientError, BotoCoreError) as error:
            raise JobFailed(f"Could not write {uri} with the provided role: {error}") from error


def split(uri: str) -> tuple[str, str]:
    """Bucket and key of an S3 URI."""
    parts = urlsplit(uri)
    return parts.netloc, parts.path.removeprefix("/")


def under(uri: str, key: str) -> str:
    """A URI below a prefix, however the prefix ends."""
    return f"{uri.rstrip('/')}/{key}"
