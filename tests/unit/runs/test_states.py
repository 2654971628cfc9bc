"""Run ids, the names derived from them, and the moves between states."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from distillery.runs.states import (
    CANDIDATES,
    ENDED,
    MOVES,
    STAGE_STATES,
    UNFINISHED,
    State,
    evaluation_job_name,
    run_id,
    slug,
)

JOB_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9\+\-\.])*")
MODEL_NAME = re.compile(r"([0-9a-zA-Z][_-]?){1,63}")
EVALUATION_NAME = re.compile(r"[a-z0-9](-*[a-z0-9]){0,62}")
TOKEN = re.compile(r"[a-zA-Z0-9]([-a-zA-Z0-9]{0,254}[a-zA-Z0-9])?")

keys = st.text(min_size=0, max_size=80).map(lambda name: f"datasets/{name}/file.jsonl")


@given(st.text(max_size=200))
def test_slug_is_never_empty_and_holds_single_hyphens(text: str) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", slug(text))
    assert len(slug(text)) <= 40


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


def test_parts_of_the_identity_cannot_be_shifted_into_each_other() -> None:
    assert run_id("a", "datasets/b/c", "d") != run_id("ad", "atasets/b/c", "d")


def test_ended_states_lead_nowhere_but_to_retirement() -> None:
    assert set(State) == ENDED | UNFINISHED
    for state in ENDED:
        assert MOVES[state] <= {State.RETIRED}


def test_every_unfinished_state_has_one_stage_that_owns_its_wait() -> None:
    owned = [state for states in STAGE_STATES.values() for state in states]
    assert sorted(owned) == sorted(UNFINISHED)
