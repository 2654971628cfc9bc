"""A preview of the queries that a spec generates, made without a stack."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from cli.console import table
from distillery.generation.planner import exhausted_cases, plan, teacher_query_counts
from distillery.generation.spec import Hard

if TYPE_CHECKING:
    from rich.table import Table

    from distillery.generation.spec import Spec
    from distillery.task.channels import ChannelConfig


def preview(spec: Spec, channel_config: ChannelConfig, count: int) -> dict[str, Any]:
    """The first `count` queries of the plan, and how many queries it has for each channel and hard case.

    `to_invent` is the number of queries that the teacher would write; the plan does not include them.
    """
    planned = plan(spec, channel_config)
    channels, hard = Counter(one.channel for one in planned), Counter(one.hard for one in planned)
    return {
        "planned": len(planned),
        "to_invent": sum(teacher_query_counts(spec).values()),
        "channels": {channel: channels[channel] for channel in spec.mix if channels[channel]},
        "hard": {case.value: hard[case.value] for case in Hard if hard[case.value]},
        "remarks": exhausted_cases(planned, spec),
        "queries": [
            {
                "query": one.query,
                "template_group": one.template_group,
                "channel": one.channel,
                "hard": one.hard,
            }
            for one in planned[:count]
        ],
    }


def preview_table(content: dict[str, Any]) -> Table:
    """The queries of a preview."""
    rows = table("query", "channel", "template group", "hard case", folded=["query"])
    for one in content["queries"]:
        rows.add_row(escape(one["query"]), one["channel"], one["template_group"], one["hard"] or "")
    return rows


def preview_summary(content: dict[str, Any]) -> str:
    """The counts of a preview in one line."""
    channels, hard = (
        ", ".join(f"{count} {name}" for name, count in content[part].items()) for part in ("channels", "hard")
    )
    cases = f" Hard cases among them: {hard}." if hard else ""
    invented = f", {content['to_invent']} more to be written by the teacher" if content["to_invent"] else ""
    summary = f"{content['planned']} queries planned{invented}: {channels}.{cases}"
    return " ".join([summary, *content["remarks"]])
