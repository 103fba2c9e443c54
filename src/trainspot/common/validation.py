"""Plain values, from a file or a node, as the validated settings model of an engine."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from trainspot.common.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

M = TypeVar("M", bound=BaseModel)

_MESSAGES: Final[Mapping[str, str]] = {
    "missing": "is missing",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "finite_number": "must be a finite number",
    "literal_error": "must be {expected}",
    "model_type": "must be a mapping of keys to values",
    "model_attributes_type": "must be a mapping of keys to values",
    "string_too_short": "must not be empty",
    "string_type": "must be a text",
    "string_pattern_mismatch": "must look like label@computer",
    "tuple_type": "must be a list",
    "too_short": "must list at least {min_length}",
    "too_long": "must list at most {max_length}",
    "list_type": "must be a list",
    "dict_type": "must be a mapping of keys to values",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
}


def told(details: ErrorDetails) -> str:
    """What pydantic found, in our words: ``must be at least 1``."""
    template = _MESSAGES.get(details["type"])
    if template is None:
        text = details["msg"].removeprefix("Value error, ").replace("Input should", "must")
        # Our own messages stand as they are: they may start with an element.
        is_ours = details["type"] in {"trainspot", "value_error"}
        return text if is_ours else text[0].lower() + text[1:]
    return template.format(**details.get("ctx", {}))


def renamed(values: Any, former: Mapping[str, str]) -> Any:
    """The same values under today's names; anything but a mapping is returned as it is.

    Args:
        values: What the user wrote.
        former: Former names and today's.

    Raises:
        ValueError: A value has both names.
    """
    if not isinstance(values, Mapping):
        return values
    for old, new in former.items():
        if old in values and new in values:
            raise ValueError(f"'{old}' is the former name of '{new}'; give {new} alone")
    return {former.get(name, name): value for name, value in values.items()}


def same_values(one: Any, two: Any) -> bool:
    """Whether two JSON values are the same but for rounding: AiiDA keeps 14 digits of a number."""
    if isinstance(one, Mapping) and isinstance(two, Mapping):
        return one.keys() == two.keys() and all(same_values(one[key], two[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(two, list | tuple):
        return len(one) == len(two) and all(map(same_values, one, two))
    if isinstance(one, float) or isinstance(two, float):
        numbers = isinstance(one, int | float) and isinstance(two, int | float)
        return numbers and math.isclose(one, two, rel_tol=1e-12)
    return bool(one == two)


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
        found = error.errors(include_url=False)
        first = found[0]
        if first["type"] == "extra_forbidden":
            name = str(first["loc"][-1])
            raise UnknownNameError("setting", name, model.model_fields, where=where) from None
        field = first["loc"][:1]  # beyond it pydantic tells the members of a union apart
        same = [details for details in found if details["loc"][:1] == field]
        place = ".".join(str(part) for part in (first["loc"] if len(same) == 1 else field))
        message = " or ".join(dict.fromkeys(told(details) for details in same))
        raise InputError(message, where=": ".join(filter(None, (where, place)))) from None
