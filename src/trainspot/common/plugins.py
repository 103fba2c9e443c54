"""Implementations behind the seams, by entry point.

A seam is an entry-point group such as ``trainspot.label``. A package adds an implementation with an
entry point; no list here changes. The metadata of that package, ours or another one, say which
extra installs a missing module.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from importlib.metadata import EntryPoint, PackageNotFoundError, distribution, entry_points
from typing import TYPE_CHECKING, Any, Final

from trainspot.common.errors import InputError, MissingExtraError, UnknownNameError

if TYPE_CHECKING:
    from packaging.requirements import Requirement

OURS: Final = "trainspot"
"""The package whose extras are ours."""


def names(group: str) -> list[str]:
    """The sorted names registered in an entry-point group."""
    return sorted({point.name for point in _registered(entry_points, group)})


def load(group: str, name: str, *, where: str = "", kind: str = "") -> Any:
    """The object registered as ``name`` in ``group``.

    Args:
        group: The entry-point group.
        name: A name in it.
        where: The place for an error message.
        kind: Kind of the object in messages; by default from the seam, such as "label engine".

    Raises:
        UnknownNameError: No such name; the message offers the nearest name.
        MissingExtraError: The name exists, but its dependency is not installed.
        InputError: The object is part of another package and cannot be imported.
    """
    kind = kind or _kind(group)
    points = [point for point in _registered(entry_points, group) if point.name == name]
    if not points:
        raise UnknownNameError(kind, name, names(group), where=where)
    try:
        return points[0].load()
    except ImportError as error:
        reason = _reason(points[0], kind, error)
        if reason is None:
            raise
        raise reason from error
    except Exception as error:
        package = _package(points[0])
        if package == OURS:
            raise
        what = f"{kind} '{name}' cannot be imported: {type(error).__name__}: {error}"
        raise InputError(what, hint=f"it is part of the package {package}") from error


def _kind(group: str) -> str:
    """The word for a seam in messages; seams named by a verb have engines."""
    words = group.removeprefix("trainspot.").replace("_", " ")
    return f"{words} engine" if words in {"label", "train", "explore"} else words


@functools.cache
def _registered(find: Callable[..., Any], group: str) -> tuple[EntryPoint, ...]:
    """The entry points of a group, looked up once: it takes tens of milliseconds."""
    return tuple(find(group=group))


def package_of(group: str, name: str) -> str:
    """The installed package that registered ``name`` in ``group``."""
    points = [point for point in _registered(entry_points, group) if point.name == name]
    return _package(points[0]) if points else OURS


def _package(point: EntryPoint) -> str:
    return OURS if point.dist is None else str(point.dist.name)


# ── the extra of a missing module ─────────────────────────────────────────────
def extra_for(error: ImportError, package: str = OURS) -> str | None:
    """The extra of a package that installs a missing module, or ``None``.

    Args:
        error: The error of the import.
        package: An installed package.
    """
    from packaging.utils import canonicalize_name  # 40 ms, for a message

    module = canonicalize_name(_top(error.name))
    required = _requirements(package)
    # Many distributions add a word to the name of their module: mace-torch, aiida-core.
    exact = [extra for name, extra in required if name == module]
    longer = [extra for name, extra in required if name.startswith(f"{module}-")]
    sizes = Counter(extra for _, extra in required)
    return min(exact or longer, key=lambda extra: (sizes[extra], extra), default=None)


def _reason(point: EntryPoint, kind: str, error: ImportError) -> InputError | None:
    """Why an entry point cannot be imported, in one line; ``None`` for our own mistake."""
    module, package = _top(error.name), _package(point)
    is_missing = isinstance(error, ModuleNotFoundError) and module not in ("", _top(point.module))
    if package == OURS:
        extra = extra_for(error) if is_missing else None
        return MissingExtraError(f"{kind} '{point.name}'", extra) if extra else None
    if is_missing and module != OURS:
        extra = next(iter(point.extras), None) or extra_for(error, package)
        feature = f"module '{module}', which {kind} '{point.name}' needs,"
        return MissingExtraError(feature, extra or "", package=package)
    what = f"{kind} '{point.name}' cannot be imported: {error}"
    return InputError(what, hint=f"it is part of the package {package}")


def _top(module: str | None) -> str:
    return (module or "").partition(".")[0]


@functools.cache
def _requirements(package: str) -> tuple[tuple[str, str], ...]:
    """The requirements of each extra of an installed package, as (requirement, extra) pairs."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    try:
        installed = distribution(package)
    except PackageNotFoundError:
        return ()
    extras = installed.metadata.get_all("Provides-Extra") or []
    conditional = [
        requirement
        for requirement in map(Requirement, installed.requires or ())
        if requirement.marker
    ]
    return tuple(
        (canonicalize_name(requirement.name), extra)
        for requirement in conditional
        for extra in extras
        if _belongs(requirement, extra)
    )


def _belongs(requirement: Requirement, extra: str) -> bool:
    """Whether an installation with an extra has a requirement that one without it has not."""
    marker = requirement.marker
    assert marker is not None  # unconditional requirements belong to no extra
    return marker.evaluate({"extra": extra}) and not marker.evaluate({"extra": ""})
