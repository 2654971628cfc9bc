"""From a spec to a run on the local cloud; the teacher throttles, rambles, dies and costs too much."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from distillery.generations import GenerationState
from distillery.runs import State
from distillery.taxonomy import default_taxonomy
from distillery.weights import dominant, parse_routing
from tests.local.pipeline.generations import Workbench
from tests.specs import spec_text

if TYPE_CHECKING:
    from tests.local.pipeline.chain import Chain

TAXONOMY = default_taxonomy()


@pytest.fixture
def bench(chain: Chain) -> Workbench:
    """The stack, quick to look again."""
    return Workbench(chain)


def test_a_small_spec_becomes_a_dataset_and_a_run(bench: Workbench) -> None:
    hard = {"typos": 0.05, "mixed_intent": 0.05, "adversarial": 0.05, "very_long": 0.05}
    name = bench.drop("small", spec_text(records=150, hard=hard))
    made = bench.reach(name, GenerationState.ASSEMBLED)
    records = bench.dataset(made)
    assert len(records) == 150
    assert made.counts["labelled"] == made.counts["planned"] == 180
    assert bench.asked() >= 180
    leading = Counter(
        dominant(parse_routing(r["messages"][1]["content"][0]["text"], TAXONOMY.names).weights)
        for r in records
    )
    assert all(abs(leading[facet] / 150 - 0.25) <= 0.02 for facet in TAXONOMY.names)
    assert made.spent == pytest.approx(sum(label.cost_usd for label in bench.labels.all(name)))
    assert bench.document(name, "summary.json")["run_id"] == made.run_id
    run = bench.chain.reach(made.run_id or "", State.PROMOTED, State.NOT_PROMOTED)
    assert run.counts["labelled"] == 150
