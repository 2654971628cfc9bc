"""Queries that occur more than once."""

from __future__ import annotations

from tests.unit.dataset.datasets import findings_of, good_lines, line, validate


def test_repeated_queries_are_kept_and_counted() -> None:
    content = good_lines(200) + [line("Query  NUMBER 3")] * 2
    done = validate(content)
    assert done.report.valid
    assert (done.report.accepted, done.report.distinct) == (202, 200)
    assert done.codes == {"repeated_query"}
    (finding,) = findings_of(done.report, "repeated_query")
    assert finding.message == "2 records repeat the query of another record; all are kept."
