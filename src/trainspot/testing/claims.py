"""Assertions whose messages name the implementation that breaks a contract."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pydantic import BaseModel

from trainspot.common.errors import InputError
from trainspot.common.validation import parse_settings


class Claims:
    """Claims about one implementation; a false claim raises an ``AssertionError``.

    Args:
        role: The role of the implementation: ``trainer``, ``label engine``, …
        name: Its registered name.
        implementation: Its class.
    """

    def __init__(self, role: str, name: str, implementation: type) -> None:
        """Keep the beginning of all messages."""
        where = f"{implementation.__module__}.{implementation.__qualname__}"
        self.subject = f"{role} '{name}' ({where})"

    def __call__(self, condition: object, claim: str) -> None:
        """Assert a condition.

        Args:
            condition: The condition.
            claim: The fault if the condition is false.
        """
        if not condition:
            raise AssertionError(f"{self.subject}: {claim}")

    @contextmanager
    def works(self, doing: str) -> Iterator[None]:
        """Assert that the block raises nothing; ``doing`` describes the block."""
        try:
            yield
        except AssertionError:
            raise
        except Exception as error:
            raise AssertionError(
                f"{self.subject}: {doing} raised {type(error).__name__}: {error}"
            ) from error

    @contextmanager
    def refuses(
        self, error: type[Exception], doing: str, *, may_accept: bool = False
    ) -> Iterator[None]:
        """Assert that the block raises an error of this type and of no other.

        Args:
            error: The type.
            doing: Describes the block.
            may_accept: Whether the block may also raise nothing.
        """
        try:
            yield
        except error:
            return
        except Exception as other:
            raise AssertionError(
                f"{self.subject}: {doing} raised {type(other).__name__} instead of "
                f"{error.__name__}: {other}"
            ) from other
        if not may_accept:
            raise AssertionError(f"{self.subject}: {doing} is not refused with {error.__name__}")


def check_settings(claims: Claims, model: type[BaseModel], given: Mapping[str, Any]) -> Any:
    """Assert the contract of the settings of all engines, and return the settings.

    Fields have descriptions, unknown ones are refused, and settings survive JSON.

    Args:
        claims: About the engine.
        model: The engine's ``Settings``.
        given: Settings that differ from their defaults.
    """
    claims(
        isinstance(model, type) and issubclass(model, BaseModel),
        "Settings is not a pydantic model",
    )
    for key, field in model.model_fields.items():
        claims(field.description, f"the setting '{key}' has no description")
    with claims.works(f"settings {dict(given)}"):
        settings = parse_settings(model, given)
    with claims.refuses(InputError, "a setting that the engine does not have"):
        parse_settings(model, {**given, "no_such_setting": 1})
    plain = json.loads(settings.model_dump_json())
    with claims.works("settings that were written as JSON and read again"):
        again = parse_settings(model, plain)
    claims(again == settings, "settings change when they are written as JSON and read again")
    return settings


def check_code(claims: Claims, label: Any) -> None:
    """Assert that a default AiiDA code is written ``label@computer``."""
    parts = label.split("@") if isinstance(label, str) else []
    claims(
        len(parts) == 2 and all(parts) and not any(part.split() != [part] for part in parts),
        f"default_code is {label!r}, not label@computer",
    )
