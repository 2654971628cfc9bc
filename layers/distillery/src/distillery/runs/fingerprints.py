"""What determines a trained model, and what determines its verdict.

Two runs with the same training fingerprint train the same model, so the second may use the model of the
first. Two runs that also have the same verdict fingerprint are duplicates.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def training_fingerprint(content: str, models: Mapping[str, str], channels: Mapping[str, str]) -> str:
    """The digest of a dataset's content, teacher, student, and the digests of channels and prompts."""
    return _digest(
        {"content": content, "teacher": models["teacher"], "student": models["student"], **channels}
    )


def verdict_fingerprint(training: str, models: Mapping[str, str], gate: Mapping[str, float]) -> str:
    """The digest of a training fingerprint, baseline, judge, and the rules of the quality gate."""
    return _digest({"training": training, "baseline": models["baseline"], "judge": models["judge"], **gate})


def _digest(parts: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
