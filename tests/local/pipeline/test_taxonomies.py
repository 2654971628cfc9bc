"""Facets as configuration, through the whole chain: with two, four and six of them, and when they change."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from distillery.aws.stack_config import TAXONOMY_KEY
from distillery.runs.states import State
from distillery.task.channels import Taxonomy, default_taxonomy, dump_taxonomy
from tests.local.tools import wait_for
from tests.taxonomies import BY_SIZE, SIX, TWO, dataset

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.local.pipeline.chain import Chain

FINAL = (State.PROMOTED, State.NOT_PROMOTED)


@pytest.fixture
def configured(chain: Chain) -> Iterator[Callable[[Taxonomy | bytes], None]]:
    """Gives the stack a taxonomy of its own, until the test ends."""
    bucket = chain.outputs["DataBucketName"]

    def configure(taxonomy: Taxonomy | bytes) -> None:
        content = taxonomy if isinstance(taxonomy, bytes) else dump_taxonomy(taxonomy).encode()
        chain.s3.put_object(Bucket=bucket, Key=TAXONOMY_KEY, Body=content)
        chain.router_sees_parameter()

    yield configure
    chain.s3.delete_object(Bucket=bucket, Key=TAXONOMY_KEY)
    chain.router_sees_parameter()


@pytest.mark.parametrize("size", BY_SIZE)
def test_chain_follows_a_taxonomy_of_two_four_or_six_facets(
    chain: Chain,
    configured: Callable[[Taxonomy | bytes], None],
    active_model: Callable[[str | None], None],
    size: int,
) -> None:
    taxonomy = BY_SIZE[size]
    configured(taxonomy)
    run = chain.reach(
        chain.drop(dataset(taxonomy, 300, f"of {size}"), f"datasets/facets-{size}/a.jsonl"), *FINAL
    )
    assert run.taxonomy_digest == taxonomy.digest()
    evaluation = chain.document(run.run_id, "evaluation.json")
    for candidate in ("distilled", "baseline"):
        assert set(evaluation["candidates"][candidate]["mae_per_facet"]) == set(taxonomy.names)
    page = chain.read(run.run_id, "report.html").decode()
    assert all(facet in page for facet in taxonomy.names)

    # The model in charge goes on with its own facets when the stack's change.
    deployment = run.deployment_arn if run.state is State.PROMOTED else "amazon.nova-micro-v1:0"
    active_model(json.dumps({"run_id": run.run_id, "model_id": deployment, "prompt": "student"}))
    configured(TWO if size == 6 else SIX)
    chain.send({"query_id": f"facets-{size}", "query": "somebody explains the rain"})
    result = chain.results([f"facets-{size}"])[f"facets-{size}"]
    assert set(result["weights"]) == set(taxonomy.names)


def test_baseline_routes_by_the_stacks_own_taxonomy(
    chain: Chain,
    configured: Callable[[Taxonomy | bytes], None],
    active_model: Callable[[str | None], None],
) -> None:
    active_model("{}")
    configured(SIX)
    chain.send({"query_id": "own-facets", "query": "a calm sign on a whiteboard"})
    result = chain.results(["own-facets"])["own-facets"]
    assert result["source"] == "model"
    assert set(result["weights"]) == set(SIX.names)


def test_queries_wait_while_the_stacks_taxonomy_cannot_be_read(
    chain: Chain,
    configured: Callable[[Taxonomy | bytes], None],
    active_model: Callable[[str | None], None],
) -> None:
    active_model("{}")
    configured(b"facets: [")
    chain.send({"query_id": "patient", "query": "a kettle in the morning"})
    wait_for(lambda: "taxonomy cannot be read" in chain.logs("RouteQueriesFunction"), "the router to try", 60)
    assert chain.result("patient") is None
    configured(TWO)
    assert set(chain.results(["patient"])["patient"]["weights"]) == set(TWO.names)


def test_dataset_labelled_for_another_taxonomy_is_rejected_naming_the_facets(chain: Chain) -> None:
    run = chain.reach(chain.drop(dataset(TWO, 150), "datasets/other-facets/a.jsonl"), State.REJECTED)
    said = " ".join(run.reasons)
    for facet in (*TWO.names, *default_taxonomy().names):
        assert facet in said


def test_taxonomy_that_cannot_be_used_fails_the_run_with_its_place(
    chain: Chain, configured: Callable[[Taxonomy | bytes], None]
) -> None:
    configured(b"subject: video search\nfacets: []\n")
    run = chain.reach(chain.drop(dataset(TWO, 150, "bad"), "datasets/bad-config/a.jsonl"), State.FAILED)
    assert run.failure is not None
    assert TAXONOMY_KEY in run.failure.cause
    assert "facets" in run.failure.cause
