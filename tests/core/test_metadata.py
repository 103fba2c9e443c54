"""Metadata comes back exactly as it was, or is refused."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainspot.common.errors import DataError
from trainspot.data.metadata import decode_metadata, encode_metadata

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.floats(allow_nan=False).map(np.float64),
    st.floats(allow_nan=False, width=32).map(np.float32),
    st.integers(-(2**31), 2**31 - 1).map(np.int32),
    st.booleans().map(np.bool_),
)
KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(KEYS, inner, max_size=3),
    ),
    max_leaves=8,
)


def same(a, b) -> bool:
    """Equality that also compares types, all the way down."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_plain_metadata_round_trips_with_its_types(mapping):
    assert same(decode_metadata(encode_metadata(mapping)), mapping)


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "<i8", ">i4", "u1", "?", "u8"])
@pytest.mark.parametrize("shape", [(0,), (), (3,), (2, 3), (2, 0, 3)])
def test_arrays_round_trip_bit_for_bit(dtype, shape):
    array = np.array(np.random.default_rng(1).integers(0, 2, shape), dtype=dtype)
    back = decode_metadata(encode_metadata({"a": array}))["a"]
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert back.tobytes() == array.tobytes()


def test_numbers_that_need_all_their_digits():
    numbers = {"a": np.nextafter(np.float32(0.1), np.float32(1)), "b": 0.1 + 0.2, "c": 2**80}
    back = decode_metadata(encode_metadata(numbers))
    assert same(back, numbers)
    assert np.isnan(decode_metadata(encode_metadata({"a": float("nan")}))["a"])


def test_equal_metadata_are_equal_bytes_whatever_their_order():
    one = {"a": 1, "b": {"c": 2, "d": 3}}
    other = {"b": {"d": 3, "c": 2}, "a": 1}
    assert encode_metadata(one) == encode_metadata(other)
    assert encode_metadata({}) == b""
    assert decode_metadata(b"") == {}


@pytest.mark.parametrize(
    "value",
    [
        {1: "a"},
        {"a": {2: 3}},
        {"a": object()},
        {"a": {1, 2}},
        {"a": b"bytes"},
        {"a": 1 + 2j},
        {"a": np.array(["x"])},
        {"a": np.array([1j])},
        {"a": np.array([object()])},
        {"a": np.longdouble(1) / 3},
        {"a": dt.date(2000, 1, 1)},
        {"a": "\ud800"},
        {"a": {"__numpy__": 1}},
    ],
    ids=range(13),
)
def test_what_would_not_come_back_is_refused(value):
    with pytest.raises(DataError, match="metadata"):
        encode_metadata(value)


@pytest.mark.parametrize(
    "text",
    [
        b"{",
        b"\xff\xfe",
        b"[1]",
        b'{"__ndarray__": [1], "dtype": "f8"}',
        b'{"a": {"__ndarray__": [1], "dtype": "O", "shape": [1]}}',
        b'{"a": {"__ndarray__": [1, 2], "dtype": "f8", "shape": [3]}}',
        b'{"a": {"__numpy__": [1], "dtype": "nonsense"}}',
        b'{"a":' * 100_000,
    ],
    ids=range(8),
)
def test_damaged_text_is_a_data_error(text):
    with pytest.raises(DataError, match="damaged"):
        decode_metadata(text)
