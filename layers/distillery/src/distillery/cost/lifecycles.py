"""Foundation models: their lifecycle, who may teach whom, and what takes the place of one that has ended.

The only place for what AWS documents of this (its pages on supported models for distillation and on model
lifecycles). Models are named by the ids that Bedrock takes for the purpose.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

MICRO, LITE, PRO, PREMIER = (f"amazon.nova-{size}-v1:0" for size in ("micro", "lite", "pro", "premier"))

STUDENTS_OF: dict[str, frozenset[str]] = {
    PRO: frozenset({f"{MICRO}:128k", f"{LITE}:300k"}),
    # Premier is reached through its profile only.
    f"us.{PREMIER}": frozenset({f"{MICRO}:128k", f"{LITE}:300k", f"{PRO}:300k"}),
}
"""Teacher -> students."""

ALTERNATIVES: dict[str, str] = {PREMIER: PRO}
"""Foundation model that has ended -> the documented one for the same purpose."""


@dataclass(frozen=True, slots=True)
class FoundationModel:
    """What Bedrock says of a model. `provider` is who serves it; a legacy model may have a day of its end."""

    model_id: str
    name: str
    provider: str
    legacy: bool = False
    end_of_life: datetime | None = None

    def ended(self, at: datetime) -> bool:
        """Whether its end of life has passed by then."""
        return self.end_of_life is not None and at >= self.end_of_life


def teachers_of(student: str) -> list[str]:
    """The documented teachers of a student, by the ids they are given to a job with."""
    return [teacher for teacher, students in STUDENTS_OF.items() if student in students]
