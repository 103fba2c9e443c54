"""The reference of work chains has every port of every work chain."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
from aiida import orm
from aiida.engine import WorkChain

EXTENSIONS = Path(__file__).parents[2] / "docs" / "_ext"


@pytest.fixture(scope="module")
def ports():
    """The module that makes the page."""
    spec = importlib.util.spec_from_file_location("ports", EXTENSIONS / "ports.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["ports"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["ports"]


def test_every_port_that_a_user_sets_has_a_row(ports):
    chains = dict(ports.work_chains())
    assert {"trainspot.campaign", "trainspot.label.ase", "trainspot.train.mace"} <= set(chains)
    for name, process in chains.items():
        rows = {row[0].strip("`") for row in ports.inputs(process)}
        assert rows >= set(process.spec().inputs) - {"metadata"}, name
        rows = {row[0].strip("`") for row in ports.outputs(process)}
        assert rows >= set(process.spec().outputs), name


class Silent(WorkChain):
    """Has inputs and outputs of which nobody says what they are."""

    @classmethod
    def define(cls, spec):
        super().define(spec)
        spec.input("seed", valid_type=orm.Int)
        spec.input_namespace("codes", help="The program of each stage.")
        spec.input("codes.label", valid_type=orm.AbstractCode, help=" ")
        spec.output_namespace("models", valid_type=orm.SinglefileData, dynamic=True)


class Ours(Silent):
    __module__ = "aiida_trainspot.workflows.silent"


def test_a_port_of_ours_without_help_stops_the_page(ports):
    with pytest.raises(ValueError, match=r"aiida_trainspot\..*Ours: the port 'seed' has no help"):
        ports.inputs(Ours)
    with pytest.raises(ValueError, match="the port 'models' has no help"):
        ports.outputs(Ours)
    del Ours.spec().inputs["seed"]
    with pytest.raises(ValueError, match=r"the port 'codes\.label' has no help"):
        ports.inputs(Ours)


def test_a_port_of_another_package_may_lack_help(ports):
    assert [row[3] for row in ports.inputs(Silent)] == ["–", "The program of each stage.", "–"]
    assert [row[3] for row in ports.outputs(Silent)] == ["–"]


def test_rows_say_type_and_need(ports):
    chains = dict(ports.work_chains())
    rows = {row[0]: row for row in ports.inputs(chains["trainspot.label"])}
    assert rows["`dataset`"][1:3] == ("PESData", "yes")
    assert rows["`options`"][1:3] == ("Dict", "no")
    rows = {row[0]: row for row in ports.inputs(chains["trainspot.campaign"])}
    assert rows["`codes.label`"][1] == "AbstractCode"
    assert rows["`codes`"][1] == "namespace"
