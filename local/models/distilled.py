"""The local distilled model: a linear model that was trained on the dataset of the job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from local.models.emulation import Latency, ModelAnswer, as_json, emulated_answer

if TYPE_CHECKING:
    from distillery.task.weights import Weights


class Fitted(Protocol):
    """The part of `distillery.linear.model.LinearModel` that answers need."""

    def predict(self, query: str) -> Weights:
        """Weights for a query."""
        ...

    def explain(self, query: str) -> str:
        """Why, naming the words that moved each channel."""
        ...


class Distilled:
    """The fitted student, answering as the customised model does: in the form it was trained on."""

    latency = Latency(833, 0.22)

    def __init__(self, student: Fitted) -> None:
        self._student = student

    def answer(self, system: str, user: str) -> ModelAnswer:
        """Bare JSON with the student's own explanation, always valid."""
        text = as_json(self._student.predict(user), self._student.explain(user))
        return emulated_answer(text, system, user, self.latency, "distilled")
