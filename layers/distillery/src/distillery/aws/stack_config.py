"""The configuration files in the data bucket: the channel configuration and the price list.

A stack without such a file uses the one shipped with the package. Each run and each generation keeps a copy
of the channel configuration that it started with, so a later change affects neither it nor the active model.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from distillery.aws import clients
from distillery.aws.bucket import read_parsed, run_key
from distillery.cost.prices import PriceList, parse_prices, price_list
from distillery.earlier_names import CHANNEL_CONFIG_FILE
from distillery.generation.states import generation_key
from distillery.task.channels import (
    ChannelConfig,
    default_channel_config,
    dump_channel_config,
    parse_channel_config,
)

if TYPE_CHECKING:
    from distillery.aws.bucket import Bucket

CHANNEL_CONFIG_KEY = "config/channels.yaml"
PRICES_KEY = "config/prices.yaml"
COPY = "channels.yaml"
"""File name of the copy that a run or a generation keeps."""

logger = logging.getLogger(__name__)


def stack_channel_config(bucket: Bucket) -> ChannelConfig:
    """Return the stack's channel configuration, or the shipped one when the stack has none.

    Raises BadInput when the object cannot be used.
    """
    return read_channel_config(bucket, CHANNEL_CONFIG_KEY) or default_channel_config()


def run_channel_config(bucket: Bucket, run_id: str) -> ChannelConfig:
    """Return the channel configuration that a run was validated with."""
    # Runs from before copies were kept were validated with the shipped configuration.
    return read_channel_config(bucket, run_key(run_id, COPY)) or default_channel_config()


def pin_channel_config(bucket: Bucket, run_id: str) -> ChannelConfig:
    """Return the run's copy of the channel configuration. The first call copies the stack's."""
    key = run_key(run_id, COPY)
    kept = read_channel_config(bucket, key)
    if kept is None:
        kept = stack_channel_config(bucket)
        bucket.put(key, dump_channel_config(kept).encode(), "application/yaml")
    return kept


def generation_channel_config(bucket: Bucket, generation_id: str) -> ChannelConfig:
    """Return the channel configuration that a generation was planned with. Raises Missing without a copy."""
    key = generation_key(generation_id, COPY)
    found = read_channel_config(bucket, key)
    if found is None:
        raise clients.Missing(f"{bucket.uri(key)} does not exist.")
    return found


def read_channel_config(bucket: Bucket, key: str) -> ChannelConfig | None:
    """Return the channel configuration at a key or, without one, at the key that earlier versions used.

    Returns None when neither exists. Raises BadInput when the object cannot be used.
    """
    found = read_parsed(bucket, key, parse_channel_config)
    if found is not None:
        return found
    earlier = f"{key.rpartition('/')[0]}/{CHANNEL_CONFIG_FILE}"
    found = read_parsed(bucket, earlier, parse_channel_config)
    if found is not None and key == CHANNEL_CONFIG_KEY:
        logger.warning("%s is read in place of %s. Rename the object.", earlier, key)
    return found


def stack_prices(bucket: Bucket) -> PriceList:
    """Return the stack's price list, or the shipped one. Raises BadInput when the object cannot be used."""
    return read_parsed(bucket, PRICES_KEY, parse_prices) or price_list()
