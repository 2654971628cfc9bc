"""Channels as configuration, through the whole chain: with two, four and six of them, and when they change."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from distillery.aws.stack_config import CHANNEL_CONFIG_KEY
from distillery.runs.states import State
from distillery.task.channels import ChannelConfig, default_channel_config, dump_channel_config
from tests.channel_configs import BY_SIZE, SIX, TWO, dataset
from tests.local.tools import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.local.pipeline.chain import Chain

FINAL = (State.PROMOTED, State.NOT_PROMOTED)


@pytest.fixture
def configured(chain: Chain) -> Iterator[Callable[[ChannelConfig | bytes], None]]:
    """Gives the stack a channel configuration of its own, until the test ends."""
    bucket = chain.outputs["DataBucketName"]

    def configure(channel_config: ChannelConfig | bytes) -> None:
        content = (
            channel_config
            if isinstance(channel_config, bytes)
            else dump_channel_config(channel_config).encode()
        )
        chain.s3.put_object(Bucket=bucket, Key=CHANNEL_CONFIG_KEY, Body=content)
        chain.router_sees_parameter()

    yield configure
    chain.s3.delete_object(Bucket=bucket, Key=CHANNEL_CONFIG_KEY)
    chain.router_sees_parameter()


@pytest.mark.parametrize("size", BY_SIZE)
def test_chain_follows_a_channel_config_of_two_four_or_six_channels(
    chain: Chain,
    configured: Callable[[ChannelConfig | bytes], None],
    active_model: Callable[[str | None], None],
    size: int,
) -> None:
    channel_config = BY_SIZE[size]
    configured(channel_config)
    run = chain.reach(
        chain.drop(dataset(channel_config, 300, f"of {size}"), f"datasets/channels-{size}/a.jsonl"), *FINAL
    )
    assert run.channel_config_digest == channel_config.digest()
    evaluation = chain.document(run.run_id, "evaluation.json")
    for candidate in ("distilled", "baseline"):
        assert set(evaluation["candidates"][candidate]["mae_per_channel"]) == set(channel_config.names)
    page = chain.read(run.run_id, "report.html").decode()
    assert all(channel in page for channel in channel_config.names)

    # The model in charge goes on with its own channels when the stack's change.
    deployment = run.deployment_arn if run.state is State.PROMOTED else "amazon.nova-micro-v1:0"
    active_model(json.dumps({"run_id": run.run_id, "model_id": deployment, "prompt": "student"}))
    configured(TWO if size == 6 else SIX)
    chain.send({"query_id": f"channels-{size}", "query": "somebody explains the rain"})
    result = chain.results([f"channels-{size}"])[f"channels-{size}"]
    assert set(result["weights"]) == set(channel_config.names)


def test_baseline_routes_by_the_stacks_own_channel_config(
    chain: Chain,
    configured: Callable[[ChannelConfig | bytes], None],
    active_model: Callable[[str | None], None],
) -> None:
    active_model("{}")
    configured(SIX)
    chain.send({"query_id": "own-channels", "query": "a calm sign on a whiteboard"})
    result = chain.results(["own-channels"])["own-channels"]
    assert result["source"] == "model"
    assert set(result["weights"]) == set(SIX.names)


def test_queries_wait_while_the_stacks_channel_config_cannot_be_read(
    chain: Chain,
    configured: Callable[[ChannelConfig | bytes], None],
    active_model: Callable[[str | None], None],
) -> None:
    active_model("{}")
    configured(b"channels: [")
    chain.send({"query_id": "patient", "query": "a kettle in the morning"})
    wait_for(
        lambda: "channel configuration cannot be read" in chain.logs("RouteQueriesFunction"),
        "the router to try",
        60,
    )
    assert chain.result("patient") is None
    configured(TWO)
    assert set(chain.results(["patient"])["patient"]["weights"]) == set(TWO.names)


def test_dataset_labelled_for_another_channel_config_is_rejected_naming_the_channels(chain: Chain) -> None:
    run = chain.reach(chain.drop(dataset(TWO, 150), "datasets/other-channels/a.jsonl"), State.REJECTED)
    said = " ".join(run.reasons)
    for channel in (*TWO.names, *default_channel_config().names):
        assert channel in said


def test_channel_config_that_cannot_be_used_fails_the_run_with_its_place(
    chain: Chain, configured: Callable[[ChannelConfig | bytes], None]
) -> None:
    configured(b"subject: video search\nfacets: []\n")
    run = chain.reach(chain.drop(dataset(TWO, 150, "bad"), "datasets/bad-config/a.jsonl"), State.FAILED)
    assert run.failure is not None
    assert CHANNEL_CONFIG_KEY in run.failure.cause
    assert "channels" in run.failure.cause
