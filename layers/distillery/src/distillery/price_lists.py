"""Which price list is in force (the data bucket): the stack's own or, without one, the shipped one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distillery import aws
from distillery.errors import BadInput
from distillery.pricing import PriceList, parse_prices, price_list

if TYPE_CHECKING:
    from distillery.objects import Bucket

STACK_KEY = "config/prices.yaml"


def stack_prices(bucket: Bucket) -> PriceList:
    """The stack's own price list or, without one, the shipped one; BadInput when it cannot be used."""
    try:
        content = bucket.read(STACK_KEY)
    except aws.Missing:
        return price_list()
    try:
        return parse_prices(content.decode())
    except UnicodeDecodeError as error:
        raise BadInput(f"{STACK_KEY} is not UTF-8 text.", mend="Save it as UTF-8.") from error
    except BadInput as error:
        raise BadInput(f"{STACK_KEY}: {error.message}", mend=error.mend) from error
