"""YAML with the line number of each value."""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from trainspot.common.errors import InputError

Location = tuple[str | int, ...]
"""A path into nested mappings and lists."""


class _Loader(yaml.SafeLoader):
    """Safe YAML, with the numbers of YAML 1.2: ``1e-3`` is a number, not a text (decision 0058)."""

    def mapping(self, node: yaml.MappingNode) -> dict[Hashable, Any]:
        """Build a mapping; a repeated key is an error, not a silent overwrite."""
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key, mark = self.construct_object(key_node, deep=True), key_node.start_mark
            if not isinstance(key, Hashable):
                raise yaml.MarkedYAMLError(problem="a key must be a text", problem_mark=mark)
            if key in seen:
                raise yaml.MarkedYAMLError(problem=f"key '{key}' stands twice", problem_mark=mark)
            seen.add(key)
        self.flatten_mapping(node)
        return self.construct_mapping(node, deep=True)


_Loader.add_constructor("tag:yaml.org,2002:map", _Loader.mapping)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


@dataclass(frozen=True)
class Document:
    """A YAML mapping and the line of each value in it.

    Attributes:
        path: The file.
        data: Its content.
        lines: 1-based line of the key (or list item) at each location.
    """

    path: Path
    data: dict[str, Any]
    lines: dict[Location, int] = field(default_factory=dict)

    def where(self, location: Location) -> str:
        """``file:line`` of a location, or of the nearest value that contains it."""
        for size in range(len(location), 0, -1):
            if line := self.lines.get(location[:size]):
                return f"{self.path}:{line}"
        return str(self.path)


def read(path: Path) -> Document:
    """Read a file with one YAML mapping with text keys.

    Raises:
        InputError: No such file, not readable, not YAML, or not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError("no such file", where=str(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("cannot be read as text", where=str(path)) from error
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
        data = None if root is None else loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise InputError(f"not valid YAML: {error.problem}", where=where) from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that does not exist
        raise InputError(f"not valid YAML: {error}", where=str(path)) from error
    finally:
        loader.dispose()
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise InputError("not a YAML mapping of keys to values", where=str(path))
    assert root is not None
    return Document(path, data, dict(_lines(root, ())))


def _lines(node: yaml.Node, location: Location) -> list[tuple[Location, int]]:
    lines: list[tuple[Location, int]] = []
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*location, str(key.value))
            lines += [(here, key.start_mark.line + 1), *_lines(value, here)]
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            here = (*location, index)
            lines += [(here, value.start_mark.line + 1), *_lines(value, here)]
    return lines
