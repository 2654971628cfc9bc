"""The active model: the SSM parameter that names the model which answers queries.

Parameter Store keeps earlier versions of the value, so writing one of them back is a rollback.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from distillery.aws import clients
from distillery.errors import BadInput
from distillery.runs.states import PromptKind
from distillery.validation_messages import first_problem

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient


class ActiveModel(BaseModel):
    """The content of the parameter; `{}` means the baseline with the teacher prompt."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())

    run_id: str = ""
    model_id: str = ""
    prompt: PromptKind = "teacher"
    promoted_at: AwareDatetime | None = None

    @property
    def is_baseline(self) -> bool:
        return not self.model_id


def parse_active_model(text: str) -> ActiveModel:
    """Parse the text of the parameter. Raises BadInput when it is not an active model."""
    try:
        return ActiveModel.model_validate_json(text)
    except ValidationError as error:
        raise BadInput(
            f"The active-model parameter cannot be read: {first_problem(error, 'the parameter')}.",
            fix='Set it to {} for the baseline, or to {"run_id", "model_id", "prompt", "promoted_at"}.',
        ) from error


class ActiveModelParameter:
    """Reads and sets the active model."""

    def __init__(self, name: str, client: SSMClient | None = None) -> None:
        self._name = name
        self._client: SSMClient = client or clients.client("ssm")

    def read(self) -> tuple[str, int]:
        """Return the text and the version of the parameter; `("{}", 0)` when it does not exist."""
        try:
            with clients.explained("read the active model"):
                parameter = self._client.get_parameter(Name=self._name)["Parameter"]
        except clients.Missing:
            return "{}", 0
        return parameter["Value"], parameter["Version"]

    def write(self, model: ActiveModel) -> int:
        """Make a model the active model. Returns the new version of the parameter."""
        with clients.explained("set the active model"):
            response = self._client.put_parameter(
                Name=self._name, Value=model.model_dump_json(), Type="String", Overwrite=True
            )
        return response["Version"]
