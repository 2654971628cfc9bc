"""Which channels a query is weighted over: those of the active model, or the stack's own for the baseline."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Metrics

from distillery.aws.bedrock.converse import Converse, Reply
from distillery.aws.bucket import run_key
from distillery.aws.stack_config import CHANNEL_CONFIG_KEY, COPY
from distillery.task.channels import ChannelConfig, dump_channel_config
from local.models.prompt_reader import channel_config_of_prompt
from tests.channel_configs import SIX, TWO
from tests.unit.steps.query_batches import answer, make_active, records, results, router

if TYPE_CHECKING:
    from tests.unit.fakes import CloudResources


class PromptReadingConverse(Converse):
    """Answers over whatever channels the prompt names."""

    def __init__(self) -> None:
        self.prompts: list[str] = []

    def ask(
        self, model_id: str, system: str, query: str, longest: int = 300, correction: Any = None
    ) -> Reply:
        self.prompts.append(system)
        channel_config = channel_config_of_prompt(system)
        assert channel_config is not None
        return Reply(json.dumps(channel_config.fallback), 10, 5, 100.0)


def put(key: str, content: ChannelConfig | bytes) -> None:
    body = content if isinstance(content, bytes) else dump_channel_config(content).encode()
    boto3.client("s3").put_object(Bucket="data", Key=key, Body=body)


def test_active_model_is_called_with_the_channels_it_was_trained_on(cloud: CloudResources) -> None:
    put(CHANNEL_CONFIG_KEY, SIX)
    put(run_key("run-1", COPY), TWO)
    make_active("arn:model")
    assert answer(router(cloud, PromptReadingConverse()), records(cloud, {"query": "rain"})) == []
    (result,) = results().values()
    assert set(result["weights"]) == set(TWO.names)
    assert result["run_id"] == "run-1"


def test_baseline_is_called_with_the_stacks_own_channels(cloud: CloudResources) -> None:
    put(CHANNEL_CONFIG_KEY, SIX)
    assert answer(router(cloud, PromptReadingConverse()), records(cloud, {"query": "rain"})) == []
    (result,) = results().values()
    assert set(result["weights"]) == set(SIX.names)


def test_unusable_channel_config_retries_the_queries_and_calls_no_model(cloud: CloudResources) -> None:
    put(CHANNEL_CONFIG_KEY, b"channels: [")
    converse, metrics = PromptReadingConverse(), Metrics()
    body = json.dumps({"query_id": "q", "query": "rain"})
    assert answer(router(cloud, converse, metrics), records(cloud, body)) == [body]
    assert not converse.prompts
    assert not results()
    assert "ChannelConfigUnusable" in metrics.metric_set
    metrics.clear_metrics()


def test_equal_query_with_other_channels_is_a_new_call(cloud: CloudResources) -> None:
    converse = PromptReadingConverse()
    for channel_config in (TWO, SIX):
        put(CHANNEL_CONFIG_KEY, channel_config)
        assert answer(router(cloud, converse), records(cloud, {"query": "rain"})) == []
    assert len(converse.prompts) == 2
    assert {len(result["weights"]) for result in results().values()} == {2, 6}
