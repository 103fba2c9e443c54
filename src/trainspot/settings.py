"""Plain values, from a file or a node, as the validated settings model of an engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from trainspot.errors import InputError, UnknownNameError

M = TypeVar("M", bound=BaseModel)


def parse_settings(model: type[M], raw: Mapping[str, Any], *, where: str = "") -> M:
    """Plain values as a validated model.

    Args:
        model: The settings model.
        raw: Values by name.
        where: What an error names as the place, such as a file.

    Raises:
        UnknownNameError: A key that the model does not have; the nearest is offered.
        InputError: A value of the wrong type or out of bounds.
    """
    try:
        return model.model_validate(dict(raw))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        if first["type"] == "extra_forbidden":
            name = str(first["loc"][-1])
            raise UnknownNameError("setting", name, model.model_fields, where=where) from None
        place = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise InputError(message, where=": ".join(filter(None, (where, place)))) from None
