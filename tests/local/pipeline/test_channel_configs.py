"""The channel configuration in the whole pipeline: two, four or six channels, and changes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from distillery.aws.stack_config import CHANNEL_CONFIG_KEY
from distillery.runs.states import State
from distillery.task.channels import ChannelConfig, default_channel_config, dump_channel_config
from tests.channel_configs import BY_SIZE, SIX, TWO, dataset
from tests.local.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.local.pipeline.deployed_pipeline import DeployedPipeline

FINAL = (State.PROMOTED, State.NOT_PROMOTED)


@pytest.fixture
def configured(pipeline: DeployedPipeline) -> Iterator[Callable[[ChannelConfig | bytes], None]]:
    """Writes the stack's channel configuration, which is deleted afterwards."""
    bucket = pipeline.outputs["DataBucketName"]

    def configure(channel_config: ChannelConfig | bytes) -> None:
        content = (
            channel_config
            if isinstance(channel_config, bytes)
            else dump_channel_config(channel_config).encode()
        )
        pipeline.s3.put_object(Bucket=bucket, Key=CHANNEL_CONFIG_KEY, Body=content)
        pipeline.restart_router()

    yield configure
    pipeline.s3.delete_object(Bucket=bucket, Key=CHANNEL_CONFIG_KEY)
    pipeline.restart_router()


@pytest.mark.parametrize("size", BY_SIZE)
def test_pipeline_works_with_two_four_or_six_channels(
    pipeline: DeployedPipeline,
    configured: Callable[[ChannelConfig | bytes], None],
    active_model: Callable[[str | None], None],
    size: int,
) -> None:
    channel_config = BY_SIZE[size]
    configured(channel_config)
    run = pipeline.reach(
        pipeline.drop(dataset(channel_config, 300, f"of {size}"), f"datasets/channels-{size}/a.jsonl"), *FINAL
    )
    assert run.channel_config_digest == channel_config.digest()
    evaluation = pipeline.document(run.run_id, "evaluation.json")
    for candidate in ("distilled", "baseline"):
        assert set(evaluation["candidates"][candidate]["mae_per_channel"]) == set(channel_config.names)
    page = pipeline.read(run.run_id, "report.html").decode()
    assert all(channel in page for channel in channel_config.names)

    # The active model keeps its channels when the channel configuration of the stack changes.
    deployment = run.deployment_arn if run.state is State.PROMOTED else "amazon.nova-micro-v1:0"
    active_model(json.dumps({"run_id": run.run_id, "model_id": deployment, "prompt": "student"}))
    configured(TWO if size == 6 else SIX)
    pipeline.send({"query_id": f"channels-{size}", "query": "somebody explains the rain"})
    result = pipeline.results([f"channels-{size}"])[f"channels-{size}"]
    assert set(result["weights"]) == set(channel_config.names)


def test_baseline_uses_the_channel_configuration_of_the_stack(
    pipeline: DeployedPipeline,
    configured: Callable[[ChannelConfig | bytes], None],
    active_model: Callable[[str | None], None],
) -> None:
    active_model("{}")
    configured(SIX)
    pipeline.send({"query_id": "own-channels", "query": "a calm sign on a whiteboard"})
    result = pipeline.results(["own-channels"])["own-channels"]
    assert result["source"] == "model"
    assert set(result["weights"]) == set(SIX.names)


def test_queries_wait_while_the_channel_configuration_cannot_be_read(
    pipeline: DeployedPipeline,
    configured: Callable[[ChannelConfig | bytes], None],
    active_model: Callable[[str | None], None],
) -> None:
    active_model("{}")
    configured(b"channels: [")
    pipeline.send({"query_id": "waiting", "query": "a kettle in the morning"})
    wait_for(
        lambda: "the queries are tried again later" in pipeline.logs("RouteQueriesFunction"),
        "route_queries to log the error",
        60,
    )
    assert pipeline.result("waiting") is None
    configured(TWO)
    assert set(pipeline.results(["waiting"])["waiting"]["weights"]) == set(TWO.names)


def test_dataset_labelled_for_other_channels_is_rejected_naming_the_channels(
    pipeline: DeployedPipeline,
) -> None:
    run = pipeline.reach(pipeline.drop(dataset(TWO, 150), "datasets/other-channels/a.jsonl"), State.REJECTED)
    reasons = " ".join(run.reasons)
    for channel in (*TWO.names, *default_channel_config().names):
        assert channel in reasons


def test_invalid_channel_configuration_fails_the_run_with_its_key(
    pipeline: DeployedPipeline, configured: Callable[[ChannelConfig | bytes], None]
) -> None:
    configured(b"subject: video search\nchannels: []\n")
    run = pipeline.reach(pipeline.drop(dataset(TWO, 150, "bad"), "datasets/bad-config/a.jsonl"), State.FAILED)
    assert run.failure is not None
    assert CHANNEL_CONFIG_KEY in run.failure.cause
    assert "channels" in run.failure.cause
