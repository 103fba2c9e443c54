"""Elements by name and number, and what is said of those that a model does not know."""

from __future__ import annotations

import pytest

from trainspot.common.elements import (
    by_number,
    check_known,
    check_symbols,
    is_element,
    numbers_of,
    symbols,
)
from trainspot.common.errors import InputError


def test_symbols_come_once_in_the_order_of_their_numbers():
    assert symbols([14, 6, 14, 1]) == "H, C, Si"
    assert symbols([]) == ""


def test_x_stands_for_no_element():
    assert is_element("Si")
    assert not any(map(is_element, ("X", "Xy", "si", "")))
    with pytest.raises(ValueError, match=r"^'X' is not an element$"):
        check_symbols(["Si", "X", "Q"])
    check_symbols(["Si"])


def test_numbers_of_names_that_are_elements():
    assert numbers_of(["Si", "C"]) == [14, 6]
    with pytest.raises(InputError, match=r"^deck:3: there is no element 'X'; write Si$"):
        numbers_of(["X"], where="deck:3", hint="write Si")


def test_values_by_number_are_those_of_elements():
    assert by_number({"Si": -1.5, "X": 3.0, "Xy": 2.0, "C": -2.0}) == {14: -1.5, 6: -2.0}


def test_unknown_elements_are_named_with_those_that_are_known():
    check_known([14], (6, 14))
    with pytest.raises(InputError) as caught:
        check_known([79, 14, 79, 1], (6, 14), where="member_1")
    assert str(caught.value) == (
        "member_1: the model does not know H, Au; it knows C, Si; train it on frames of the "
        "missing elements too"
    )
    with pytest.raises(InputError, match=r"^the committee does not know Au; .* others;"):
        check_known([79], range(1, 20), who="the committee")
