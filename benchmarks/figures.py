"""What a benchmark answers: figures for the table, with their targets, and the measurements behind them."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. `value` is in `unit`; a target is a bound that it must keep to."""

    name: str
    value: float
    unit: str
    at_most: float | None = None
    at_least: float | None = None

    @property
    def target(self) -> str:
        """The target in words; empty where there is none."""
        bounds = [f"at most {self.at_most:g}"] if self.at_most is not None else []
        bounds += [f"at least {self.at_least:g}"] if self.at_least is not None else []
        return f"{' and '.join(bounds)} {self.unit}" if bounds else ""

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        if self.at_most is None and self.at_least is None:
            return None
        return (self.at_most is None or self.value <= self.at_most) and (
            self.at_least is None or self.value >= self.at_least
        )


@dataclass(frozen=True, slots=True)
class Measured:
    """The answer of one benchmark; `detail` is anything JSON can hold."""

    figures: list[Figure]
    detail: dict[str, Any]

    def dumps(self) -> str:
        """One JSON object."""
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def loads(cls, text: str) -> Measured:
        """The object that `dumps` wrote."""
        content = json.loads(text)
        return cls([Figure(**figure) for figure in content["figures"]], content["detail"])


def answer(measure: Callable[[bool], Measured], title: str | None) -> None:
    """A benchmark's own command line: `--quick` measures less often; JSON on standard output."""
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--quick", action="store_true", help="measure less often, and leave out what is long")
    print(measure(parser.parse_args().quick).dumps())
