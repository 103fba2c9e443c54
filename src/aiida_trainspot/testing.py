"""Checks of the work chain of an engine, ours or a third party's.

``trainspot.testing`` exports these checks too, if AiiDA is installed.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal

from aiida.common.exceptions import EntryPointError
from aiida.engine import BaseRestartWorkChain, WorkChain
from aiida.plugins import WorkflowFactory
from aiida.plugins.entry_point import get_entry_point_names

from aiida_trainspot.workflows.explore.base import ExploreEngineWorkChain
from aiida_trainspot.workflows.label.base import LabelEngineWorkChain
from aiida_trainspot.workflows.train.member import TrainMemberWorkChain
from aiida_trainspot.workflows.train.toy import ToyTrainWorkChain
from trainspot.common import plugins
from trainspot.explore.base import GROUP, explorer
from trainspot.testing.claims import Claims

if TYPE_CHECKING:
    from collections.abc import Iterator

Stage = Literal["label", "train", "explore"]

_EXAMPLES: dict[Stage, type[WorkChain]] = {
    "label": LabelEngineWorkChain,
    "train": ToyTrainWorkChain,
    "explore": ExploreEngineWorkChain,
}
"""For each stage a work chain that has the ports of the stage and no others."""
_BASES: dict[Stage, type[WorkChain]] = {
    "label": LabelEngineWorkChain,
    "train": WorkChain,
    "explore": WorkChain,
}
"""Base class of the work chains of each stage, whose methods the stage calls."""


def check_workchain_ports(stage: Stage, name: str) -> None:
    """Assert that the work chain ``trainspot.<stage>.<name>`` fits its stage.

    - It is registered in ``aiida.workflows``, and runs the engine of that name.
    - It has the inputs of the stage, of the same types, and asks for no others.
    - It has the outputs of the stage, of the same types; those that the stage needs are required.
    - It has the exit codes of the stage, by number and label; those of AiiDA's
      ``BaseRestartWorkChain`` are not asked for.
    - It refuses settings that the engine does not know before anything is submitted.

    An explorer that draws from a pool must have no work chain: none would be used.

    No profile is needed. Every ``AssertionError`` names the work chain and what is wrong.

    Args:
        stage: ``label``, ``train`` or ``explore``.
        name: The registered name of the engine.
    """
    entry_point = f"trainspot.{stage}.{name}"
    if stage == "explore" and name in plugins.names(GROUP) and explorer(name).draws_from_pool:
        if entry_point in get_entry_point_names("aiida.workflows"):
            raise AssertionError(f"'{entry_point}' is registered, and '{name}' draws from a pool")
        return
    try:
        workchain = WorkflowFactory(entry_point)
    except EntryPointError as error:
        raise AssertionError(
            f"'{entry_point}' is not registered in aiida.workflows: {error}"
        ) from error
    claims = Claims("work chain", entry_point, workchain)
    base = _BASES[stage]
    claims(
        issubclass(workchain, base), f"does not derive from {base.__module__}.{base.__qualname__}"
    )
    example = _EXAMPLES[stage]
    if issubclass(workchain, (ExploreEngineWorkChain, LabelEngineWorkChain, TrainMemberWorkChain)):
        said = _engine_of(workchain, stage)
        claims(said == name, f"runs the engine '{said}', not '{name}'")
    _check_inputs(claims, workchain, example)
    _check_outputs(claims, workchain, example)
    _check_exit_codes(claims, workchain, example)
    validator = workchain.spec().inputs["settings"].validator
    claims(validator is not None, "does not check settings before it runs")
    unknown: Any = SimpleNamespace(get_dict=lambda: {"no_such_setting": 1})
    with claims.works("its check of settings"):
        answer = validator(unknown, workchain.spec().inputs["settings"])
    claims(answer, "accepts settings that the engine does not know")


def _engine_of(workchain: Any, stage: Stage) -> str:
    """The engine that a work chain declares."""
    return str(workchain._process_class.TRAINER if stage == "train" else workchain.engine)  # noqa: SLF001


def _check_inputs(claims: Claims, workchain: type[WorkChain], example: type[WorkChain]) -> None:
    inputs, wanted = workchain.spec().inputs, example.spec().inputs
    for name, port in _own(wanted):
        claims(name in inputs, f"has no input '{name}'")
        types = (inputs[name].valid_type, port.valid_type)
        claims(_covers(*types), f"the input '{name}' takes {types[0]}, not {types[1]}")
        claims(
            port.required or not inputs[name].required,
            f"the input '{name}' is required, and the stage may leave it out",
        )
    more = [name for name, port in _own(inputs) if port.required and name not in wanted]
    claims(not more, f"asks for inputs that the stage does not give: {', '.join(more)}")


def _check_outputs(claims: Claims, workchain: type[WorkChain], example: type[WorkChain]) -> None:
    outputs = workchain.spec().outputs
    for name, port in example.spec().outputs.items():
        claims(name in outputs, f"has no output '{name}'")
        types = (port.valid_type, outputs[name].valid_type)
        claims(_covers(*types), f"the output '{name}' is {types[1]}, not {types[0]}")
        claims(outputs[name].required or not port.required, f"the output '{name}' may be missing")


def _check_exit_codes(claims: Claims, workchain: type[WorkChain], example: type[WorkChain]) -> None:
    """Codes that every restarting work chain has are not those of the stage."""
    common = BaseRestartWorkChain.spec().exit_codes
    for label, code in example.spec().exit_codes.items():
        if label in common:
            continue
        labels = [
            name
            for name, candidate in workchain.spec().exit_codes.items()
            if candidate.status == code.status
        ]
        claims(labels, f"has no exit code {code.status}")
        claims(label in labels, f"the exit code {code.status} is {', '.join(labels)}, not {label}")


def _own(ports: Any) -> Iterator[tuple[str, Any]]:
    """Ports other than those of all processes and of all restarting work chains."""
    common = BaseRestartWorkChain.spec().inputs
    yield from ((name, port) for name, port in ports.items() if name not in common)


def _covers(wide: Any, narrow: Any) -> bool:
    """Whether a port with the types ``wide`` accepts all types of ``narrow``."""
    if wide is None:
        return True
    several = narrow if isinstance(narrow, tuple) else (narrow,)
    return all(kind is not None and issubclass(kind, wide) for kind in several)
