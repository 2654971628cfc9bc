"""The model that an earlier run trained with the same data, teacher, student, channels and prompts.

A run that fails after its training has paid for a model. The next run with the same training fingerprint
adopts that model: it is deployed and evaluated, and no job is started.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from distillery.aws.bucket import Bucket, run_key
from distillery.aws.clients import Missing
from distillery.dataset.validation import DatasetReport
from distillery.errors import BadInput, Transient
from distillery.runs.states import UNFINISHED

if TYPE_CHECKING:
    from distillery.aws.content_owners import ContentOwners
    from distillery.runs.states import Run
    from distillery.steps.run_steps import RunSteps

VALIDATION = "validation.json"
SPLIT = ("train.jsonl", "holdout.jsonl")


@dataclass(frozen=True)
class TrainedModels:
    """Finds the trained model that a run may use, and makes a run the owner of its training."""

    owners: ContentOwners
    steps: RunSteps
    bucket: Bucket

    def find(self, run: Run) -> Run | None:
        """Return the run whose model this run adopts, or None when the run trains its own.

        Raises BadInput when the run was approved for the cost without a training and the model is gone.
        """
        owner = self.owners.find(_key(run)) if run.training_fingerprint and not run.again else None
        trained = self._usable(owner) if owner and owner != run.run_id else None
        if run.adopted_from and trained is None:
            raise BadInput(
                f"The model that run {run.adopted_from} trained no longer exists, and the approved estimate "
                "does not include a training.",
                fix="Drop the dataset again for a new estimate.",
            )
        return trained

    def adopt(self, run: Run, trained: Run) -> dict[str, object]:
        """Give the run the split that the model was trained with. Returns lineage for the run table.

        The run's own split may hold out other queries, and the model may have been trained on those.
        """
        for name in SPLIT:
            self.bucket.copy(run_key(trained.run_id, name), run_key(run.run_id, name))
        counts = {name: trained.counts.get(name, 0) for name in ("train", "holdout")}
        key = run_key(run.run_id, VALIDATION)
        report = DatasetReport.model_validate_json(self.bucket.read(key)).model_copy(update=counts)
        self.bucket.put(key, report.model_dump_json(indent=2).encode(), "application/json")
        return {
            "adopted_from": trained.run_id,
            "job_arn": trained.job_arn,
            "model_arn": trained.model_arn,
            "counts": {**run.counts, **counts},
        }

    def own(self, run: Run) -> None:
        """Make the run the one that trains. Raises BadInput while another run trains the same model."""
        if run.training_fingerprint is None:  # validated by an earlier version of the stack
            return
        key = _key(run)
        owner = self.owners.acquire(key, run.run_id)
        if owner == run.run_id:
            return
        first = self.steps.run_store.find(owner)
        if first is not None and first.state in UNFINISHED and first.model_arn is None and not run.again:
            raise BadInput(
                f"Run {owner} is training the same model: data, teacher, student, channels and prompts are "
                "equal.",
                fix="Drop the dataset again when that run has ended, and the new run uses its model.",
            )
        if self.owners.acquire(key, run.run_id, instead_of=owner) != run.run_id:
            raise Transient(f"Another run took over the training of run {owner} at the same time.")

    def _usable(self, owner: str) -> Run | None:
        run = self.steps.run_store.find(owner)
        if run is None or run.model_arn is None:
            return None
        try:
            active = self.steps.deployments.model_status(run.model_arn) == "Active"
        except Missing:
            return None
        split = all(self.bucket.has(run_key(owner, name)) for name in SPLIT)
        return run if active and split else None


def _key(run: Run) -> str:
    return f"training/{run.training_fingerprint}"
