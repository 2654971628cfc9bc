"""Reads YAML files that people write; an unusable file raises BadInput with one sentence and the place."""

from __future__ import annotations

from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from distillery.errors import BadInput
from distillery.validation_messages import first_problem

ModelT = TypeVar("ModelT", bound=BaseModel)

_UNREADABLE_VALUE = (ValueError, KeyError, IndexError, AttributeError)
"""What the YAML library raises for a scalar that its tag does not allow, such as the date 2001-99-99."""


def parse_yaml(model: type[ModelT], content: str | bytes, *, what: str, fix: str) -> ModelT:
    """Validate a file's content; `what` names the file in the sentence of the BadInput that is raised."""
    try:
        return model.model_validate(_load(content, what, fix))
    except ValidationError as error:
        raise BadInput(f"The {what} cannot be used: {first_problem(error, 'the file')}.", fix=fix) from error


def _load(content: str | bytes, what: str, fix: str) -> object:
    try:
        return yaml.safe_load(content.decode() if isinstance(content, bytes) else content)
    except UnicodeDecodeError as error:
        raise BadInput(f"The {what} is not UTF-8 text.", fix="Save it as UTF-8.") from error
    except yaml.YAMLError as error:
        raise BadInput(f"The {what} is not YAML: {_one_line(error)}.", fix=fix) from error
    except RecursionError as error:
        raise BadInput(f"The {what} is not YAML: it is nested too deeply.", fix=fix) from error
    except _UNREADABLE_VALUE as error:
        raise BadInput(
            f"The {what} is not YAML: a date, a number or a tag in it is not valid.", fix=fix
        ) from error


def _one_line(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or next(iter(str(error).splitlines()), "it cannot be read")
    return f"{problem} in line {mark.line + 1}" if mark else str(problem).rstrip(".")
