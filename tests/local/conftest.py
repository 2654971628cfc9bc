"""One local cloud and one deployed stack per session, and a control API that is reset after each test."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from local.cloud import LocalCloud, deploy
from tests.local.bedrock_resources import BedrockResources
from tests.local.control_api import ControlApi
from tests.local.permissions import bedrock_role

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
def control(cloud: LocalCloud) -> Iterator[ControlApi]:
    """The control API. Faults, counters and settings are reset afterwards."""
    api = ControlApi(cloud.endpoint)
    before = api.state()["settings"]
    api.reset()
    yield api
    api.settings(**before)
    api.reset()


@pytest.fixture
def fresh(control: ControlApi) -> Iterator[ControlApi]:
    """The control API. All resources of Bedrock are deleted before and after the test."""
    control.reset(state=True)
    yield control
    control.reset(state=True)


@pytest.fixture(scope="session")
def resources(cloud: LocalCloud) -> BedrockResources:
    """A bucket and a service role."""
    bucket = f"bedrock-{uuid.uuid4().hex[:12]}"
    cloud.client("s3").create_bucket(Bucket=bucket)
    return BedrockResources(cloud, bucket, bedrock_role(cloud, bucket))


@pytest.fixture(scope="session")
def bedrock(cloud: LocalCloud) -> Any:
    """A Bedrock client with the account's own key."""
    return cloud.client("bedrock")


@pytest.fixture(scope="session")
def runtime(cloud: LocalCloud) -> Any:
    """A Bedrock runtime client with the account's own key, without retries."""
    from botocore.config import Config

    return cloud.client("bedrock-runtime", config=Config(retries={"total_max_attempts": 1}))
