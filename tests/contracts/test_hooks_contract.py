"""Mistakes in what an engine says of itself are told by name; ours are tested with their stages."""

from __future__ import annotations

import pytest

from trainspot.engine import Program, Remark
from trainspot.label.ase import AseLabelEngine
from trainspot.testing import check_label_engine


class OtherCode(AseLabelEngine):
    default_code = "mine@localhost"

    @classmethod
    def program(cls):
        return Program("yours", "mine.x")


class NoProgram(AseLabelEngine):
    default_code = "mine@localhost"


class NotAProgram(AseLabelEngine):
    @classmethod
    def program(cls):
        return "mine.x"


class NoExtra(AseLabelEngine):
    extra = "no-such-extra"


class Wordy(AseLabelEngine):
    @classmethod
    def preflight(cls, facts):
        yield Remark("note", "one\ntwo")


class Speechless(AseLabelEngine):
    @classmethod
    def preflight(cls, facts):
        yield "something is wrong"


class Failing(AseLabelEngine):
    @classmethod
    def preflight(cls, facts):
        raise KeyError(facts.inputs.species[0])


WRONG = {
    "code": (OtherCode, "makes the code 'yours', but default_code is 'mine@localhost'"),
    "no program": (NoProgram, r"is 'mine@localhost', but program\(\) does not say what it runs"),
    "not a program": (NotAProgram, r"program\(\) gives 'mine.x'"),
    "extra": (NoExtra, "the package trainspot has no extra 'no-such-extra'"),
    "lines": (Wordy, "a remark has several lines"),
    "no remark": (Speechless, r"preflight\(\) gives 'something is wrong', not a Remark"),
    "raising": (Failing, r"preflight\(\) raised KeyError: 'Al'"),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_wrong_engine_is_caught_by_name(mistake):
    wrong, message = WRONG[mistake]
    with pytest.raises(
        AssertionError, match=rf"label engine 'ase' \(.*{wrong.__name__}\): .*{message}"
    ):
        check_label_engine(wrong, {"calculator": "emt"})


def test_a_code_on_another_computer_is_made_by_hand():
    class Remote(AseLabelEngine):
        default_code = "mine@cluster"

    check_label_engine(Remote, {"calculator": "emt"})
