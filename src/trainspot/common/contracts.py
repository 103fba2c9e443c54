"""What the base classes behind the seams share: a class that lacks something is refused at once.

Trainers, label engines, explorers and kinds of models derive from a base class. Their methods are
mostly class methods, so that Python's own check of abstract methods, which happens when an object
is made, would come too late or never.
"""

from __future__ import annotations

import inspect
from abc import ABC
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Self

from trainspot.common.errors import ContractError


class Contract(ABC):  # noqa: B024  (what is abstract, its subclasses say)
    """Base of the base classes of seams.

    A subclass that is complete states every attribute of ``required`` and writes every abstract
    method. A base class of your own, which leaves some of that to its subclasses, says so:
    ``class Family(Trainer, abstract=True)``.

    Attributes:
        required: Class attributes that an implementation states, and what each is.
        capabilities: Class attributes that say whether an optional method is there, and the name
            of that method. Both or none of the two is written.

    Raises:
        ContractError: When the class is made: it names the class and all that is missing.
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
        """What is registered under a name, as a class of this contract.

        Raises:
            ContractError: It does not derive from this base class.
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
    """Whether a class, or one between it and the base class, writes a method of its own."""
    first = next(base for base in reversed(cls.__mro__) if method in vars(base))
    return inspect.getattr_static(cls, method) is not vars(first)[method]
