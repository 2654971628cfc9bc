"""Before a run is billed: the preflight checks, then the cost estimate. Both are stored with the run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from distillery.aws.bedrock.models import FoundationModels
from distillery.aws.bucket import Bucket, run_key, training_output_prefix
from distillery.aws.clients import AccessDenied, Missing
from distillery.aws.day_costs import DayCosts
from distillery.aws.roles import Roles
from distillery.aws.stack_config import run_channel_config, stack_prices
from distillery.cost import preflight
from distillery.cost.estimate import Estimate, make_estimate
from distillery.cost.preflight import Check, Preflight
from distillery.dataset.validation import DatasetReport
from distillery.errors import BadInput, Permanent, Transient
from distillery.messages import usd
from distillery.runs.states import now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from distillery.cost.lifecycles import FoundationModel
    from distillery.runs.states import EstimatedCost, Run
    from distillery.settings import StartSettings
    from distillery.steps.run_steps import RunSteps

PREFLIGHT, ESTIMATE_KEY = "preflight.json", "estimate.json"
CALLED = frozenset({"baseline", "judge"})
"""Roles whose models the account itself must be able to call, so the preflight calls them."""
TRAINING_QUOTAS = frozenset({"quota of customization jobs", "quota of custom models"})


@dataclass(frozen=True)
class CostChecks:
    """Runs the preflight checks and estimates the cost of a run."""

    settings: StartSettings
    steps: RunSteps
    models: FoundationModels
    roles: Roles

    @classmethod
    def from_settings(
        cls,
        settings: StartSettings,
        steps: RunSteps,
        models: FoundationModels | None,
        roles: Roles | None,
    ) -> CostChecks:
        """Use the account's models and roles unless others are given."""
        return cls(settings, steps, models or FoundationModels(), roles or Roles())

    @property
    def model_ids(self) -> dict[str, str]:
        """The model ids of the stack, by role."""
        return self.settings.models

    def check(self, run: Run, *, trained: bool = False) -> dict[str, Any]:
        """Run the preflight checks and store their results. Returns lineage for the run table.

        With `trained` no job is started, so room for a job and a model is not checked. Raises BadInput with
        every failed check, or when the stack's models are not those of the approval or of the validation.
        """
        if run.models and run.models != self.model_ids:
            of = "of the approved estimate" if run.is_approved else "that the dataset was validated for"
            raise BadInput(
                f"The stack's models are no longer those {of}.",
                fix="Drop the dataset again for a new estimate.",
            )
        found: dict[str, FoundationModel] = {}
        quotas = [check for check in self._check_quotas() if not (trained and check.name in TRAINING_QUOTAS)]
        checks = [*self._check_models(found), *self._check_role(run.run_id), *quotas]
        result = Preflight(run_id=run.run_id, at=now(), checks=checks)
        self._store(run.run_id, PREFLIGHT, result)
        result.require()
        return {
            "models": self.model_ids,
            "served_by": preflight.served_by(found.values()),
            "warnings": result.warnings,
        }

    def estimate(self, run: Run, *, trained: bool = False) -> Estimate:
        """Estimate the cost of a run, without a training if its model is trained; store the estimate."""
        bucket = Bucket(self.settings.data_bucket)
        report = DatasetReport.model_validate_json(bucket.read(run_key(run.run_id, "validation.json")))
        estimate = make_estimate(
            report,
            run_channel_config(bucket, run.run_id),
            self.model_ids,
            stack_prices(bucket),
            trained=trained,
        )
        self._store(run.run_id, ESTIMATE_KEY, estimate)
        return estimate

    def within_day(self, run: Run, estimate: EstimatedCost) -> EstimatedCost:
        """Count the run among those that start today, by its high estimate.

        An estimate that would exceed the stack's limit for a day is returned with the reason for approval,
        and the run is not counted. A run that a person has approved is counted whatever the sum.
        """
        limit = self.settings.max_day_cost_usd
        costs = DayCosts(self.settings.claims_table)
        started = costs.add(now().date(), run.run_id, estimate.high, limit=None if run.is_approved else limit)
        if started is None:
            return estimate
        reason = (
            f"it may cost {usd(estimate.high)}, the runs started today may cost {usd(started)}, and the "
            f"stack's limit for a day is {usd(limit)}"
        )
        return estimate.model_copy(update={"approval_reason": reason})

    def _store(self, run_id: str, name: str, document: Preflight | Estimate) -> None:
        content = document.model_dump_json(indent=2).encode()
        Bucket(self.settings.data_bucket).put(run_key(run_id, name), content, "application/json")

    def _check_models(self, found: dict[str, FoundationModel]) -> Iterator[Check]:
        for role, model_id in self.model_ids.items():
            try:
                found[role] = self.models.get(model_id)
            except Missing:
                yield preflight.check_model(role, model_id, None, now())
            else:
                yield preflight.check_model(role, model_id, found[role], now())
                yield _known_or_unknown(
                    f"access to the {role} model", partial(self._model_access, role, model_id)
                )
        yield preflight.check_pair(self.settings.teacher_model, self.settings.student_model)

    def _model_access(self, role: str, model_id: str) -> Check:
        lacking = self.models.lacking(model_id)
        if not lacking and role in CALLED:
            try:
                self.models.try_out(model_id)
            except Permanent as error:
                lacking = [error.message.rstrip(".")]
            except Transient as error:
                return preflight.unknown(f"access to the {role} model", error.message)
        return preflight.check_model_access(role, model_id, lacking)

    def _check_role(self, run_id: str) -> Iterator[Check]:
        role = self.settings.bedrock_role_arn
        partition, account = role.split(":")[1], role.split(":")[4]
        region = self.settings.aws_region
        source = f"arn:{partition}:bedrock:{region}:{account}:model-customization-job/{run_id}"
        yield _known_or_unknown("role", partial(self._trust, role, account, source))
        bucket = f"arn:{partition}:s3:::{self.settings.data_bucket}"
        for action, key in (
            ("s3:GetObject", run_key(run_id, "train.jsonl")),
            ("s3:PutObject", f"{training_output_prefix(run_id)}metrics.csv"),
        ):
            yield _known_or_unknown("role", partial(self._access, role, action, f"{bucket}/{key}"))

    def _trust(self, role: str, account: str, source: str) -> Check:
        try:
            trust = self.roles.trust_policy(role)
        except Missing:
            return preflight.check_trust(role, None, account, source)
        return preflight.check_trust(role, trust, account, source)

    def _access(self, role: str, action: str, resource: str) -> Check:
        allowed = self.roles.is_allowed(role, action, resource)
        return preflight.check_access(role, action, resource, allowed=allowed)

    def _check_quotas(self) -> Iterator[Check]:
        running, deployments = self.steps.jobs.count_running(), self.steps.deployments
        yield preflight.check_quota(
            "customization jobs",
            running,
            self.settings.max_customization_jobs,
            parameter="MaxCustomizationJobs",
            passes=True,
        )
        yield preflight.check_quota(
            "custom models",
            # Each running job will create one.
            deployments.count_models() + running,
            self.settings.max_custom_models,
            parameter="MaxCustomModels",
            passes=False,
            fix="Delete custom models that are not needed",
        )
        yield preflight.check_quota(
            "custom model deployments",
            deployments.count(),
            self.settings.max_deployments,
            parameter="MaxDeployments",
            passes=False,
            fix="Delete deployments that are not needed",
        )


def _known_or_unknown(name: str, check: Callable[[], Check]) -> Check:
    """Return the result of a check, or "unknown" when the function's role may not make the check."""
    try:
        return check()
    except AccessDenied as error:
        return preflight.unknown(name, error.message)
