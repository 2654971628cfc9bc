"""Which price list is in force (the data bucket): the stack's own or, without one, the shipped one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distillery.aws.bucket import read_parsed
from distillery.cost.prices import PriceList, parse_prices, price_list

if TYPE_CHECKING:
    from distillery.aws.bucket import Bucket

STACK_KEY = "config/prices.yaml"


def stack_prices(bucket: Bucket) -> PriceList:
    """The stack's own price list or, without one, the shipped one; BadInput when it cannot be used."""
    return read_parsed(bucket, STACK_KEY, parse_prices) or price_list()
