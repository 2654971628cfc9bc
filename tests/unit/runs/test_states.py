"""Run ids, names derived from them, moves between states, and how a run is read."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from distillery.runs.states import (
    CANDIDATES,
    ENDED,
    MOVES,
    STAGE_STATES,
    UNFINISHED,
    Approval,
    Run,
    Source,
    State,
    evaluation_job_name,
    run_id,
)

JOB_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9\+\-\.])*")
MODEL_NAME = re.compile(r"([0-9a-zA-Z][_-]?){1,63}")
EVALUATION_NAME = re.compile(r"[a-z0-9](-*[a-z0-9]){0,62}")
TOKEN = re.compile(r"[a-zA-Z0-9]([-a-zA-Z0-9]{0,254}[a-zA-Z0-9])?")

keys = st.text(min_size=0, max_size=80).map(lambda name: f"datasets/{name}/file.jsonl")


@given(st.text(max_size=60), keys, st.text(max_size=40))
def test_every_name_given_to_bedrock_fits_its_patterns(bucket: str, key: str, version: str) -> None:
    name = run_id(bucket, key, version)
    assert len(name) <= 63
    assert JOB_NAME.fullmatch(name)
    assert MODEL_NAME.fullmatch(name)
    assert TOKEN.fullmatch(name)
    for candidate in CANDIDATES:
        job = evaluation_job_name(name, candidate)
        assert len(job) <= 63
        assert EVALUATION_NAME.fullmatch(job)


@given(st.text(max_size=20), keys, st.text(max_size=20), st.text(max_size=20))
def test_run_id_is_the_same_for_the_same_object_version_only(
    bucket: str, key: str, version: str, other: str
) -> None:
    assert run_id(bucket, key, version) == run_id(bucket, key, version)
    assert (run_id(bucket, key, version) == run_id(bucket, key, other)) == (version == other)


def test_run_id_depends_on_where_bucket_key_and_version_begin() -> None:
    assert run_id("a", "datasets/b/c", "d") != run_id("ad", "atasets/b/c", "d")


def test_ended_states_only_lead_to_retired() -> None:
    assert set(State) == ENDED | UNFINISHED
    for state in ENDED:
        assert MOVES[state] <= {State.RETIRED}


def test_every_unfinished_state_belongs_to_one_stage() -> None:
    owned = [state for states in STAGE_STATES.values() for state in states]
    assert sorted(owned) == sorted(UNFINISHED)


def test_version_is_the_version_id_or_without_one_the_etag() -> None:
    assert Source(bucket="b", key="k", version_id="1", etag="e").version == "1"
    assert Source(bucket="b", key="k", etag="e").version == "e"


def test_object_in_a_bucket_whose_versioning_is_suspended_is_told_apart_by_its_etag() -> None:
    first, second = (Source(bucket="b", key="k", version_id="null", etag=etag) for etag in "ef")
    assert (first.version, second.version) == ("e", "f")


def test_approval_is_written_as_a_sentence_with_its_reason() -> None:
    at = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
    approval = Approval(by="arn:me", at=at, decision="rejected", reason="Too expensive.")
    assert str(approval) == "rejected by arn:me at 2026-11-24 09:30:00 UTC: Too expensive."


def test_time_of_a_state_is_that_of_the_last_move_into_it() -> None:
    def at(hour: int) -> datetime:
        return datetime(2026, 11, 24, hour, tzinfo=UTC)

    history: list[dict[str, Any]] = [
        {"state": State.RECEIVED, "at": at(1), "step": "a"},
        {"state": State.VALIDATED, "at": at(2), "step": "b"},
        {"state": State.VALIDATED, "at": at(3), "step": "b"},
    ]
    source = Source(bucket="b", key="k")
    run = Run.model_validate(
        {"run_id": "r", "state": "VALIDATED", "source": source, "dataset": "d", "history": history}
    )
    assert run.entered(State.VALIDATED) == at(3)
    assert run.entered(State.TRAINING) is None
