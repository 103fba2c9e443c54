"""Validation errors as one line: error, place (``file:line``), remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from trainspot.common.errors import InputError, TrainspotError, UnknownNameError
from trainspot.common.validation import models_in, sentence
from trainspot.config.models import StructureFile
from trainspot.config.stages import EngineSection

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails

    from trainspot.config.document import Document, Location


def explain(error: ValidationError, root: type[BaseModel], document: Document) -> InputError:
    """The first error in the file, as one line.

    Args:
        error: The errors of pydantic.
        root: The model that was validated.
        document: The document with the values.
    """
    located = [
        (_cut(root, location, document.data), details)
        for details in error.errors()
        if (location := _of_branch(details["loc"], document.data)) is not None
    ]
    location, first = min(located, key=lambda item: _line(document, item[0]))
    together = [details for where, details in located if where == location]
    rest = len(located) - len(together)
    explained = _explained(root, location, together, document)
    if not rest:
        return explained
    more = f"(and {rest} more)"
    hint = f"{explained.hint} {more}" if explained.hint else more
    return InputError(explained.what, where=explained.where, hint=hint) if first else explained


def _explained(
    root: type[BaseModel], location: Location, together: list[ErrorDetails], document: Document
) -> InputError:
    details = together[0]
    where = document.where(_written(location, document))
    shown = ".".join(str(part) for part in _written(location, document))
    if details["type"] == "extra_forbidden":
        keys = _known_keys(root, location[:-1], document.data)
        return _of(UnknownNameError("key", str(location[-1]), keys, where=where))
    what, hint = sentence(shown, together)
    return InputError(what, where=where, hint=hint or _description(root, location, document))


def _of(error: TrainspotError) -> InputError:
    return InputError(error.what, where=error.where, hint=error.hint)


def _line(document: Document, location: Location) -> int:
    tail = document.where(_written(location, document)).rpartition(":")[2]
    return int(tail) if tail.isdigit() else 0


def _written(location: Location, document: Document) -> Location:
    """The location as the user wrote it: an engine's keys may stand beside those of the stage."""
    if len(location) > 2 and location[1] == "settings":
        flat = (location[0], *location[2:])
        if flat[:2] in document.lines or (*location[:3],) not in document.lines:
            return flat
    return location


def _cut(root: type[BaseModel], location: Location, data: Mapping[str, Any]) -> Location:
    """The location without the names that pydantic adds for members of a union."""
    for size in range(1, len(location)):
        model = _model_at(root, location[:size], data)
        key = location[size]
        if model is None and not isinstance(key, int):
            inside: Any = data
            for part in location[:size]:
                inside = inside.get(part) if isinstance(inside, dict) else None
            if not (isinstance(inside, dict) and key in inside):
                return location[:size]
    return location


def _of_branch(location: Location, data: Mapping[str, Any]) -> Location | None:
    """The location without the name that pydantic adds for a union of a text and a model.

    ``None`` for the wrong member of the union: a mapping is not a wrong text.
    """
    for size in range(1, len(location)):
        if not isinstance(location[size - 1], int):
            continue
        inside: Any = data
        for part in location[:size]:
            try:
                inside = inside[part]
            except (KeyError, IndexError, TypeError):
                return location
        if location[size] == "str":
            return None if isinstance(inside, dict) else location[:size]
        if location[size] == StructureFile.__name__:
            rest = (*location[:size], *location[size + 1 :])
            return rest if isinstance(inside, dict) else None
    return location


def _known_keys(root: type[BaseModel], location: Location, data: Mapping[str, Any]) -> set[str]:
    model = _model_at(root, location, data)
    keys = set(model.model_fields) if model else set()
    if len(location) == 2 and location[1] == "settings":
        stage = _model_at(root, location[:1], data)
        keys |= set(stage.model_fields) - {"settings"} if stage else set()
    return keys


def _model_at(
    root: type[BaseModel], location: Location, data: Mapping[str, Any]
) -> type[BaseModel] | None:
    """The model that validates a location of the tree, if one does."""
    model: type[BaseModel] | None = root
    for depth, key in enumerate(location):
        if isinstance(key, int):
            continue
        if model is None or key not in model.model_fields:
            # The key before belongs to a mapping of names to models, such as ``resources``.
            continue
        if key == "settings" and issubclass(model, EngineSection):
            model = _engine_settings(model, data.get(str(location[depth - 1])))
            continue
        model = next(models_in(model.model_fields[key].annotation), None)
    return model


def _engine_settings(stage: type[EngineSection], section: Any) -> type[BaseModel] | None:
    named = section.get("engine") if isinstance(section, dict) else None
    engine = named or stage.model_fields["engine"].default
    try:
        return stage.settings_model(engine)
    except TrainspotError:
        return None


def _description(root: type[BaseModel], location: Location, document: Document) -> str:
    if not location:
        return ""
    model = _model_at(root, location[:-1], document.data)
    field = model.model_fields.get(str(location[-1])) if model else None
    return field.description or "" if field else ""
