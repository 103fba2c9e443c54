"""Comment lines of extended XYZ as people write them: no entry takes in another one."""

from __future__ import annotations

import ase.io
import pytest
from ase.build import bulk

from trainspot import io
from trainspot.common.errors import InputError
from trainspot.io.comment import parse


@pytest.mark.parametrize("empty", ["note=", 'note=""', "note=''", "note =", "note= "])
@pytest.mark.parametrize("key", ["energy", "REF_energy", '"my energy"'])
def test_an_empty_value_leaves_the_next_entry_alone(empty, key):
    expected = {"note": "", key.strip('"'): -3.1}
    assert parse(f"{empty} {key}=-3.1") == expected
    assert parse(f"{key}=-3.1 {empty}") == expected


def test_an_empty_value_before_the_cell_and_as_ase_writes_it(tmp_path):
    assert parse('note="" Lattice="4 0 0 0 4 0 0 0 4"')["Lattice"].tolist()[2] == [0, 0, 4]
    atoms = bulk("Cu")
    atoms.info = {"note": "", "REF_energy": -3.1}
    ase.io.write(tmp_path / "a.extxyz", atoms)
    [frame] = io.read(tmp_path / "a.extxyz")
    assert (frame.labels.energy, frame.info) == (-3.1, {"note": ""})
    io.write([frame], tmp_path / "b.extxyz")
    assert io.read(tmp_path / "b.extxyz")[0].info == {"note": ""}


def test_an_empty_label_is_none():
    assert parse('energy= stress="1 0 0 0 1 0 0 0 1" forces=').keys() == {"stress"}


def test_blanks_around_the_equals_sign_are_allowed():
    assert parse("a = 5 b= 6 c =7 d = 'x y'") == {"a": 5, "b": 6, "c": 7, "d": "x y"}


@pytest.mark.parametrize("name", ["O'Neil", "it's", '5"', "a'b'c", 'x"y'])
def test_a_quote_within_a_word_is_a_letter(name):
    assert parse(f"by={name} energy=-3.1") == {"by": name, "energy": -3.1}
    assert parse(f"{name} energy=-3.1") == {name: True, "energy": -3.1}


@pytest.mark.parametrize(
    "entry", ['note="open', "note='open", "'open", '"open', "note=[1, 2", "note={a [b] ="]
)
def test_what_is_never_closed_is_refused(entry):
    with pytest.raises(InputError, match="is never closed"):
        parse(f"a=1 {entry} energy=-3.1")


def test_what_follows_a_closing_quote_is_refused_unless_it_is_an_entry():
    with pytest.raises(InputError, match="'it' is followed by 's it'"):
        parse("note='it's it' energy=-3.1")
    assert parse('a="1 2"energy=-3.1')["energy"] == -3.1


@pytest.mark.parametrize(
    "text",
    ["C(=O)N[C@@H](C)C", "[C@@H](C)C", "[Na+].[Cl-]", '{"a":1}', '{"a": 1, "b": {"c": 2}}',
     "a{b}c", "C:\\new\\data", "{}", "[Cu, Ni]"],
)  # fmt: skip
def test_braces_brackets_and_backslashes_stay(text):
    assert parse(f"text={text} energy=-3.1") == {"text": text, "energy": -3.1}


def test_groups_of_numbers_are_arrays():
    found = parse('a={1 2 3} b=[1, 2] c="1 2" d=[[1, 2], [3, 4]] e={5}')
    assert [found[key].tolist() for key in "abc"] == [[1, 2, 3], [1, 2], [1, 2]]
    assert (found["d"].shape, found["e"]) == ((2, 2), 5)


def test_a_value_without_a_name_is_refused():
    with pytest.raises(InputError, match=r"'=5 energy=-3\.1' has no name"):
        parse("a=1 =5 energy=-3.1")
