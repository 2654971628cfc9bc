"""S3 access with a job's role: the role's policies apply to every read and write."""

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

MAX_DATASET_BYTES = 2_000_000_000


class RoleObjects:
    """Reads and writes objects with a role's session. Errors become the job's failure message."""

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
        """Yield the lines of an object, without line ends."""
        bucket, key = split(uri)
        try:
            found = self._client.get_object(Bucket=bucket, Key=key)
            if found["ContentLength"] > MAX_DATASET_BYTES:
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
    """Split an S3 URI into bucket and key."""
    parts = urlsplit(uri)
    return parts.netloc, parts.path.removeprefix("/")


def under(uri: str, key: str) -> str:
    """Join a prefix and a key. The prefix may end with a slash."""
    return f"{uri.rstrip('/')}/{key}"
