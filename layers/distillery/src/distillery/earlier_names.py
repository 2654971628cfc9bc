"""Names that version 0.1.0 wrote into files and tables, each with the name that replaced it.

Data under the earlier names is still read: the models of stored data call `renamed` before they validate.
Only this module may contain the earlier names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CHANNEL_CONFIG_FILE = "taxonomy.yaml"
"""Name of the channel configuration in `config/` and in the folder of a run or a generation."""
CHANNEL_WORD = "facet"
"""What earlier prompts called a channel; reasonings of labels made with them use the word."""

CHANNEL_CONFIG = {"facets": "channels"}
SPEC = {"families": "template_groups", "near_copies": "near_duplicates", "spare": "oversample"}
TEMPLATE_GROUP = {"facet": "channel"}
PLANNED = {"family": "template_group", "facet": "channel"}
RUN = {"quote": "estimate", "taxonomy_digest": "channel_config_digest"}
ESTIMATED_COST = {"waits_because": "approval_reason"}
APPROVAL = {"because": "reason"}
SCORES = {"rubric": "weight_score"}
COUNTS = {"mended": "fixed", "near_copies": "near_duplicates"}
"""Counts of a run and of a generation."""
CANDIDATES = {"base": "untuned"}
CANDIDATE_METRICS = {
    "rubric_mean": "weight_score_mean",
    "rubric_ci95": "weight_score_ci95",
    "rubric_counts": "weight_score_counts",
    "rubric_lead": "weight_score_difference",
    "rubric_lead_ci95": "weight_score_difference_ci95",
    "mae_per_facet": "mae_per_channel",
}
GATE_RULES = {"min_rubric": "min_weight_score", "max_rubric_loss": "max_weight_score_loss"}
RULE_NAMES = {"rubric": "weight_score", "rubric_loss": "weight_score_loss"}
WORST_QUERY = {"rubric": "weight_score"}
DATASET_REPORT = {"mended": "fixed"}
FINDING = {"mend": "fix"}
FINDING_CODES = {
    "unknown_facet": "unknown_channel",
    "missing_facet": "missing_channel",
    "thin_facet": "underrepresented_channel",
    "thin_length": "underrepresented_length",
    "thin_language": "underrepresented_language",
}
REPAIRS = {"missing_facet": "missing_channel"}


def renamed(content: Any, names: Mapping[str, str]) -> Any:
    """A mapping with its earlier keys under their present names; any other value is returned unchanged.

    Where a mapping contains both names, the value under the present name is used.
    """
    if not isinstance(content, Mapping) or names.keys().isdisjoint(content):
        return content
    kept = {key: value for key, value in content.items() if key not in names}
    return {names[key]: value for key, value in content.items() if key in names} | kept
