"""Labels that a calculator left, in files of the user's."""

from __future__ import annotations

import pytest

from trainspot import io
from trainspot.common.errors import InputError

FRAME = """2
Lattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3:forces:R:3 {}
Cu 0 0 0 0.1 0 0
Cu 2 2 0 -0.1 0 0
"""


def read(tmp_path, entries):
    path = tmp_path / "a.extxyz"
    path.write_text(FRAME.format(entries))
    return io.read(path)[0]


def test_a_strategy_that_a_user_calls_md_drops_no_labels(tmp_path):
    frame = read(tmp_path, "energy=-3.1 strategy=md")
    assert (frame.labels.energy, frame.labels.forces[0, 0]) == (-3.1, 0.1)


def test_a_free_energy_that_no_smearing_explains_is_refused(tmp_path):
    with pytest.raises(InputError, match="differ by more than smearing"):
        read(tmp_path, "energy=-3.1 free_energy=0.0")
    assert read(tmp_path, "energy=-3.1 free_energy=-3.15").labels.energy == -3.15
