"""The result of a benchmark: figures for the table with their targets, and the detailed measurements."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the table. `value` is in `unit`; `at_most` and `at_least` are its targets."""

    name: str
    value: float
    unit: str
    at_most: float | None = None
    at_least: float | None = None

    @property
    def target(self) -> str:
        """The target as text, or an empty string."""
        bounds = [f"at most {self.at_most:g}"] if self.at_most is not None else []
        bounds += [f"at least {self.at_least:g}"] if self.at_least is not None else []
        return f"{' and '.join(bounds)} {self.unit}" if bounds else ""

    @property
    def met(self) -> bool | None:
        """Whether the target is met, or None without a target."""
        if self.at_most is None and self.at_least is None:
            return None
        return (self.at_most is None or self.value <= self.at_most) and (
            self.at_least is None or self.value >= self.at_least
        )


@dataclass(frozen=True, slots=True)
class Measured:
    """The result of one benchmark. `detail` holds JSON values."""

    figures: list[Figure]
    detail: dict[str, Any]

    def dumps(self) -> str:
        """Return the result as a JSON object."""
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def loads(cls, text: str) -> Measured:
        """Parse the output of `dumps`."""
        content = json.loads(text)
        return cls([Figure(**figure) for figure in content["figures"]], content["detail"])


def answer(measure: Callable[[bool], Measured], title: str | None) -> None:
    """Run a benchmark as a command: `--quick` measures less often. Prints JSON on standard output."""
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--quick", action="store_true", help="measure less often and skip long measurements")
    print(measure(parser.parse_args().quick).dumps())
