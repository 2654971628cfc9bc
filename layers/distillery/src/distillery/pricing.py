"""What a call costs: one dated price list, read from `prices.yaml`. What is not listed is not guessed."""

from __future__ import annotations

from datetime import date
from functools import cache
from importlib import resources

import yaml
from pydantic import BaseModel, ConfigDict, Field

MILLION = 1_000_000
THOUSAND = 1_000
NAME_AND_VERSION = 2
"""Parts of a model id between colons; a third is a context length and has no part in the price."""


class Price(BaseModel):
    """USD per million tokens, and their source. `customised` is a model of the account's own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ids: tuple[str, ...] = Field(min_length=1)
    input: float = Field(ge=0)
    output: float = Field(ge=0)
    source: str = Field(min_length=1)
    customised: bool = False

    def cost(self, input_tokens: int, output_tokens: int) -> float:
        """USD for so many tokens."""
        return (input_tokens * self.input + output_tokens * self.output) / MILLION

    def cost_per_1000(self, input_tokens: int, output_tokens: int, calls: int) -> float:
        """USD for a thousand calls, where `calls` calls took that many tokens together."""
        return self.cost(input_tokens, output_tokens) / calls * THOUSAND


class PriceList(BaseModel):
    """Every known price and the day they were looked up."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    as_of: date
    currency: str
    models: tuple[Price, ...]

    def find(self, model_id: str, *, customised: bool = False) -> Price | None:
        """The price of a model, None where it is not known.

        Takes a foundation model's id, with or without a context length (`...:0:128k`), or an inference
        profile's, which may cost more than the model behind it. For a deployment of a distilled model,
        whose ARN says nothing about its base, give the student's id and `customised`.
        """
        wanted = ":".join(model_id.split(":")[:NAME_AND_VERSION])
        return next(
            (price for price in self.models if price.customised is customised and wanted in price.ids), None
        )


@cache
def price_list() -> PriceList:
    """The price list shipped with the package."""
    text = resources.files("distillery").joinpath("prices.yaml").read_text("utf-8")
    return PriceList.model_validate(yaml.safe_load(text))
