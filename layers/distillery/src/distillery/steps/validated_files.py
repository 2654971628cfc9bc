"""The files of a validated dataset: written by each attempt under its own prefix, then copied to the run.

A function that was held up could otherwise overwrite the split of a run that trains by now. Only the attempt
that moves the run is named in the run table, and only its files become the files of the run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from distillery.aws.bucket import run_key

if TYPE_CHECKING:
    from collections.abc import Collection

    from distillery.aws.bucket import Bucket
    from distillery.runs.states import Run

TRAINING_FILES = frozenset({"train.jsonl", "holdout.jsonl", "validation.json"})
"""What a training and its evaluation read."""


def publish_files(run: Run, bucket: Bucket, only: Collection[str] = ()) -> None:
    """Copy the files of the run's attempt, or those named by `only`, to the run's keys. Safe to repeat."""
    for key in bucket.keys(run.files) if run.files else ():
        name = key.rpartition("/")[2]
        if not only or name in only:
            bucket.copy(key, run_key(run.run_id, name))
