"""The run table (DynamoDB): the state of each run and its lineage.

Every move is a conditional write from the states it expects. When several events ask for the same move, one
makes it and the others read the result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from distillery.aws import clients
from distillery.aws.tables import Entries
from distillery.runs.names import dataset_name
from distillery.runs.states import MOVES, Move, Run, Source, State, now

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mypy_boto3_dynamodb import DynamoDBClient

    from distillery.runs.states import Approval


class RunStore:
    """The run table."""

    def __init__(self, table: str, client: DynamoDBClient | None = None) -> None:
        self._entries = Entries(table, "run_id", client)

    def receive(self, run_id: str, source: Source) -> Run:
        """Create a run in RECEIVED, or return the one that an earlier event created."""
        opened = Move(state=State.RECEIVED, at=now(), step="validate_dataset")
        self._entries.open(
            {
                "run_id": run_id,
                "state": State.RECEIVED,
                "dataset": dataset_name(source.key),
                "source": source.model_dump(),
                "history": [opened.model_dump(mode="json")],
                "updated_at": opened.at.isoformat(),
            }
        )
        return self.get(run_id)

    def find(self, run_id: str) -> Run | None:
        """Return the run (a consistent read), or None when it does not exist."""
        return _run(self._entries.find(run_id))

    def get(self, run_id: str) -> Run:
        """Return the run (a consistent read). Raises Missing when it does not exist."""
        run = self.find(run_id)
        if run is None:
            raise clients.Missing(f"The run table has no run {run_id}.")
        return run

    def move(
        self, run_id: str, to: State, *, step: str, since: State | None = None, **lineage: Any
    ) -> Run | None:
        """Move a run to the state `to` and add lineage. Returns None when its state does not allow the move.

        With `since`, only that state allows it.
        """
        expected = {since} if since else {state for state in State if to in MOVES[state]}
        return self._move(run_id, to, step, lineage, expected)

    def decide(self, run_id: str, approval: Approval, *, step: str, **lineage: Any) -> Run | None:
        """Record the approval or rejection of a run that waits for approval. A rejection ends the run.

        Returns None when the run has a decision already or does not wait for one.
        """
        lineage = {"approval": approval.model_dump(mode="json"), **lineage}
        waiting = {State.AWAITING_APPROVAL}
        if approval.decision == "rejected":
            return self._move(run_id, State.REJECTED, step, lineage, waiting, once="approval")
        values = {"updated_at": now().isoformat(), **lineage}
        return _run(self._entries.note(run_id, expected=waiting, once="approval", **values))

    def _move(
        self,
        run_id: str,
        to: State,
        step: str,
        lineage: Mapping[str, Any],
        expected: Iterable[State],
        *,
        once: str = "",
    ) -> Run | None:
        at = now()
        entry = Move(state=to, at=at, step=step).model_dump(mode="json")
        values = {"state": to, "updated_at": at.isoformat(), **lineage}
        return _run(self._entries.move(run_id, expected, entry, once=once, **values))

    def note(self, run_id: str, during: State | None = None, **lineage: Any) -> Run | None:
        """Add lineage without a move. Returns None when the run does not exist.

        With `during`, the run must be in that state; otherwise the lineage is not added.
        """
        expected = {during} if during else set[State]()
        return _run(self._entries.note(run_id, expected=expected, updated_at=now().isoformat(), **lineage))


def _run(content: dict[str, Any] | None) -> Run | None:
    return Run.model_validate(content) if content is not None else None
