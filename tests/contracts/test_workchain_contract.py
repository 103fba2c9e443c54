"""The work chain of every registered engine fits its stage, and mistakes are told by name."""

from __future__ import annotations

import pytest
from aiida import orm
from aiida.engine import BaseRestartWorkChain, WorkChain

import aiida_trainspot.testing
from aiida_trainspot import exit_codes
from aiida_trainspot.calculations.toy_train import ToyTrainCalculation
from aiida_trainspot.data.pes import PESData
from aiida_trainspot.exit_codes import SUB_PROCESS_FAILED_EXPLORE
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
ENDING = SUB_PROCESS_FAILED_EXPLORE


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


class Relabelled(AseMdWorkChain):
    @classmethod
    def define(cls, spec):
        super().define(spec)
        code = spec.exit_codes.pop(ENDING.label)
        spec.exit_code(code.status, "ERROR_LICENCE", code.message)


class Failing(AseMdWorkChain):
    @classmethod
    def define(cls, spec):
        super().define(spec)
        spec.inputs["settings"].validator = lambda value, port: value.get_dict()["temperature"]


class Other(ToyTrainWorkChain):
    class Process(ToyTrainCalculation):
        TRAINER = "mace"

    _process_class = Process


class Plain(WorkChain):
    """A training of its own, which restarts nothing."""

    @classmethod
    def define(cls, spec):
        super().define(spec)
        restarts = tuple(BaseRestartWorkChain.spec().inputs)
        spec.expose_inputs(ToyTrainWorkChain, exclude=restarts)
        spec.expose_outputs(ToyTrainWorkChain)
        exit_codes.declare(
            spec,
            exit_codes.OUTPUT_MISSING,
            exit_codes.OUTPUT_UNREADABLE,
            exit_codes.OUT_OF_WALLTIME,
            exit_codes.TRAINING_DIVERGED,
            exit_codes.OUT_OF_MEMORY,
        )


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
        (
            "explore",
            Relabelled,
            f"the exit code {ENDING.status} is ERROR_LICENCE, not {ENDING.label}",
        ),
        ("explore", Failing, "its check of settings raised KeyError: 'temperature'"),
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


def test_a_trainer_may_be_a_work_chain_that_restarts_nothing(monkeypatch):
    monkeypatch.setattr(aiida_trainspot.testing, "WorkflowFactory", lambda _: Plain)
    assert "ERROR_UNHANDLED_FAILURE" not in Plain.spec().exit_codes
    check_workchain_ports("train", "toy")


def test_a_work_chain_that_is_not_registered_is_caught():
    with pytest.raises(AssertionError, match=r"'trainspot\.label\.vasp' is not registered"):
        check_workchain_ports("label", "vasp")


def test_without_aiida_the_extra_is_named(monkeypatch):
    def absent(name):
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(testing, "import_module", absent)
    with pytest.raises(MissingExtraError, match=r"pip install 'trainspot\[aiida\]'"):
        testing.check_workchain_ports  # noqa: B018  (asking for it is what fails)
