"""The price list, with a date, read from `prices.yaml`. A price that is not listed is unknown.

A stack's own list (see `aws/stack_config.py`) replaces the shipped list as a whole.
"""

from __future__ import annotations

from datetime import date
from functools import cache
from importlib import resources
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from distillery.yaml_loader import parse_yaml

MILLION = 1_000_000
THOUSAND = 1_000
NAME_AND_VERSION = 2
"""Parts of a model id, separated by colons, that determine the price; a third part is a context length."""


class Price(BaseModel):
    """USD per million tokens, and the source of the price. `customised` is a custom model of the account."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    ids: tuple[str, ...] = Field(min_length=1)
    input: float = Field(ge=0)
    output: float = Field(ge=0)
    source: str = Field(min_length=1)
    customised: bool = False

    def cost(self, input_tokens: int, output_tokens: int) -> float:
        """USD for this many tokens."""
        return (input_tokens * self.input + output_tokens * self.output) / MILLION

    def cost_per_1000(self, input_tokens: int, output_tokens: int, calls: int) -> float:
        """USD for 1,000 calls, given the tokens of `calls` calls together."""
        return self.cost(input_tokens, output_tokens) / calls * THOUSAND


class Customising(BaseModel):
    """Prices of training and storing a student, and their source; None if no price is published.

    `training` is USD per million tokens trained, `storage` USD per month and custom model.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    ids: tuple[str, ...] = Field(min_length=1)
    training: float | None = Field(ge=0)
    storage: float | None = Field(ge=0)
    source: str = Field(min_length=1)


class PriceList(BaseModel):
    """All known prices and the date on which they were looked up."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    as_of: date
    currency: str
    models: tuple[Price, ...]
    customising: tuple[Customising, ...] = ()

    @model_validator(mode="after")
    def _unambiguous(self) -> Self:
        named = [(model_id, price.customised) for price in self.models for model_id in price.ids]
        students = [model_id for entry in self.customising for model_id in entry.ids]
        if len(set(named)) < len(named) or len(set(students)) < len(students):
            raise ValueError("a model is listed with two prices")
        return self

    def find(self, model_id: str, *, customised: bool = False) -> Price | None:
        """The price of a model, or None if it is not known.

        Takes the id of a foundation model, with or without a context length (`...:0:128k`), or of an
        inference profile, whose price can be higher than the model's. For a deployment of a distilled model,
        whose ARN does not name the foundation model, pass the student's id and `customised`.
        """
        name = _name_and_version(model_id)
        return next(
            (price for price in self.models if price.customised is customised and name in price.ids), None
        )

    def find_customising(self, student_id: str) -> Customising | None:
        """The prices of training and storing a student, by its id with or without a context length."""
        name = _name_and_version(student_id)
        return next((entry for entry in self.customising if name in entry.ids), None)


def _name_and_version(model_id: str) -> str:
    return ":".join(model_id.split(":")[:NAME_AND_VERSION])


def parse_prices(content: str | bytes) -> PriceList:
    """Read a price list from YAML; raise BadInput with one sentence when it is not valid."""
    return parse_yaml(PriceList, content, what="price list", fix="The shipped prices.yaml shows the form.")


@cache
def price_list() -> PriceList:
    """The price list shipped with the package."""
    return parse_prices(resources.files("distillery.cost").joinpath("prices.yaml").read_text("utf-8"))
