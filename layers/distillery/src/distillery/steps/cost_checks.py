"""Between a validated dataset and the spend: the preflight, then the estimate; both are kept with the run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from distillery.aws.bedrock.models import FoundationModels
from distillery.aws.bucket import Bucket, run_key, training_output_prefix
from distillery.aws.clients import AccessDenied, Missing
from distillery.aws.roles import Roles
from distillery.aws.stack_config import run_channel_config, stack_prices
from distillery.cost import preflight
from distillery.cost.estimate import Estimate, make_estimate
from distillery.cost.preflight import Check, Preflight
from distillery.dataset.validation import DatasetReport
from distillery.errors import BadInput
from distillery.runs.states import now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from distillery.cost.lifecycles import FoundationModel
    from distillery.runs.states import Run
    from distillery.settings import StartSettings
    from distillery.steps.run_steps import Pipeline

PREFLIGHT, ESTIMATE_KEY = "preflight.json", "estimate.json"


@dataclass(frozen=True)
class Spending:
    """Asks what has to be known before a run is paid for."""

    settings: StartSettings
    pipeline: Pipeline
    models: FoundationModels
    roles: Roles

    @classmethod
    def of(
        cls,
        settings: StartSettings,
        pipeline: Pipeline,
        models: FoundationModels | None,
        roles: Roles | None,
    ) -> Spending:
        """With the account's own models and roles unless others are given."""
        return cls(settings, pipeline, models or FoundationModels(), roles or Roles())

    @property
    def wanted(self) -> dict[str, str]:
        """The models' ids by role."""
        return {
            "teacher": self.settings.teacher_model,
            "student": self.settings.student_model,
            "baseline": self.settings.baseline_model,
            "judge": self.settings.judge_model,
        }

    def check(self, run: Run) -> dict[str, Any]:
        """Make the preflight and keep it; returns its lineage, raises BadInput with every refusal."""
        if run.is_approved and run.models != self.wanted:
            raise BadInput(
                "The stack's models are no longer those of the estimate that was approved.",
                fix="Drop the dataset again for a new estimate.",
            )
        found: dict[str, FoundationModel] = {}
        checks = [*self._check_models(found), *self._check_role(run.run_id), *self._check_quotas()]
        done = Preflight(run_id=run.run_id, at=now(), checks=checks)
        self._keep(run.run_id, PREFLIGHT, done)
        done.require()
        return {
            "models": self.wanted,
            "served_by": preflight.served_by(found.values()),
            "warnings": done.warnings,
        }

    def estimate(self, run: Run) -> Estimate:
        """Make the estimate and keep it."""
        bucket = Bucket(self.settings.data_bucket)
        report = DatasetReport.model_validate_json(bucket.read(run_key(run.run_id, "validation.json")))
        made = make_estimate(
            report, run_channel_config(bucket, run.run_id), self.wanted, stack_prices(bucket)
        )
        self._keep(run.run_id, ESTIMATE_KEY, made)
        return made

    def _keep(self, run_id: str, name: str, document: Preflight | Estimate) -> None:
        content = document.model_dump_json(indent=2).encode()
        Bucket(self.settings.data_bucket).put(run_key(run_id, name), content, "application/json")

    def _check_models(self, found: dict[str, FoundationModel]) -> Iterator[Check]:
        for role, model_id in self.wanted.items():
            try:
                found[role] = self.models.get(model_id)
            except Missing:
                yield preflight.check_model(role, model_id, None, now())
            else:
                yield preflight.check_model(role, model_id, found[role], now())
        yield preflight.check_pair(self.settings.teacher_model, self.settings.student_model)

    def _check_role(self, run_id: str) -> Iterator[Check]:
        role = self.settings.bedrock_role_arn
        partition, account = role.split(":")[1], role.split(":")[4]
        region = self.settings.aws_region
        source = f"arn:{partition}:bedrock:{region}:{account}:model-customization-job/{run_id}"
        yield _asked("role", partial(self._trust, role, account, source))
        bucket = f"arn:{partition}:s3:::{self.settings.data_bucket}"
        for action, key in (
            ("s3:GetObject", run_key(run_id, "train.jsonl")),
            ("s3:PutObject", f"{training_output_prefix(run_id)}metrics.csv"),
        ):
            yield _asked("role", partial(self._access, role, action, f"{bucket}/{key}"))

    def _trust(self, role: str, account: str, source: str) -> Check:
        try:
            trust = self.roles.trust_policy(role)
        except Missing:
            return preflight.check_trust(role, None, account, source)
        return preflight.check_trust(role, trust, account, source)

    def _access(self, role: str, action: str, resource: str) -> Check:
        allowed = self.roles.may(role, action, resource)
        return preflight.check_access(role, action, resource, allowed=allowed)

    def _check_quotas(self) -> Iterator[Check]:
        running, deployments = self.pipeline.jobs.count_running(), self.pipeline.deployments
        yield preflight.check_quota(
            "customization jobs",
            running,
            self.settings.max_customization_jobs,
            parameter="MaxCustomizationJobs",
            passes=True,
        )
        yield preflight.check_quota(
            "custom models",
            # Each running job is about to make one.
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


def _asked(name: str, ask: Callable[[], Check]) -> Check:
    """A check that the account may keep from the function: then it is told as unknown."""
    try:
        return ask()
    except AccessDenied as error:
        return preflight.unknown(name, error.message)
