"""Which installed kind recognises a model file."""

from __future__ import annotations

from typing import ClassVar

import pytest

from trainspot.common import plugins
from trainspot.common.errors import InputError, MissingExtraError, UnknownNameError
from trainspot.models import potential


class Fake(potential.Potential):
    kind = "fake"
    loaded: ClassVar[list[tuple]] = []

    @classmethod
    def recognises(cls, path):
        return path.read_bytes().startswith(b"FAKE")

    @classmethod
    def load(cls, path, *, dtype="float64", device="cpu"):
        cls.loaded.append((path, dtype, device))
        return "a model"

    def prepare(self, frames):
        return frames

    def predict(self, prepared):
        return []


@pytest.fixture(autouse=True)
def kinds(monkeypatch):
    def load(group, name, *, where=""):
        if name == "absent":
            raise MissingExtraError("models 'absent'", "mace")
        if name != "fake":
            raise UnknownNameError("models", name, ["absent", "fake"])
        return Fake

    monkeypatch.setattr(plugins, "names", lambda group: ["absent", "fake"])
    monkeypatch.setattr(plugins, "load", load)


def test_the_kind_that_recognises_the_file_loads_it(tmp_path):
    path = tmp_path / "a.model"
    path.write_bytes(b"FAKE weights")
    assert potential.kind_of(path) == "fake"
    assert potential.load(path, dtype="float32") == "a model"
    assert Fake.loaded[-1] == (path, "float32", "cpu")


def test_a_file_nothing_recognises(tmp_path):
    path = tmp_path / "a.model"
    path.write_bytes(b"something else")
    with pytest.raises(InputError, match=r"a\.model: no installed model kind.*kinds: absent, fake"):
        potential.load(path)


def test_a_file_that_does_not_exist(tmp_path):
    with pytest.raises(InputError, match="no such model file"):
        potential.kind_of(tmp_path / "a.model")


def test_a_kind_named_by_the_user_is_not_guessed(tmp_path):
    path = tmp_path / "a.model"
    path.write_bytes(b"something else")
    assert potential.load(path, kind="fake") == "a model"
    with pytest.raises(UnknownNameError):
        potential.load(path, kind="other")
