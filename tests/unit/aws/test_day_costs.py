"""The sum of the estimates of a day: a run is counted once, and no sum exceeds the limit."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest

from distillery.aws.day_costs import DayCosts

if TYPE_CHECKING:
    from tests.unit.fakes import CloudResources

TODAY, TOMORROW = date(2026, 11, 25), date(2026, 11, 26)


@pytest.fixture
def costs(cloud: CloudResources) -> DayCosts:
    return DayCosts(cloud.environment["CLAIMS_TABLE"])


def test_runs_are_counted_up_to_the_limit_and_not_beyond(costs: DayCosts) -> None:
    assert [costs.add(TODAY, f"run-{n}", 40.0, 100.0) for n in range(3)] == [None, None, 80.0]
    assert costs.add(TODAY, "small", 20.0, 100.0) is None
    assert costs.add(TODAY, "cent", 0.01, 100.0) == 100.0


def test_a_run_that_comes_twice_is_counted_once(costs: DayCosts) -> None:
    for _ in range(3):
        assert costs.add(TODAY, "run", 60.0, 100.0) is None
    assert costs.add(TODAY, "other", 60.0, 100.0) == 60.0


def test_the_first_run_of_a_day_has_the_limit_too(costs: DayCosts) -> None:
    assert costs.add(TODAY, "run", 100.01, 100.0) == 0.0
    assert costs.add(TODAY, "run", 0.01, 0.0) == 0.0


def test_an_approved_run_is_counted_beyond_the_limit(costs: DayCosts) -> None:
    assert costs.add(TODAY, "approved", 500.0) is None
    assert costs.add(TODAY, "other", 1.0, 100.0) == 500.0


def test_another_day_begins_at_zero(costs: DayCosts) -> None:
    assert costs.add(TODAY, "run", 100.0, 100.0) is None
    assert costs.add(TOMORROW, "other", 100.0, 100.0) is None
