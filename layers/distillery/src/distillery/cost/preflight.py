"""What has to hold before a run is paid for: preflight.json. Every check has a verdict and a sentence.

Only `refused` stops the run. A fact that the function may not look up is `unknown`, and one that passes by
itself is `waits`; both are told and the run goes on, because Bedrock refuses in time what cannot be.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal

from pydantic import AwareDatetime, BaseModel

from distillery.cost.lifecycles import ALTERNATIVES, STUDENTS_OF, teachers_of
from distillery.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
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
"""The stack's parameter that names the model of a role."""


class Check(BaseModel):
    """One check. `name` says what was looked at."""

    name: str
    verdict: Literal["met", "warning", "waits", "unknown", "refused"]
    sentence: str


class Preflight(BaseModel):
    """preflight.json."""

    run_id: str
    at: AwareDatetime
    checks: list[Check]

    @property
    def warnings(self) -> list[str]:
        """What a person should know although the run goes on."""
        return [check.sentence for check in self.checks if check.verdict in {"warning", "unknown"}]

    def require(self) -> None:
        """Raise BadInput with every refusal, if there is one."""
        refused = [check.sentence for check in self.checks if check.verdict == "refused"]
        if refused:
            raise BadInput(f"Nothing was started. {' '.join(refused)}")


def check_model(role: str, model_id: str, model: FoundationModel | None, at: datetime) -> Check:
    """Whether a model is there, and for how long; None is one that Bedrock does not know here."""
    name, parameter = f"{role} model", PARAMETERS[role]
    if model is None:
        sentence = f"The {role} {model_id} does not exist in this region. {_instead(role, model_id)}"
        return Check(name=name, verdict="refused", sentence=sentence)
    if model.ended(at):
        ended = f"The {role} {model_id} reached its end of life on {model.end_of_life:%F}."
        return Check(name=name, verdict="refused", sentence=f"{ended} {_instead(role, model_id)}")
    if model.legacy:
        until = f"ends on {model.end_of_life:%F}" if model.end_of_life else "has no published end"
        sentence = (
            f"The {role} {model_id} is a legacy model and {until}: Bedrock refuses it to whoever has not "
            f"used it lately. Set {parameter} to another model before then."
        )
        return Check(name=name, verdict="warning", sentence=sentence)
    return Check(name=name, verdict="met", sentence=f"The {role} {model_id} is active.")


def _instead(role: str, model_id: str) -> str:
    model = next((model for model in ALTERNATIVES if model_id.endswith(model)), None)
    documented = f" AWS names {ALTERNATIVES[model]} for it." if model else ""
    return f"Set the stack's parameter {PARAMETERS[role]} to another model.{documented}"


def check_pair(teacher: str, student: str) -> Check:
    """Whether AWS documents that this teacher can teach this student."""
    if student in STUDENTS_OF.get(teacher, frozenset()):
        return Check(name="pair", verdict="met", sentence=f"{teacher} is a documented teacher of {student}.")
    others = " or ".join(teachers_of(student))
    fix = f"set TeacherModelId to {others}" if others else "set StudentModelId to a model that can be taught"
    sentence = f"{teacher} is no documented teacher of {student}: {fix}."
    return Check(name="pair", verdict="refused", sentence=sentence)


def check_trust(role_arn: str, trust: Mapping[str, Any] | None, account: str, source_arn: str) -> Check:
    """Whether Bedrock may assume the role for a job of this account; None is a role that is not there."""
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

    Conditions on the account and the job are worked out; others are taken as met, since only IAM knows.
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
    """Whether Bedrock's role may do what a job needs of the bucket."""
    name = f"{action} by Bedrock's role"
    if allowed:
        return Check(name=name, verdict="met", sentence=f"The role {role_arn} may {action} on {resource}.")
    sentence = (
        f"The role {role_arn} may not {action} on {resource}. Deploy the stack again, or fix its policy."
    )
    return Check(name=name, verdict="refused", sentence=sentence)


def check_quota(name: str, used: int, most: int, *, parameter: str, passes: bool, fix: str = "") -> Check:
    """Whether one more fits; where room comes by itself (`passes`) a full house is waited for."""
    quota = f"quota of {name}"
    if used < most:
        return Check(name=quota, verdict="met", sentence=f"{used} of {most} {name} are used.")
    if passes:
        sentence = f"{used} of {most} {name} are used; the run waits until one has ended."
        return Check(name=quota, verdict="waits", sentence=sentence)
    sentence = f"{used} of {most} {name} are used. {fix}, or have the quota raised and set {parameter}."
    return Check(name=quota, verdict="refused", sentence=sentence)


def unknown(name: str, cause: str) -> Check:
    """A check that could not be made."""
    return Check(
        name=name, verdict="unknown", sentence=f"It is not known whether the {name} will do: {cause}"
    )


def served_by(models: Iterable[FoundationModel]) -> list[str]:
    """Who serves the models."""
    return sorted({model.provider for model in models})
