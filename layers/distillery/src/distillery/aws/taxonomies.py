"""Which taxonomy is in force (the data bucket): the stack's own, or the copy that a run keeps.

A stack's own taxonomy is the object `config/taxonomy.yaml`; without one the taxonomy shipped with the package
holds. Each run keeps a copy of what it was validated with, so that a change of the stack's taxonomy reaches
neither a run that is under way nor the model that is in charge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from distillery.aws.bucket import read_parsed, run_key
from distillery.task.channels import Taxonomy, default_taxonomy, dump_taxonomy, parse_taxonomy

if TYPE_CHECKING:
    from distillery.aws.bucket import Bucket

STACK_KEY = "config/taxonomy.yaml"
RUN_COPY = "taxonomy.yaml"


def stack_taxonomy(bucket: Bucket) -> Taxonomy:
    """The stack's own taxonomy or, without one, the shipped one; BadInput when it cannot be used."""
    return _read(bucket, STACK_KEY) or default_taxonomy()


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
