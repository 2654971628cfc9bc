"""YAML that people write: read into a model, or one sentence that says where it is wrong."""

from __future__ import annotations

from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from distillery.errors import BadInput

ModelT = TypeVar("ModelT", bound=BaseModel)


def parse_yaml(model: type[ModelT], content: str | bytes, *, what: str, fix: str) -> ModelT:
    """The model of a file's content; `what` names the file in the sentence of the BadInput that is raised."""
    try:
        text = content.decode() if isinstance(content, bytes) else content
        return model.model_validate(yaml.safe_load(text))
    except UnicodeDecodeError as error:
        raise BadInput(f"The {what} is not UTF-8 text.", fix="Save it as UTF-8.") from error
    except ValidationError as error:
        raise BadInput(f"The {what} cannot be used: {_first(error, what)}.", fix=fix) from error
    # A date that is none is a bare ValueError to the YAML library.
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise BadInput(f"The {what} is not YAML: {_one_line(error)}.", fix=fix) from error


def _first(error: ValidationError, what: str) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    # A choice of forms adds a part in brackets to the place, which says nothing to whoever wrote the file.
    place = ".".join(str(part) for part in first["loc"] if not str(part).endswith("]"))
    said = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        said = f"a {what} has no such key"
    where = f"{place}: " if place else "" if first["type"] == "value_error" else "the file: "
    return f"{where}{said}"


def _one_line(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or (str(error).splitlines() or [type(error).__name__])[0]
    return f"{problem} in line {mark.line + 1}" if mark else str(problem).rstrip(".")
