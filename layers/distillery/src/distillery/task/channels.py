"""The facets a query is routed over, and what a labeller should know of them.

Everything that depends on facets (prompts, checks, metrics, charts, the student) takes a `Taxonomy`;
no facet is named in code.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources
from typing import Annotated, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from distillery.yaml_loader import parse_yaml

SUM_TOLERANCE = 1e-6
REASONING = "reasoning"
"""The one key of an answer that is no facet."""
_MEND = "The README shows the form of the file."

FacetName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]


class Facet(BaseModel):
    """One retrieval channel."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: FacetName
    description: str
    cues: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()


class Taxonomy(BaseModel):
    """The facets, the weights to fall back on, and the grid that labels are given on (0.1: tenths)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    subject: str = Field(pattern=r"^\w[\w ,'-]{0,99}$")
    facets: tuple[Facet, ...] = Field(min_length=2, max_length=12)
    fallback: dict[str, float]
    label_grid: float = Field(gt=0, le=0.5)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.names)) != len(self.facets):
            raise ValueError("two facets share a name")
        if REASONING in self.names:
            raise ValueError(f"no facet can be called {REASONING!r}: an answer has a text of that name")
        if set(self.fallback) != set(self.names):
            raise ValueError("the fallback weights must name exactly the facets")
        # Asked this way round, because NaN compares as false.
        if not (min(self.fallback.values()) >= 0 and abs(sum(self.fallback.values()) - 1) <= SUM_TOLERANCE):
            raise ValueError("the fallback weights must be non-negative and sum to 1")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Facet names in the order of the file."""
        return tuple(facet.name for facet in self.facets)

    def digest(self) -> str:
        """12 hex digits that change when anything in the taxonomy changes."""
        return text_digest(self.model_dump_json())


def text_digest(text: str) -> str:
    """The first 12 hex digits of a text's SHA-256, for lineage."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def parse_taxonomy(content: str | bytes) -> Taxonomy:
    """Read a taxonomy from YAML; raise BadInput with one sentence when it cannot be used."""
    return parse_yaml(Taxonomy, content, what="taxonomy", mend=_MEND)


def dump_taxonomy(taxonomy: Taxonomy) -> str:
    """The taxonomy as YAML that `parse_taxonomy` reads back."""
    return yaml.safe_dump(taxonomy.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100)


@cache
def default_taxonomy() -> Taxonomy:
    """The taxonomy shipped with the package."""
    return parse_taxonomy(resources.files("distillery.task").joinpath("channels.yaml").read_text("utf-8"))
