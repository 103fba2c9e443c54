"""Plain values, from a file or a node, as the validated settings model of an engine."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar, get_args

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

_OWN: Final = frozenset({"trainspot", "twice", "shares", "value_error"})
"""Types of the errors that our own checks raise; their messages are not changed."""


def told(details: ErrorDetails) -> str:
    """An error of pydantic in our words: ``must be at least 1``."""
    template = _MESSAGES.get(details["type"])
    if template is None:
        text = details["msg"].removeprefix("Value error, ").replace("Input should", "must")
        # Our own messages are not changed: they may start with an element.
        is_ours = details["type"] in {"trainspot", "value_error"}
        return text if is_ours else text[0].lower() + text[1:]
    return template.format(**details.get("ctx", {}))


def sentence(place: str, together: Sequence[ErrorDetails]) -> tuple[str, str]:
    """What is wrong with one value, and the hint of our own check, if it has one.

    Args:
        place: The name of the value for the user: ``train.committee``.
        together: The errors of pydantic for this value: one, or one of each member of a union.

    Returns:
        ``train.committee must be at least 2, not 1`` and the hint, which may be empty.
    """
    first, messages = together[0], dict.fromkeys(map(told, together))
    text = " or ".join(messages)
    if first["type"] in _OWN:
        parts = first.get("ctx", {}) if len(messages) == 1 else {}
        what, hint = str(parts.get("what", text)), str(parts.get("hint", ""))
        return f"{place}: {what}" if place else what, hint
    value = first["input"]
    is_short = isinstance(value, str | int | float | bool | None) and first["type"] != "missing"
    return f"{place} {text}" + (f", not {value!r}" if is_short else ""), ""


def explained(
    error: ValidationError,
    model: type[BaseModel],
    *,
    where: str = "",
    kind: str = "setting",
    name: str = "",
) -> InputError:
    """The first error of pydantic in plain values, as one line.

    Args:
        error: All errors of pydantic.
        model: The settings model.
        where: The place in the message, such as a file.
        kind: The word for a key of the model.
        name: Name of the model in front of the name of the value.
    """
    details = error.errors(include_url=False)
    first = details[0]
    location = first["loc"]
    depth, owner = _owned(model, location)
    if first["type"] == "extra_forbidden":
        return UnknownNameError(kind, str(location[-1]), owner.model_fields, where=where)
    field = location[:depth]  # the rest of the location names members of a union
    together = (
        [detail for detail in details if detail["loc"][:depth] == field] if field else [first]
    )
    parts = [name, *map(str, location if len(together) == 1 else field)]
    what, hint = sentence(".".join(filter(None, parts)), together)
    return InputError(what, where=where, hint=hint)


def _owned(model: type[BaseModel], location: tuple[str | int, ...]) -> tuple[int, type[BaseModel]]:
    """How many parts of a location are fields and items, and the innermost model among them."""
    inside: type[BaseModel] | None = model
    for depth, key in enumerate(location):
        if isinstance(key, int):
            continue
        if inside is None or key not in inside.model_fields:
            return depth, model
        inside = next(models_in(inside.model_fields[key].annotation), None)
        model = inside or model
    return len(location), model


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that a type annotation names, in its order."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from models_in(argument)


def renamed(values: Any, former: Mapping[str, str]) -> Any:
    """The same values under today's names; anything but a mapping stays unchanged.

    Args:
        values: The user's values.
        former: Today's names by former names.

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
    """Whether two JSON values are equal except for rounding: AiiDA keeps 14 digits of a number."""
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
        where: The place in an error message, such as a file.

    Raises:
        UnknownNameError: A key that the model does not have; the message offers the nearest key.
        InputError: A value of the wrong type or out of bounds.
    """
    try:
        return model.model_validate(dict(raw))
    except ValidationError as error:
        raise explained(error, model, where=where) from None
