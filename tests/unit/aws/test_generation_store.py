"""The generations table and the labels table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from distillery.aws import clients
from distillery.aws.generation_store import Generations, Label, Labels
from distillery.errors import Permanent, Transient
from distillery.generation.states import GenerationState
from distillery.runs.states import Source

if TYPE_CHECKING:
    from tests.unit.fakes import CloudResources

NAME = "small-0123456789ab"
LABEL = Label(generation_id=NAME, number=1, query="a red kayak", cost_usd=0.25)


@pytest.fixture
def generations(cloud: CloudResources) -> Generations:
    found = Generations("GenerationsTable")
    found.receive(NAME, Source(bucket="data", key="specs/small.yaml", version_id="v1"), step="a")
    return found


def test_a_label_and_its_cost_are_stored_together_and_once(generations: Generations) -> None:
    labels = Labels("LabelsTable")
    assert labels.store(LABEL, "GenerationsTable") is True
    assert labels.store(LABEL.model_copy(update={"cost_usd": 9.0}), "GenerationsTable") is False
    assert labels.all(NAME) == [LABEL]
    assert generations.get(NAME).spent == 0.25


def test_a_generation_that_is_being_assembled_gets_no_label(generations: Generations) -> None:
    generations.move(NAME, GenerationState.LABELLING, step="a")
    generations.move(NAME, GenerationState.ASSEMBLING, step="a")
    with pytest.raises(Transient, match="is being assembled"):
        Labels("LabelsTable").store(LABEL, "GenerationsTable")
    assert Labels("LabelsTable").all(NAME) == []
    generations.move(NAME, GenerationState.STOPPED, step="a")
    assert Labels("LabelsTable").store(LABEL, "GenerationsTable") is True


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("TransactionConflict", Transient),
        ("ThrottlingError", Transient),
        ("ProvisionedThroughputExceeded", Transient),
        ("ValidationError", Permanent),
    ],
)
def test_a_label_that_could_not_be_stored_says_whether_a_later_retry_can_succeed(
    generations: Generations, monkeypatch: pytest.MonkeyPatch, code: str, kind: type[Exception]
) -> None:
    client = clients.client("dynamodb")

    def cancel(**_: Any) -> None:
        raise client.exceptions.TransactionCanceledException(
            {
                "Error": {"Code": "TransactionCanceledException", "Message": "No."},
                "CancellationReasons": [{"Code": "None"}, {"Code": code}],
            },
            "TransactWriteItems",
        )

    monkeypatch.setattr(client, "transact_write_items", cancel)
    with pytest.raises(kind, match="Could not store the label"):
        Labels("LabelsTable").store(LABEL, "GenerationsTable")


def test_an_upload_of_the_spec_counts_once(generations: Generations) -> None:
    again = generations.drop_again(NAME, "v2", max_cost_usd=3)
    assert again is not None
    assert (again.versions, again.max_cost_usd, again.dropped_again) == (["v1", "v2"], 3, True)
    assert generations.drop_again(NAME, "v1", max_cost_usd=4) is None
    assert generations.drop_again(NAME, "v2", max_cost_usd=4) is None
    assert generations.drop_again("nobody-0123456789ab", "v2") is None
    assert generations.get(NAME).max_cost_usd == 3


def test_a_move_is_refused_when_what_it_was_decided_by_has_changed(generations: Generations) -> None:
    decided_by = {"versions": ["v1"]}
    generations.drop_again(NAME, "v2")
    assert generations.move(NAME, GenerationState.LABELLING, step="a", unchanged=decided_by) is None
    found = generations.move(
        NAME, GenerationState.LABELLING, step="a", unchanged={"versions": ["v1", "v2"], "dropped_again": True}
    )
    assert found is not None
    assert found.state is GenerationState.LABELLING


def test_a_move_is_refused_from_another_state_than_the_one_given(generations: Generations) -> None:
    since = GenerationState.STOPPED
    assert generations.move(NAME, GenerationState.LABELLING, step="a", since=since) is None
    assert generations.get(NAME).state is GenerationState.PLANNING
