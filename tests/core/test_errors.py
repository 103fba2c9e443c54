"""Errors are one line, survive a process boundary, and carry their exit status."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainspot.common import errors


def subclasses(cls: type) -> list[type]:
    return [cls, *(c for child in cls.__subclasses__() for c in subclasses(child))]


SAMPLES = [
    errors.TrainspotError("what", where="file:3", hint="do this"),
    errors.InputError("no atoms"),
    errors.DataError("damaged", where="frames.h5"),
    errors.UnknownNameError("engine", "mce", ["mace", "toy"], where="campaign.yaml:4"),
    errors.MissingExtraError("train 'mace'", "mace"),
    errors.RunError("failed"),
    errors.OutputMissingError("no model", where="out"),
    errors.OutputUnreadableError("bad model"),
    errors.TrainingDivergedError("loss is nan"),
    errors.NonFiniteError("forces are nan"),
]


def test_the_message_has_what_where_and_hint():
    error = errors.InputError("no atoms", where="a.cif:3", hint="add some")
    assert str(error) == "a.cif:3: no atoms; add some"
    assert (error.what, error.where, error.hint) == ("no atoms", "a.cif:3", "add some")
    assert str(errors.InputError("no atoms")) == "no atoms"


@given(st.text(), st.text(), st.text())
def test_the_message_is_one_line_whatever_others_said(what, where, hint):
    assert len(str(errors.RunError(what, where=where, hint=hint)).splitlines()) <= 1


@pytest.mark.parametrize("error", SAMPLES, ids=lambda e: type(e).__name__)
def test_errors_come_back_from_a_worker_process(error):
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


def test_exit_codes_follow_the_contract():
    assert errors.RunError("x").exit_code == 1
    for cls in subclasses(errors.InputError):
        assert cls.exit_code == 2
    assert errors.OutputMissingError.exit_status == 303
    assert errors.OutputUnreadableError.exit_status == 304
    assert errors.TrainingDivergedError.exit_status == 305
    assert errors.NonFiniteError.exit_status == 306


def test_an_unknown_name_offers_the_nearest():
    error = errors.UnknownNameError("engine", "mcae", ["toy", "mace"], where="campaign.yaml:4")
    assert str(error) == "campaign.yaml:4: unknown engine 'mcae'; did you mean 'mace'?"


def test_an_unknown_name_without_a_near_one_lists_all_in_order():
    assert str(errors.UnknownNameError("engine", "zzz", ["toy", "mace"])).endswith(
        "known: mace, toy"
    )
    assert str(errors.UnknownNameError("engine", "zzz", [])).endswith("known: none")


def test_a_missing_extra_names_the_pip_line():
    assert "pip install 'trainspot[mace]'" in str(errors.MissingExtraError("MACE", "mace"))
