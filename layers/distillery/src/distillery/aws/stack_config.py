"""The stack's configuration in the data bucket: the taxonomy and the price list, or those shipped.

Each run keeps a copy of the taxonomy it was validated with, so that a change of the stack's reaches neither
a run that is under way nor the active model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from distillery.aws.bucket import read_parsed, run_key
from distillery.cost.prices import PriceList, parse_prices, price_list
from distillery.task.channels import Taxonomy, default_taxonomy, dump_taxonomy, parse_taxonomy

if TYPE_CHECKING:
    from distillery.aws.bucket import Bucket

TAXONOMY_KEY = "config/taxonomy.yaml"
PRICES_KEY = "config/prices.yaml"
RUN_COPY = "taxonomy.yaml"


def stack_taxonomy(bucket: Bucket) -> Taxonomy:
    """The stack's own taxonomy or, without one, the shipped one; BadInput when it cannot be used."""
    return _read(bucket, TAXONOMY_KEY) or default_taxonomy()


def run_taxonomy(bucket: Bucket, run_id: str) -> Taxonomy:
    """The taxonomy that a run was validated with."""
    # A run from before copies were kept was validated with the shipped one.
    return _read(bucket, run_key(run_id, RUN_COPY)) or default_taxonomy()


def pin_taxonomy(bucket: Bucket, run_id: str) -> Taxonomy:
    """The run's taxonomy; at first the stack's, of which the run then keeps a copy."""
    key = run_key(run_id, RUN_COPY)
    kept = _read(bucket, key)
    if kept is None:
        kept = stack_taxonomy(bucket)
        bucket.put(key, dump_taxonomy(kept).encode(), "application/yaml")
    return kept


def _read(bucket: Bucket, key: str) -> Taxonomy | None:
    return read_parsed(bucket, key, parse_taxonomy)


def stack_prices(bucket: Bucket) -> PriceList:
    """The stack's own price list or, without one, the shipped one; BadInput when it cannot be used."""
    return read_parsed(bucket, PRICES_KEY, parse_prices) or price_list()
