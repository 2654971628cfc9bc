"""Writes the generated tables of README.md and docs/*.md.

A table stands between `<!-- table: NAME -->` and `<!-- end -->`. `python -m tools.docs_tables` writes every
table again; a test checks that the committed tables are the ones that the code gives.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

from distillery.dataset.findings import CODES
from tools.translate import ROOT, source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
_TABLE = re.compile(r"(<!-- table: (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def findings() -> str:
    """Every finding code with its severity, meaning and fix."""
    rows = (
        (
            f"`{code}`",
            kind.severity,
            kind.meaning,
            f"Fixed automatically. {kind.fix}" if kind.fixed else kind.fix,
        )
        for code, kind in CODES.items()
    )
    return _table(("Code", "Severity", "Meaning", "What to do"), rows)


def parameters() -> str:
    """Every parameter of the template with its default and description."""
    rows = (
        (f"`{name}`", _default(content), _allowed(content), content["Description"])
        for name, content in source()["Parameters"].items()
    )
    return _table(("Parameter", "Default", "Allowed", "Description"), rows)


def outputs() -> str:
    """Every output of the template."""
    rows = ((f"`{name}`", content["Description"]) for name, content in source()["Outputs"].items())
    return _table(("Output", "Description"), rows)


def alarms() -> str:
    """Every alarm of the template, what it watches, and its description."""
    rows = (
        (
            f"`{name}`",
            f"`{content['Properties']['MetricName']}`",
            content["Properties"]["AlarmDescription"],
        )
        for name, content in source()["Resources"].items()
        if content["Type"] == "AWS::CloudWatch::Alarm"
    )
    return _table(("Alarm", "Metric", "What happened, and what to do first"), rows)


def retained() -> str:
    """Every resource that outlives the stack, with its logical id."""
    rows = (
        (f"`{name}`", content["Type"].removeprefix("AWS::"))
        for name, content in source()["Resources"].items()
        if content.get("DeletionPolicy", "").startswith("Retain")
    )
    return _table(("Resource", "Type"), rows)


TABLES: dict[str, Callable[[], str]] = {
    "findings": findings,
    "parameters": parameters,
    "outputs": outputs,
    "alarms": alarms,
    "retained": retained,
}


def with_tables(text: str) -> str:
    """A page with every table as the code gives it now; raises KeyError for a table that nothing makes."""
    return _TABLE.sub(lambda found: f"{found[1]}{TABLES[found['name']]()}{found[3]}", text)


def main() -> int:
    """Rewrite the pages; prints those that changed."""
    for page in PAGES:
        before = page.read_text("utf-8")
        after = with_tables(before)
        if after != before:
            page.write_text(after, "utf-8")
            sys.stdout.write(f"{page.relative_to(ROOT)}\n")
    return 0


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def _default(parameter: dict[str, Any]) -> str:
    default = str(parameter.get("Default", ""))
    return f"`{default}`" if default else ""


def _allowed(parameter: dict[str, Any]) -> str:
    if "AllowedValues" in parameter:
        return ", ".join(f"`{value}`" for value in parameter["AllowedValues"])
    low, high = parameter.get("MinValue"), parameter.get("MaxValue")
    if low is not None and high is not None:
        return f"{low} to {high}"
    if low is not None:
        return f"{low} or more"
    return f"{high} or less" if high is not None else ""


if __name__ == "__main__":
    sys.exit(main())
