"""Every parameter of every strategy changes something, and has bounds that are checked."""

from __future__ import annotations

import pytest
from ase.build import bulk

from trainspot.augment.base import GROUP
from trainspot.augment.plan import augment, parse_plan
from trainspot.common import plugins
from trainspot.common.errors import InputError
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame

CHEAP = {
    "alloy": {"alloy_species": ["Na", "K"], "copies": 3},
    "cluster": {"copies": 3},
    "input": {},
    "isolated": {},
    "rattle": {"copies": 4},
    "slab": {"thickness": 6.0, "min_length": 5.0},
    "strain": {"copies": 3},
    "supercell": {"min_length": 9.0},
    "swap": {"share": 1.0},
    "vacancies": {"copies": 3},
}
TABLE = {
    "alloy": {
        "alloy_species": (["Na", "Li"], ["Na"]),
        "fixed_species": (["Cl"], ["Na"]),
        "fractions": ({"Na": 0.25, "K": 0.75}, {"Na": 2.0, "K": -1.0}),
        "copies": (2, 0),
    },
    "cluster": {"copies": (2, 0), "max_atoms": (3, 1), "distance": ("auto", 0.0)},
    "input": {},
    "isolated": {
        "box": (12.0, 0.0),
        "spin": ("hund", "up"),
        "species": (("Si", "Ge"), ("Xy",)),
    },
    "rattle": {
        "copies": (3, 0),
        "fraction": (0.1, 0.0),
        "strain": (None, {"mode": "sideways"}),
        "vacancies": (None, {"count": 0}),
    },
    "slab": {
        "miller": ([[2, 1, 0]], [[0, 0, 0]]),
        "thickness": (12.0, 0.0),
        "min_length": (9.0, 0.0),
        "max_atoms": (20, 0),
        "terminations": ("all", "some"),
        "symprec": (1e-5, 0.0),
    },
    "strain": {"copies": (2, 0), "range": ([0.0, 0.1], [0.1, 0.0]), "mode": ("full", "sideways")},
    "supercell": {"min_length": (12.0, 0.0), "max_atoms": (20, 0), "shape": ("general", "round")},
    "swap": {"share": (0.5, 0.0), "swaps": (0.4, 0.0), "copies": (2, 0)},
    "vacancies": {"copies": (2, 0), "count": (1, 0)},
}
ROWS = [(kind, name, *values) for kind, row in TABLE.items() for name, values in row.items()]


def structures():
    """Salt that is not quite cubic, in a cell that is longer than wide, and another salt."""
    salt = bulk("NaCl", "rocksalt", a=5.64, cubic=True) * (2, 1, 1)
    other = bulk("NaCl", "zincblende", a=5.9, cubic=True)
    salt.positions[0] += [0.002, 0.001, 0.0]
    return [Frame.from_atoms(salt), Frame.from_atoms(other)]


def made(item):
    found = augment(Dataset.from_frames(structures()), parse_plan([item]), 1).dataset
    moments = [frame.arrays.get("initial_magmoms", [None])[0] for frame in found]
    return found.ids, moments


def test_the_table_knows_all_strategies_and_parameters():
    assert set(TABLE) == set(plugins.names(GROUP))
    for kind, row in TABLE.items():
        fields = plugins.load(GROUP, kind).model_fields
        assert set(row) == set(fields) - {"kind"}


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (
            {"kind": "cluster", "distance": 0},
            "distance must be 'auto' or must be greater than 0.2, not 0",
        ),
        (
            {"kind": "cluster", "distance": "far"},
            "distance must be 'auto' or must be a number, not 'far'",
        ),
        ({"kind": "slab", "miller": []}, "miller must list at least 1"),
        ({"kind": "slab", "miller": [[1, 1, 0, 1]]}, "miller.0 must list at most 3"),
        ({"kind": "strain", "range": [0.1]}, "range.1 is missing"),
        ({"kind": "rattle", "copies": True}, "copies must be a whole number, not True"),
        ({"kind": "rattle", "fraction": True}, "fraction must be a number, not True"),
        (
            {"kind": "rattle", "vacancies": {"count": True}},
            "vacancies.count must be a whole number, not True",
        ),
        (
            {"kind": "rattle", "strain": {"range": "wide", "mode": "up"}},
            "strain.range must be a list, not 'wide'",
        ),
    ],
)
def test_what_is_wrong_is_told_in_words(item, message):
    """Also a truth value, which is what YAML makes of ``yes``, where a number is wanted."""
    with pytest.raises(InputError) as refused:
        parse_plan([item])
    assert str(refused.value) == f"{item['kind']}.{message}"


@pytest.mark.parametrize(("kind", "name", "other", "bad"), ROWS)
def test_every_parameter_changes_something_and_is_checked(kind, name, other, bad):
    item = {"kind": kind, **CHEAP[kind]}
    assert made({**item, name: other}) != made(item)
    with pytest.raises(InputError, match=name):
        parse_plan([{**item, name: bad}])
