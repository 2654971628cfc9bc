"""Foundation models: lifecycle, pairs of teacher and student, and replacements after the end of life (EOL).

The facts are from AWS's pages on supported models for distillation and on model lifecycles, and are kept only
here. Models are named by the ids that Bedrock accepts for the purpose.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

MICRO, LITE, PRO, PREMIER = (f"amazon.nova-{size}-v1:0" for size in ("micro", "lite", "pro", "premier"))

STUDENTS_OF: dict[str, frozenset[str]] = {
    PRO: frozenset({f"{MICRO}:128k", f"{LITE}:300k"}),
    # Premier can be called only through its inference profile.
    f"us.{PREMIER}": frozenset({f"{MICRO}:128k", f"{LITE}:300k", f"{PRO}:300k"}),
}
"""Teacher -> the students that AWS documents for it."""

ALTERNATIVES: dict[str, str] = {PREMIER: PRO}
"""Foundation model past its EOL -> the model that AWS documents for the same purpose."""


@dataclass(frozen=True, slots=True)
class FoundationModel:
    """A model as Bedrock describes it; a legacy model may have a published end of life."""

    model_id: str
    name: str
    provider: str
    legacy: bool = False
    end_of_life: datetime | None = None

    def ended(self, at: datetime) -> bool:
        """Whether the model is past its end of life at that time."""
        return self.end_of_life is not None and at >= self.end_of_life


def teachers_of(student: str) -> list[str]:
    """The documented teachers of a student, by the ids that a customization job takes."""
    return [teacher for teacher, students in STUDENTS_OF.items() if student in students]
