"""Classes behind a seam are refused when they are made, with all that they lack."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import pytest
from pydantic import ValidationError

from trainspot.common import plugins
from trainspot.common.contracts import Contract
from trainspot.common.errors import ContractError, InputError
from trainspot.config.schema import schema
from trainspot.config.stages import TrainSection
from trainspot.explore.base import explorer
from trainspot.label.base import FrameEngine, engine
from trainspot.models import potential
from trainspot.train.run import trainer
from trainspot.train.toy import ToyTrainer


class Seam(Contract, abstract=True):
    name: ClassVar[str]
    repeats: ClassVar[bool] = False
    required: ClassVar[dict] = {"name": "what it is called"}
    capabilities: ClassVar[dict] = {"repeats": "again"}

    @classmethod
    @abstractmethod
    def work(cls):
        """Do what is to be done. And more."""

    @classmethod
    def again(cls):
        raise NotImplementedError


class Whole(Seam):
    name = "whole"

    @classmethod
    def work(cls):
        return 1


def test_all_that_is_missing_is_named():
    message = (
        r"Half: lacks name \(what it is called\), work\(\) \(Do what is to be done. And more\)"
    )
    with pytest.raises(ContractError, match=message):

        class Half(Seam):
            pass


def test_a_base_class_of_ones_own_may_be_half():
    class Family(Seam, abstract=True):
        name = "family"

    with pytest.raises(ContractError, match=r"Member: lacks work\(\)"):

        class Member(Family):
            pass


def test_a_method_without_its_declaration_and_the_other_way_round():
    with pytest.raises(ContractError, match=r"declares repeats = True but has no again\(\)"):

        class Claims(Whole):
            repeats = True

    with pytest.raises(ContractError, match=r"has again\(\) but does not declare repeats = True"):

        class Hides(Whole):
            @classmethod
            def again(cls):
                return 2

    class Declares(Whole):
        repeats = True

        @classmethod
        def again(cls):
            return 2

    class Inherits(Declares):
        name = "inherits"

    assert Inherits.again() == 2


@pytest.mark.parametrize("load", [trainer, engine, explorer, potential.potential_kind])
def test_what_does_not_derive_from_the_base_class_is_refused(monkeypatch, load):
    monkeypatch.setattr(plugins, "load", lambda *_, **__: Whole)
    with pytest.raises(ContractError, match=r"Whole does not derive from trainspot\."):
        load("whole")


def test_a_broken_kind_of_models_does_not_hide_the_others(monkeypatch, tmp_path):
    path = tmp_path / "model"
    path.write_bytes(b"weights")
    monkeypatch.setattr(plugins, "names", lambda group: ["broken", "toy"])
    right = plugins.load
    monkeypatch.setattr(
        plugins, "load", lambda group, name: Whole if name == "broken" else right(group, name)
    )
    with pytest.raises(InputError, match="kind 'broken' cannot be used: Whole does not derive"):
        potential.kind_of(path)


def test_a_broken_engine_does_not_break_the_schema_of_the_others(monkeypatch):
    names, load = plugins.names, plugins.load
    monkeypatch.setattr(plugins, "names", lambda group: [*names(group), "broken"])
    monkeypatch.setattr(
        plugins,
        "load",
        lambda group, name, **more: Whole if name == "broken" else load(group, name),
    )
    engines = schema()["$defs"]["TrainSection"]["anyOf"]
    assert {"$ref": "#/$defs/TrainSection.toy"} in engines
    assert not [one for one in engines if "broken" in one["$ref"]]
    with pytest.raises(ValidationError, match="Whole does not derive from"):
        TrainSection(engine="broken")


def test_a_trainer_that_starts_from_scratch_only_is_not_asked_to_do_otherwise(monkeypatch):
    class FromScratch(ToyTrainer):
        takes_start = False

    monkeypatch.setattr(plugins, "load", lambda *_, **__: FromScratch)
    with pytest.raises(ValidationError, match="'toy' cannot start from a model; use 'start: scra"):
        TrainSection(engine="toy", start="previous")
    assert TrainSection(engine="toy").start == "scratch"


def test_what_a_trainer_does_not_declare_is_refused(tmp_path):
    class FromScratch(ToyTrainer):
        takes_start = False

    with pytest.raises(InputError, match="'toy' cannot start from a model"):
        FromScratch.refuse_unsupported(tmp_path, None)
    with pytest.raises(InputError, match="'toy' keeps no checkpoints"):
        FromScratch.refuse_unsupported(None, tmp_path)
    ToyTrainer.refuse_unsupported(tmp_path, None)


def test_a_label_engine_says_where_it_runs():
    assert engine("ase").runs_in_process
    assert issubclass(engine("ase"), FrameEngine)
    assert not engine("quantumespresso").runs_in_process


def test_a_trainer_with_a_program_of_its_own_does_not_run_here(tmp_path):
    with pytest.raises(InputError, match="'mace' has a program of its own; run mace_run_train"):
        trainer("mace").run(tmp_path)
