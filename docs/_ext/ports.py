"""The page of work chains: inputs and outputs of each, from its specification."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Row = tuple[str, str, str, str]
INPUTS = ("input", "type", "required", "what it is")
OUTPUTS = ("output", "type", "always there", "what it is")
_ANY = "any node"
_OURS = "aiida_trainspot"


def work_chains() -> list[tuple[str, Any]]:
    """Our work chains by the names they are registered under."""
    points = sorted(entry_points(group="aiida.workflows"), key=lambda point: point.name)
    return [(p.name, p.load()) for p in points if p.name.startswith("trainspot.")]


def inputs(process: Any) -> list[Row]:
    """One row an input; what every process of AiiDA has (``metadata``) is left out.

    Raises:
        ValueError: An input of a work chain of ours has no help.
    """
    return list(_rows(process, process.spec().inputs))


def outputs(process: Any) -> list[Row]:
    """One row an output.

    Raises:
        ValueError: An output of a work chain of ours has no help.
    """
    return list(_rows(process, process.spec().outputs))


def _rows(process: Any, ports: Mapping[str, Any], prefix: str = "") -> Iterator[Row]:
    for name, port in ports.items():
        if name == "metadata":
            continue
        path = f"{prefix}{name}"
        namespace = hasattr(port, "items")
        kind = "namespace" if namespace else ""
        if not namespace or port.dynamic:
            kind = f"{kind} of {_types(port.valid_type)}" if kind else _types(port.valid_type)
        yield f"`{path}`", kind, _required(port), _help(process, port, path)
        if namespace:
            yield from _rows(process, port, f"{path}.")


def _types(valid: Any) -> str:
    """Names of the node types that a port takes."""
    types: Iterable[Any] = valid if isinstance(valid, tuple) else (valid,)
    names = [one.__name__ for one in types if one is not None and one is not type(None)]
    return ", ".join(names) or _ANY


def _required(port: Any) -> str:
    if not port.required:
        return "no"
    return "no, has a default" if getattr(port, "has_default", bool)() else "yes"


def _help(process: Any, port: Any, path: str) -> str:
    text = " ".join((port.help or "").split())
    if not text and process.__module__.startswith(f"{_OURS}."):
        name = f"{process.__module__}.{process.__qualname__}"
        raise ValueError(f"{name}: the port '{path}' has no help")
    return text or "–"
