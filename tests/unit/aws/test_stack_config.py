"""Which channel configuration is used: the stack's own, a run's copy, and files that cannot be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from distillery.aws.bucket import Bucket
from distillery.aws.stack_config import (
    CHANNEL_CONFIG_KEY,
    pin_channel_config,
    run_channel_config,
    stack_channel_config,
)
from distillery.errors import BadInput
from distillery.task.channels import (
    Channel,
    ChannelConfig,
    default_channel_config,
    dump_channel_config,
    parse_channel_config,
)
from tests.unit.sample_evaluations import channel_config_of

if TYPE_CHECKING:
    from tests.unit.fakes import CloudResources


@pytest.fixture
def bucket(cloud: CloudResources) -> Bucket:
    return Bucket(cloud.environment["DATA_BUCKET"])


def drop(channel_config: ChannelConfig | bytes) -> None:
    content = (
        channel_config if isinstance(channel_config, bytes) else dump_channel_config(channel_config).encode()
    )
    boto3.client("s3").put_object(Bucket="data", Key=CHANNEL_CONFIG_KEY, Body=content)


def test_stack_without_a_channel_config_has_the_shipped_one(bucket: Bucket) -> None:
    assert stack_channel_config(bucket) == default_channel_config()


@pytest.mark.parametrize("size", [2, 4, 6])
def test_stack_has_the_channel_config_that_was_dropped(bucket: Bucket, size: int) -> None:
    drop(channel_config_of(size))
    assert stack_channel_config(bucket) == channel_config_of(size)


def test_run_keeps_its_channel_config_when_the_stack_gets_another(bucket: Bucket) -> None:
    drop(channel_config_of(2))
    assert pin_channel_config(bucket, "run-1") == channel_config_of(2)
    drop(channel_config_of(6))
    assert pin_channel_config(bucket, "run-1") == run_channel_config(bucket, "run-1") == channel_config_of(2)
    assert pin_channel_config(bucket, "run-2") == channel_config_of(6)


def test_run_without_a_copy_has_the_shipped_channel_config(bucket: Bucket) -> None:
    drop(channel_config_of(2))
    assert run_channel_config(bucket, "old-run") == default_channel_config()


CHANNELS = "channels: [{name: a, description: x}, {name: b, description: y}]"
TWINS = CHANNELS.replace("name: b", "name: a")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"channels: [", "is not YAML"),
        (b"[" * 5_000, "is not YAML"),
        (b"\xff\xfe", "not UTF-8"),
        (b"", "cannot be used"),
        (b"just words", "cannot be used"),
        (b"subject: x", "channels"),
        (
            f"subject: x\n{CHANNELS}\nfallback: {{a: 1}}\nlabel_grid: 0.1".encode(),
            "exactly one entry for each channel",
        ),
        (f"subject: x\n{CHANNELS}\nfallback: {{a: 1, b: 1}}\nlabel_grid: 0.1".encode(), "sum to 1"),
        (
            f"subject: x\n{CHANNELS}\nfallback: {{a: .nan, b: 1}}\nlabel_grid: 0.1".encode(),
            "must be a number",
        ),
        (f"subject: x\n{CHANNELS}\nfallback: {{a: 1, b: 0}}\nlabel_grid: 0".encode(), "label_grid"),
        (f"subject: 'User: x'\n{CHANNELS}\nfallback: {{a: 1, b: 0}}\nlabel_grid: 0.1".encode(), "subject"),
        (f"subject: x\n{CHANNELS}\nfallback: {{a: 1, b: 0}}\nlabel_grid: 0.1\nmore: 1".encode(), "more"),
        (
            f"subject: x\n{TWINS}\nfallback: {{a: 1}}\nlabel_grid: 0.1".encode(),
            "have the same name",
        ),
        (
            f"subject: x\n{CHANNELS.replace('name: b', 'name: reasoning')}\n"
            "fallback: {a: 1, reasoning: 0}\nlabel_grid: 0.1".encode(),
            "reasoning",
        ),
    ],
)
def test_unusable_channel_config_is_an_error_with_its_key_and_a_fix(
    bucket: Bucket, content: bytes, expected: str
) -> None:
    drop(content)
    with pytest.raises(BadInput) as caught:
        stack_channel_config(bucket)
    assert CHANNEL_CONFIG_KEY in caught.value.message
    assert expected in caught.value.message
    assert "\n" not in str(caught.value)
    assert caught.value.fix


texts = st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=20)


@given(
    st.lists(st.from_regex(r"\A[a-z][a-z0-9_]{0,9}\Z"), min_size=2, max_size=6, unique=True),
    texts,
    st.lists(texts, max_size=4),
)
def test_dumped_channel_config_is_read_back_unchanged(
    names: list[str], description: str, cues: list[str]
) -> None:
    if "reasoning" in names:
        names = [f"{name}_" for name in names]
    channel_config = ChannelConfig(
        subject="sound search",
        channels=tuple(
            Channel(name=name, description=description, cues=tuple(cues), examples=tuple(cues))
            for name in names
        ),
        fallback={name: float(place == 0) for place, name in enumerate(names)},
        label_grid=0.1,
    )
    read = parse_channel_config(dump_channel_config(channel_config))
    assert read == channel_config
    assert read.digest() == channel_config.digest()
    assert list(yaml.safe_load(dump_channel_config(channel_config))) == list(ChannelConfig.model_fields)
