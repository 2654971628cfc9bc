"""The channel configuration: the retrieval channels that get weights, and how the teacher should weigh them.

Code that depends on channels (prompts, checks, metrics, charts, models) takes a `ChannelConfig`; no channel
is named in code.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources
from typing import Annotated, Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from distillery import earlier_names
from distillery.earlier_names import renamed
from distillery.yaml_loader import parse_yaml

SUM_TOLERANCE = 1e-6
REASONING = "reasoning"
"""The only key of an answer that is not a channel."""
_FIX = "The shipped channels.yaml shows the form of the file."

ChannelName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]


class Channel(BaseModel):
    """One retrieval channel."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ChannelName
    description: str
    cues: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()


class ChannelConfig(BaseModel):
    """The channels, the weights to fall back on, and the grid that labels are given on (0.1: tenths)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    subject: str = Field(pattern=r"^\w[\w ,'-]{0,99}$")
    channels: tuple[Channel, ...] = Field(min_length=2, max_length=12)
    fallback: dict[str, float]
    label_grid: float = Field(gt=0, le=0.5)

    @model_validator(mode="before")
    @classmethod
    def _read_earlier_names(cls, content: Any) -> Any:
        return renamed(content, earlier_names.CHANNEL_CONFIG)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.names)) != len(self.channels):
            raise ValueError("two channels have the same name")
        if REASONING in self.names:
            raise ValueError(f"a channel cannot be named {REASONING!r}: an answer has a text of that name")
        if set(self.fallback) != set(self.names):
            raise ValueError("the fallback weights must have exactly one entry for each channel")
        # Written as a negation because comparisons with NaN are false.
        if not (min(self.fallback.values()) >= 0 and abs(sum(self.fallback.values()) - 1) <= SUM_TOLERANCE):
            raise ValueError("the fallback weights must be non-negative and sum to 1")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The channel names in the order of the file."""
        return tuple(channel.name for channel in self.channels)

    def digest(self) -> str:
        """12 hex digits that change with any change of the channel configuration."""
        return text_digest(self.model_dump_json())


def text_digest(text: str) -> str:
    """The first 12 hex digits of a text's SHA-256, stored as lineage."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def parse_channel_config(content: str | bytes) -> ChannelConfig:
    """Read a channel configuration from YAML; raise BadInput with one sentence when it is not valid."""
    return parse_yaml(ChannelConfig, content, what="channel configuration", fix=_FIX)


def dump_channel_config(channel_config: ChannelConfig) -> str:
    """The channel configuration as YAML that `parse_channel_config` reads back."""
    return yaml.safe_dump(
        channel_config.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100
    )


@cache
def default_channel_config() -> ChannelConfig:
    """The channel configuration shipped with the package."""
    return parse_channel_config(
        resources.files("distillery.task").joinpath("channels.yaml").read_text("utf-8")
    )
