"""The local distilled model: a linear model trained on the job's dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from local.models.emulation import Latency, ModelAnswer, as_json, emulated_answer

if TYPE_CHECKING:
    from distillery.task.weights import Weights


class Predictor(Protocol):
    """The methods of `distillery.linear.model.LinearModel` that this module uses."""

    def predict(self, query: str) -> Weights:
        """Return the weights for a query."""
        ...

    def explain(self, query: str) -> str:
        """Return the reasoning, which names the words that raised each channel."""
        ...


class Distilled:
    """A trained linear model that answers in the form of the training data."""

    latency = Latency(833, 0.22)

    def __init__(self, linear_model: Predictor) -> None:
        self._linear_model = linear_model

    def answer(self, system: str, user: str) -> ModelAnswer:
        """Return bare JSON that is always valid, with the linear model's explanation as reasoning."""
        text = as_json(self._linear_model.predict(user), self._linear_model.explain(user))
        return emulated_answer(text, system, user, self.latency, "distilled")
