"""One local cloud a session, the stack deployed on it, and a control room put right after each test."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from local.cloud import LocalCloud, deploy
from tests.local.tools import Control, Workshop, bedrock_role

if TYPE_CHECKING:
    from collections.abc import Iterator

FAST = {
    "DISTILLERY_JOB_SECONDS": "1",
    "DISTILLERY_DEPLOYMENT_SECONDS": "0.4",
    "DISTILLERY_EVALUATION_SECONDS": "0.4",
    "DISTILLERY_LATENCY_SCALE": "0.01",
}


@pytest.fixture(scope="session")
def cloud() -> Iterator[LocalCloud]:
    """A local cloud on a free port."""
    with LocalCloud(settings=FAST) as running:
        yield running


@pytest.fixture(scope="session")
def stack(cloud: LocalCloud) -> dict[str, str]:
    """The outputs of the repository's template, deployed by the SAM CLI."""
    return deploy(cloud.endpoint)


@pytest.fixture
def control(cloud: LocalCloud) -> Iterator[Control]:
    """The control room; faults, counters and settings are put right afterwards."""
    room = Control(cloud.endpoint)
    before = room.state()["settings"]
    room.reset()
    yield room
    room.settings(**before)
    room.reset()


@pytest.fixture
def fresh(control: Control) -> Iterator[Control]:
    """The control room of a Bedrock that knows nothing, before and after."""
    control.reset(state=True)
    yield control
    control.reset(state=True)


@pytest.fixture(scope="session")
def workshop(cloud: LocalCloud) -> Workshop:
    """A bucket and a service role."""
    bucket = f"workshop-{uuid.uuid4().hex[:12]}"
    cloud.client("s3").create_bucket(Bucket=bucket)
    return Workshop(cloud, bucket, bedrock_role(cloud, bucket))


@pytest.fixture(scope="session")
def bedrock(cloud: LocalCloud) -> Any:
    """A client of Bedrock with the account's own key."""
    return cloud.client("bedrock")


@pytest.fixture(scope="session")
def runtime(cloud: LocalCloud) -> Any:
    """A client of the Bedrock runtime with the account's own key, without retries."""
    from botocore.config import Config

    return cloud.client("bedrock-runtime", config=Config(retries={"total_max_attempts": 1}))
