"""The preflight checks, made before anything of a run is billed: preflight.json.

Each check has a verdict and a sentence. Only `refused` stops the run. `unknown` is a fact that the function
is not permitted to read, `waits` a condition that ends by itself. In both cases the run continues and the
check is reported, because Bedrock itself refuses a job that cannot run.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal

from pydantic import AwareDatetime, BaseModel

from distillery.cost.lifecycles import ALTERNATIVES, STUDENTS_OF, teachers_of
from distillery.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from distillery.cost.lifecycles import FoundationModel

SERVICE = "bedrock.amazonaws.com"
ASSUME = "sts:AssumeRole"
PARAMETERS = {
    "teacher": "TeacherModelId",
    "student": "StudentModelId",
    "baseline": "BaselineModelId",
    "judge": "JudgeModelId",
}
"""The stack's parameter for the model of each role."""


class Check(BaseModel):
    """One check; `name` says what was checked."""

    name: str
    verdict: Literal["met", "warning", "waits", "unknown", "refused"]
    sentence: str


class Preflight(BaseModel):
    """The content of preflight.json."""

    run_id: str
    at: AwareDatetime
    checks: list[Check]

    @property
    def warnings(self) -> list[str]:
        """The sentences that the user should read although the run continues."""
        return [check.sentence for check in self.checks if check.verdict in {"warning", "unknown"}]

    def require(self) -> None:
        """Raise BadInput with the sentences of all refused checks, if there are any."""
        refused = [check.sentence for check in self.checks if check.verdict == "refused"]
        if refused:
            raise BadInput(f"Nothing was started. {' '.join(refused)}")


def check_model(role: str, model_id: str, model: FoundationModel | None, at: datetime) -> Check:
    """Whether a model is available, and for how long; None is a model that the region does not have."""
    name, parameter = f"{role} model", PARAMETERS[role]
    if model is None:
        sentence = f"The {role} {model_id} does not exist in this region. {_replacement(role, model_id)}"
        return Check(name=name, verdict="refused", sentence=sentence)
    if model.ended(at):
        ended = f"The {role} {model_id} reached its end of life on {model.end_of_life:%F}."
        return Check(name=name, verdict="refused", sentence=f"{ended} {_replacement(role, model_id)}")
    if model.legacy:
        eol = f"on {model.end_of_life:%F}" if model.end_of_life else "on a date that is not published"
        sentence = (
            f"The {role} {model_id} is a legacy model and reaches its end of life {eol}. Bedrock refuses it "
            f"to accounts that have not used it recently. Set {parameter} to another model before then."
        )
        return Check(name=name, verdict="warning", sentence=sentence)
    return Check(name=name, verdict="met", sentence=f"The {role} {model_id} is active.")


def check_model_access(role: str, model_id: str, lacking: Sequence[str]) -> Check:
    """Whether the account may use a model; `lacking` says in words what is missing."""
    name = f"access to the {role} model"
    if not lacking:
        return Check(name=name, verdict="met", sentence=f"The account may use the {role} {model_id}.")
    sentence = (
        f"The account cannot use the {role} {model_id}: {', and '.join(lacking)}. Complete the access to the "
        "model as an administrator (docs/operations.md, Model access), and drop the dataset again."
    )
    return Check(name=name, verdict="refused", sentence=sentence)


def _replacement(role: str, model_id: str) -> str:
    model = next((model for model in ALTERNATIVES if model_id.endswith(model)), None)
    documented = f" AWS documents {ALTERNATIVES[model]} for the same purpose." if model else ""
    return f"Set the stack's parameter {PARAMETERS[role]} to another model.{documented}"


def check_pair(teacher: str, student: str) -> Check:
    """Whether AWS documents that this teacher can teach this student."""
    if student in STUDENTS_OF.get(teacher, frozenset()):
        return Check(name="pair", verdict="met", sentence=f"{teacher} is a documented teacher of {student}.")
    teachers = " or ".join(teachers_of(student))
    fix = (
        f"Set TeacherModelId to {teachers}"
        if teachers
        else "Set StudentModelId to a model that has a documented teacher"
    )
    sentence = f"{teacher} is not a documented teacher of {student}. {fix}."
    return Check(name="pair", verdict="refused", sentence=sentence)


