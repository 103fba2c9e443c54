"""Metadata of frames as JSON text; data that would not come back exactly are refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from trainspot.common.errors import DataError

_ARRAY: Final = "__ndarray__"
_SCALAR: Final = "__numpy__"
_TUPLE: Final = "__tuple__"
_OURS: Final = (_ARRAY, _SCALAR, _TUPLE)
_MAX_ITEM_BYTES: Final = 8  # long doubles have more digits than JSON numbers keep


def encode_metadata(mapping: Mapping[str, Any]) -> bytes:
    """Metadata as UTF-8 JSON, tuples, numpy scalars and arrays included; empty for nothing.

    Raises:
        DataError: A value or key that would come back different.
    """
    if not mapping:
        return b""
    try:
        plain = _encoded(dict(mapping))
        return json.dumps(plain, sort_keys=True, ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError) as error:
        raise DataError("metadata cannot be written as UTF-8 JSON") from error


def decode_metadata(text: bytes) -> dict[str, Any]:
    """The metadata that ``encode_metadata`` wrote.

    Raises:
        DataError: The text is damaged.
    """
    try:
        mapping = _DECODER.decode(text.decode()) if text else {}
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise DataError("the metadata of a frame is damaged") from error
    if not isinstance(mapping, dict):
        raise DataError("the metadata of a frame is damaged")
    return mapping


def _encoded(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        if value.dtype.kind in "biuf" and value.dtype.itemsize <= _MAX_ITEM_BYTES:
            if isinstance(value, np.generic):
                return {_SCALAR: value.item(), "dtype": value.dtype.str}
            return {_ARRAY: value.ravel().tolist(), "dtype": value.dtype.str, "shape": value.shape}
    elif value is None or type(value) in {str, bool, int, float}:
        return value
    elif type(value) is list:
        return [_encoded(item) for item in value]
    elif type(value) is tuple:
        return {_TUPLE: [_encoded(item) for item in value]}
    elif isinstance(value, Mapping):
        if not all(type(key) is str and key not in _OURS for key in value):
            raise DataError("metadata with keys that are not plain text cannot be kept losslessly")
        return {key: _encoded(item) for key, item in value.items()}
    raise DataError(
        f"metadata of type {type(value).__name__} cannot be kept losslessly",
        hint="use text, numbers, lists, dictionaries or numeric arrays",
    )


def _decoded(value: dict[str, Any]) -> Any:
    if _ARRAY in value:
        flat = np.array(value[_ARRAY], dtype=_numeric(value["dtype"]))
        return flat.reshape(value["shape"])
    if _SCALAR in value:
        return _numeric(value["dtype"]).type(value[_SCALAR])
    if _TUPLE in value:
        return tuple(value[_TUPLE])
    return value


_DECODER: Final = json.JSONDecoder(object_hook=_decoded)


def _numeric(name: str) -> np.dtype[Any]:
    """A dtype named in a file, which must be a plain number's."""
    dtype = np.dtype(name)
    if dtype.kind not in "biuf":
        raise ValueError(name)
    return dtype
