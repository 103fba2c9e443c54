"""The work chain of every registered engine fits its stage, and mistakes are told by name."""

from __future__ import annotations

import pytest
from aiida import orm

import aiida_trainspot.testing
from aiida_trainspot.calculations.toy_train import ToyTrainCalculation
from aiida_trainspot.data.pes import PESData
from aiida_trainspot.workflows.explore.ase import AseMdWorkChain
from aiida_trainspot.workflows.label.ase import AseLabelWorkChain
from aiida_trainspot.workflows.train.toy import ToyTrainWorkChain
from trainspot import testing
from trainspot.common import plugins
from trainspot.common.errors import MissingExtraError
from trainspot.testing import check_workchain_ports

ENGINES = [
    (stage, name)
    for stage in ("label", "train", "explore")
    for name in plugins.names(f"trainspot.{stage}")
]


@pytest.mark.parametrize(("stage", "name"), ENGINES)
def test_the_workchain_of(stage, name):
    check_workchain_ports(stage, name)


# ── the contract itself ───────────────────────────────────────────────────────
class Demanding(AseLabelWorkChain):
    @classmethod
    def define(cls, spec):
        super().define(spec)
        spec.input("licence", valid_type=orm.Str)


class Untyped(AseLabelWorkChain):
    @classmethod
    def define(cls, spec):
        super().define(spec)
        spec.input("dataset", valid_type=orm.SinglefileData)


class Optional(AseLabelWorkChain):
    @classmethod
    def define(cls, spec):
        super().define(spec)
        spec.output("labelled", valid_type=PESData, required=False)


class Trusting(AseMdWorkChain):
    @classmethod
    def define(cls, spec):
        super().define(spec)
        spec.input("settings", valid_type=orm.Dict, default=lambda: orm.Dict({}))


class Codeless(AseMdWorkChain):
    @classmethod
    def define(cls, spec):
        super().define(spec)
        spec.exit_codes.clear()


class Other(ToyTrainWorkChain):
    class Process(ToyTrainCalculation):
        TRAINER = "mace"

    _process_class = Process


class NoModel(ToyTrainWorkChain):
    @classmethod
    def define(cls, spec):
        super().define(spec)
        del spec.outputs["model"]


class NoBag(ToyTrainWorkChain):
    @classmethod
    def define(cls, spec):
        super().define(spec)
        del spec.inputs["bag"]


@pytest.mark.parametrize(
    ("stage", "wrong", "message"),
    [
        ("label", Demanding, "asks for inputs that the stage does not give: licence"),
        ("label", Untyped, "the input 'dataset' takes .*SinglefileData.*, not .*PESData"),
        ("label", Optional, "the output 'labelled' may be missing"),
        ("label", AseMdWorkChain, "does not derive from .*LabelEngineWorkChain"),
        ("explore", Trusting, "does not check settings before it runs"),
        ("explore", Codeless, "has no exit code"),
        ("train", Other, "runs the engine 'mace', not 'wrong'"),
        ("train", NoModel, "has no output 'model'"),
        ("train", NoBag, "has no input 'bag'"),
    ],
)
def test_a_wrong_workchain_is_caught_by_name(monkeypatch, stage, wrong, message):
    names = {"label": "ase", "explore": "ase", "train": "toy"}
    name = "wrong" if wrong is Other else names[stage]
    monkeypatch.setattr(aiida_trainspot.testing, "WorkflowFactory", lambda _: wrong)
    subject = rf"work chain 'trainspot.{stage}.{name}' \(.*{wrong.__name__}\): .*"
    with pytest.raises(AssertionError, match=subject + message):
        check_workchain_ports(stage, name)


def test_a_work_chain_that_is_not_registered_is_caught():
    with pytest.raises(AssertionError, match=r"'trainspot\.label\.vasp' is not registered"):
        check_workchain_ports("label", "vasp")


def test_without_aiida_the_extra_is_named(monkeypatch):
    def absent(name):
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(testing, "import_module", absent)
    with pytest.raises(MissingExtraError, match=r"pip install 'trainspot\[aiida\]'"):
        testing.check_workchain_ports  # noqa: B018  (asking for it is what fails)
