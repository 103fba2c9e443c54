"""``calibration.json``: the files of all versions are read, and nonsense is refused in one line."""

from __future__ import annotations

import json
import math
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from trainspot.cli._values import calibrations
from trainspot.common.errors import DataError
from trainspot.models.exported import CalibrationFile, write_calibration
from trainspot.predictions.calibration import Calibration, trusted
from trainspot.predictions.error_bars import Trust

EXPORT = Path(__file__).parents[2] / "aiida" / "before" / "demo-export"

FIRST = {field.name for field in fields(Calibration) if field.default is MISSING}
"""The fields that the first version wrote, and every version since."""


@pytest.fixture
def entry():
    """The forces as in the export of an earlier version."""
    return json.loads((EXPORT / "calibration.json").read_text())["properties"]["forces"]


@pytest.fixture
def write(tmp_path):
    """Writes the content of a file, with ``models`` as in an export."""

    def call(properties, models=None):
        path, content = tmp_path / "calibration.json", properties
        if models is not None:
            content = {"format": "trainspot-calibration", "format_version": 1, "models": models,
                       "properties": properties}  # fmt: skip
        path.write_text(json.dumps(content))
        return path

    return call


def test_an_export_of_an_earlier_version_is_read(entry):
    made = CalibrationFile.read(EXPORT)
    assert set(made.calibrations) == {"energy", "forces", "stress"}
    forces = made.calibrations["forces"]
    assert forces == Calibration.from_dict(entry)
    assert (forces.pairs, forces.tpr_interval) == (entry["pairs"], tuple(entry["tpr_interval"]))
    assert made.trust()["forces"] == Trust(entry["sigma"], entry["threshold"], entry["atom_sigma"])


@pytest.mark.parametrize("models", [None, ["m0.toy", "m1.toy"]])
def test_the_first_form_is_read(entry, write, models):
    first = {name: entry[name] for name in FIRST}
    made = CalibrationFile.read(write({"forces": first}, models))
    assert made.models == tuple(models or ())
    assert (made.calibrations["forces"].sigma, made.calibrations["forces"].needed) == (None, 12)
    assert made.trust() == {"forces": Trust(entry["slope"], entry["threshold"])}


def test_fields_of_a_later_version_do_not_matter(entry, write):
    made = CalibrationFile.read(write({"forces": entry | {"later": 1}}))
    assert made.calibrations == {"forces": Calibration.from_dict(entry)}


def test_a_slope_made_by_hand_gives_error_bars(write):
    by_hand = {"forces": {"slope": 2, "fitted": True}, "energy": {"slope": 3.0, "fitted": False}}
    made = CalibrationFile.read(write(by_hand, ["m0.toy"]))
    assert made.trust() == {"forces": Trust(2.0, math.inf)}


def test_what_is_written_is_read(entry, tmp_path):
    made = {"forces": Calibration.from_dict(entry)}
    write_calibration(tmp_path, ["m0.toy"], made)
    assert CalibrationFile.of_export(tmp_path).calibrations == made
    written = json.loads((tmp_path / "calibration.json").read_text())["properties"]
    added = {"committee": "", "basis": "", "bars_from": "", "bars_frames": 0}
    added |= {"bar_90": None, "atom_bar_90": None}
    assert written == {"forces": entry | added}


@pytest.mark.parametrize(
    "content",
    [
        {"a": 1},
        {"forces": {}},
        {"forces": None},
        {"forces": []},
        {"forces": {"slope": 1.0}},
        {"forces": {"slope": "x", "fitted": True}},
        {"forces": {"slope": 1.0, "fitted": True, "interval": 3}},
        {"forces": {"slope": 1.0, "fitted": True, "verdict": "excellent"}},
        {"charges": {"slope": 1.0, "fitted": True}},
    ],
)
def test_nonsense_is_refused_in_one_line(write, content):
    path = write(content)
    for read in (CalibrationFile.read, lambda path: calibrations([str(path)], "--thresholds")):
        with pytest.raises(DataError, match="not a file of calibrations") as caught:
            read(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("properties", "complaint"),
    [
        ([], "the list of models or properties is damaged"),
        ({"forces": 3}, "the list of models or properties is damaged"),
        ({"forces": {"slope": 1.0}}, "the list of models or properties is damaged"),
        ({"forces": {"slope": None, "fitted": True}}, "the calibration of 'forces' is damaged"),
        ({"charges": {"slope": 1.0, "fitted": True}}, "of 'charges', which is unknown"),
    ],
)
def test_a_damaged_export_is_told_where(write, properties, complaint):
    path = write(properties, ["m0.toy"])
    with pytest.raises(DataError, match=complaint) as caught:
        CalibrationFile.of_export(path.parent)
    assert str(path) in str(caught.value)


def test_only_what_was_fitted_is_trusted(entry):
    unfitted = Calibration.from_dict(entry | {"fitted": False})
    plain = Calibration.from_dict(entry | {"sigma": None, "atom_sigma": None})
    assert trusted({"energy": unfitted, "forces": plain}) == {
        "forces": Trust(plain.slope, plain.threshold)
    }
