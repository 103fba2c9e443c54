"""The common base of all contracts: Python refuses an incomplete class at its definition.

Trainers, label engines, explorers and kinds of models derive from a base class. Most of their
methods are class methods. Python checks abstract methods only when it creates an object, which
would be too late here, or never happen.
"""

from __future__ import annotations

import inspect
from abc import ABC
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Self

from trainspot.common.errors import ContractError


class Contract(ABC):  # noqa: B024  (its subclasses have the abstract methods)
    """Base of the base classes of seams.

    A complete subclass defines every attribute of ``required`` and every abstract method. A base
    class of your own may leave some of them to its subclasses; declare it as
    ``class Family(Trainer, abstract=True)``.

    Attributes:
        required: Class attributes that an implementation defines, and what each of them means.
        capabilities: Class attributes that declare an optional method, and the name of that method.
            A class defines both of them or neither.

    Raises:
        ContractError: At the definition of the class: names the class and everything it lacks.
    """

    required: ClassVar[Mapping[str, str]] = {}
    capabilities: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls, *, abstract: bool = False, **more: Any) -> None:
        """Check the new class, unless it is abstract."""
        super().__init_subclass__(**more)
        if abstract:
            return
        where = f"{cls.__module__}.{cls.__qualname__}"
        if missing := list(_missing(cls)):
            raise ContractError(f"lacks {', '.join(missing)}", where=where)
        for flag, method in cls.capabilities.items():
            declared = bool(inspect.getattr_static(cls, flag))
            if declared and not _writes(cls, method):
                raise ContractError(f"declares {flag} = True but has no {method}()", where=where)
            if _writes(cls, method) and not declared:
                raise ContractError(
                    f"has {method}() but does not declare {flag} = True", where=where
                )

    @classmethod
    def implementation(cls, registered: Any) -> type[Self]:
        """A registered object, as a class of this contract.

        Raises:
            ContractError: The object does not derive from this base class.
        """
        if isinstance(registered, type) and issubclass(registered, cls):
            return registered
        called = registered.__qualname__ if isinstance(registered, type) else repr(registered)
        base = f"{cls.__module__}.{cls.__qualname__}"
        raise ContractError(f"{called} does not derive from {base}")


def _missing(cls: type[Contract]) -> Iterator[str]:
    """What a class lacks, in words."""
    present = {name for base in cls.__mro__ for name in vars(base)}
    for name, purpose in cls.required.items():
        if name not in present:
            yield f"{name} ({purpose})"
    for name in sorted(present):
        value = inspect.getattr_static(cls, name)
        if getattr(value, "__isabstractmethod__", False):  # how Python marks abstract methods
            yield f"{name}() ({_summary(value)})"


def _summary(method: Any) -> str:
    """The first line of the docstring, without its full stop."""
    return (inspect.getdoc(method) or "").partition("\n")[0].rstrip(".")


def _writes(cls: type[Contract], method: str) -> bool:
    """Whether a class, or a class between it and the base class, defines its own method."""
    first = next(base for base in reversed(cls.__mro__) if method in vars(base))
    return inspect.getattr_static(cls, method) is not vars(first)[method]
