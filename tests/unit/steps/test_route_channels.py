"""Which channels a query is routed over: those of the model in charge, and the stack's own without one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import boto3
from aws_lambda_powertools import Metrics

from distillery.aws.bedrock.converse import Converse, Reply
from distillery.aws.bucket import run_key
from distillery.aws.stack_config import CHANNEL_CONFIG_KEY, COPY
from distillery.task.channels import ChannelConfig, dump_channel_config
from local.models.prompt_reader import channel_config_of_prompt
from tests.channel_configs import SIX, TWO
from tests.unit.steps.test_route_queries import records, results, router, run

if TYPE_CHECKING:
    from tests.unit.fakes import Surroundings


class ObedientConverse(Converse):
    """Answers over whatever channels the prompt names."""

    def __init__(self) -> None:
        self.prompts: list[str] = []

    def ask(self, model_id: str, system: str, query: str) -> Reply:  # noqa: ARG002 (the port's signature)
        self.prompts.append(system)
        channel_config = channel_config_of_prompt(system)
        assert channel_config is not None
        return Reply(json.dumps(channel_config.fallback), 10, 5, 100.0)


def put(key: str, content: ChannelConfig | bytes) -> None:
    body = content if isinstance(content, bytes) else dump_channel_config(content).encode()
    boto3.client("s3").put_object(Bucket="data", Key=key, Body=body)


def make_active(run_id: str, model_id: str) -> None:
    value = json.dumps({"run_id": run_id, "model_id": model_id, "prompt": "student"})
    boto3.client("ssm").put_parameter(Name="/stack/active-model", Value=value, Type="String", Overwrite=True)


def test_model_in_charge_is_asked_with_the_channels_it_learned(cloud: Surroundings) -> None:
    put(CHANNEL_CONFIG_KEY, SIX)
    put(run_key("run-1", COPY), TWO)
    make_active("run-1", "arn:model")
    assert run(router(cloud, ObedientConverse()), records(cloud, {"query": "rain"})) == []
    (result,) = results().values()
    assert set(result["weights"]) == set(TWO.names)
    assert result["run_id"] == "run-1"


def test_without_a_model_in_charge_the_stacks_own_channels_count(cloud: Surroundings) -> None:
    put(CHANNEL_CONFIG_KEY, SIX)
    assert run(router(cloud, ObedientConverse()), records(cloud, {"query": "rain"})) == []
    (result,) = results().values()
    assert set(result["weights"]) == set(SIX.names)


def test_channel_config_that_cannot_be_used_sends_queries_back_and_asks_nobody(cloud: Surroundings) -> None:
    put(CHANNEL_CONFIG_KEY, b"channels: [")
    converse, metrics = ObedientConverse(), Metrics()
    body = json.dumps({"query_id": "q", "query": "rain"})
    assert run(router(cloud, converse, metrics), records(cloud, body)) == [body]
    assert not converse.prompts
    assert not results()
    assert "ChannelConfigUnusable" in metrics.metric_set
    metrics.clear_metrics()


def test_equal_queries_over_other_channels_are_asked_again(cloud: Surroundings) -> None:
    converse = ObedientConverse()
    for channel_config in (TWO, SIX):
        put(CHANNEL_CONFIG_KEY, channel_config)
        assert run(router(cloud, converse), records(cloud, {"query": "rain"})) == []
    assert len(converse.prompts) == 2
    assert {len(result["weights"]) for result in results().values()} == {2, 6}
