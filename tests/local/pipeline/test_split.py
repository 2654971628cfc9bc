"""What one version of a dataset holds out, its later versions hold out too: on the deployed stack."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from distillery.runs.states import State
from tests.local.pipeline.chain import sample_records

if TYPE_CHECKING:
    from tests.local.pipeline.chain import Chain


def queries(chain: Chain, run_id: str, file: str) -> set[str]:
    lines = chain.read(run_id, file).decode().splitlines()
    return {json.loads(line)["messages"][0]["content"][0]["text"] for line in lines}


def test_later_version_of_a_dataset_keeps_the_holdout_of_the_first(chain: Chain) -> None:
    chain.faults(job="never")
    lines = sample_records(500, "versions").splitlines(keepends=True)
    first = chain.drop(b"".join(lines[:300]), "datasets/versions/a.jsonl")
    chain.reach(first, State.TRAINING)
    second = chain.drop(b"".join(lines[100:]), "datasets/versions/a.jsonl")
    chain.reach(second, State.TRAINING)

    before, after = queries(chain, first, "holdout.jsonl"), queries(chain, second, "holdout.jsonl")
    present = queries(chain, second, "train.jsonl") | after
    assert before & present
    assert before & present <= after
    assert not before & queries(chain, second, "train.jsonl")
    assert chain.document(second, "validation.json")["split"]["kept"] == len(before & present)