def check_trust(role_arn: str, trust: Mapping[str, Any] | None, account: str, source_arn: str) -> Check:
    """Whether Bedrock may assume the role for a job of this account; None is a role that does not exist."""
    if trust is None:
        sentence = f"The role {role_arn} does not exist. Deploy the stack again."
        return Check(name="role", verdict="refused", sentence=sentence)
    if trusts(trust, account, source_arn):
        return Check(name="role", verdict="met", sentence=f"Bedrock may assume the role {role_arn}.")
    sentence = (
        f"The trust policy of {role_arn} does not let {SERVICE} assume it for customization jobs of this "
        "account. Deploy the stack again, or fix the policy."
    )
    return Check(name="role", verdict="refused", sentence=sentence)


def trusts(trust: Mapping[str, Any], account: str, source_arn: str) -> bool:
    """Whether a trust policy lets Bedrock assume its role on behalf of a job.

    Conditions on the account and on the job are evaluated. Other conditions count as met: only IAM can
    evaluate them.
    """
    found = [
        statement["Effect"]
        for statement in _listed(trust.get("Statement", []))
        if _concerns_bedrock(statement)
        and _conditions_hold(statement.get("Condition", {}), account, source_arn)
    ]
    return "Allow" in found and "Deny" not in found


def _concerns_bedrock(statement: Mapping[str, Any]) -> bool:
    principal = statement.get("Principal")
    services = ["*"] if principal == "*" else _listed((principal or {}).get("Service", []))
    actions = _listed(statement.get("Action", []))
    return bool({"*", SERVICE} & set(services)) and any(fnmatchcase(ASSUME, action) for action in actions)


def _conditions_hold(condition: Mapping[str, Mapping[str, Any]], account: str, source_arn: str) -> bool:
    known = {"aws:sourceaccount": account, "aws:sourcearn": source_arn}
    for operator, keys in condition.items():
        negated = "Not" in operator
        for key, patterns in keys.items():
            value = known.get(key.lower())
            if value is None:
                continue
            matched = any(fnmatchcase(value, str(pattern)) for pattern in _listed(patterns))
            if matched is negated:
                return False
    return True


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def check_access(role_arn: str, action: str, resource: str, *, allowed: bool) -> Check:
    """Whether Bedrock's role has a permission on the bucket that a job needs."""
    name = f"{action} by Bedrock's role"
    if allowed:
        return Check(name=name, verdict="met", sentence=f"The role {role_arn} may {action} on {resource}.")
    sentence = (
        f"The role {role_arn} may not {action} on {resource}. Deploy the stack again, or fix its policy."
    )
    return Check(name=name, verdict="refused", sentence=sentence)


def check_quota(name: str, used: int, most: int, *, parameter: str, passes: bool, fix: str = "") -> Check:
    """Whether the quota leaves room for one more.

    `passes` means that room appears without a change, as running jobs end: then an exhausted quota makes the
    run wait instead of refusing it.
    """
    quota = f"quota of {name}"
    if used < most:
        return Check(name=quota, verdict="met", sentence=f"{used} of {most} {name} are used.")
    if passes:
        sentence = f"{used} of {most} {name} are used; the run waits until one of them ends."
        return Check(name=quota, verdict="waits", sentence=sentence)
    sentence = (
        f"{used} of {most} {name} are used. {fix}, or request a higher quota and set {parameter} to it."
    )
    return Check(name=quota, verdict="refused", sentence=sentence)


def unknown(name: str, cause: str) -> Check:
    """A check that could not be made."""
    return Check(name=name, verdict="unknown", sentence=f"The {name} could not be checked: {cause}")


def served_by(models: Iterable[FoundationModel]) -> list[str]:
    """The providers of the models, each once, sorted."""
    return sorted({model.provider for model in models})
