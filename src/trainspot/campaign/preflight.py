"""What can be foreseen of a campaign from its file and its frames, without any computer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from ase.data import atomic_numbers

from trainspot.augment import periodicity
from trainspot.augment.isolated import Isolated
from trainspot.augment.plan import parse_plan
from trainspot.augment.steps import steps_of
from trainspot.common.errors import InputError, TrainspotError, UnknownNameError
from trainspot.common.seeds import generator
from trainspot.common.text import counted
from trainspot.config.models import Campaign
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame
from trainspot.data.isolated import is_isolated_atom
from trainspot.data.state import MOMENTS
from trainspot.judge.calibrate import pairs_needed
from trainspot.judge.judgement import check_installed
from trainspot.judge.novelty import frames_needed
from trainspot.judge.spread import too_wide, without_stress
from trainspot.label.base import atomic_moment
from trainspot.label.calculators import calculator
from trainspot.label.electrons import are_fixed, odd
from trainspot.label.quantumespresso import QuantumEspressoSettings
from trainspot.plausibility import doubts
from trainspot.train.base import mixed_states
from trainspot.train.run import trainer

_SHARES: Final = (0.2, 0.3, 0.4)
"""Shares of validation that are offered, the smallest first; a tenth stays for the test."""


@dataclass(frozen=True)
class Remark:
    """One thing the user should know.

    Attributes:
        level: An ``error`` stops the campaign; a ``warning`` does not; a ``note`` asks for nothing.
        text: What, where, what to do.
    """

    level: Literal["error", "warning", "note"]
    text: str


def foresee(campaign: Campaign, inputs: Dataset, *, here: bool) -> Iterator[Remark]:
    """What is known before any frame is made.

    Args:
        campaign: The resolved campaign.
        inputs: The frames it starts from.
        here: Labels are computed by this installation of Python, so that what cannot be imported
            here is missing.
    """
    try:
        check_installed(campaign.select)
    except TrainspotError as error:
        yield Remark("error", str(error))
    if campaign.label.engine == "ase":
        yield from _calculator(campaign, inputs, here)
    yield from _states(campaign, inputs)
    if text := periodicity.note(inputs):
        yield Remark("warning", text)
    for doubt in doubts(inputs, seed=campaign.seed, atoms=_reference_energies(campaign)):
        yield Remark("warning", doubt.text)
    rng = generator(campaign.seed, "foresee", "spread")
    for text in (
        *too_wide(campaign.tolerance, inputs, rng),
        *without_stress(campaign.tolerance, inputs, engine_has_stress=_has_stress(campaign)),
    ):
        yield Remark("warning", text)


def _reference_energies(campaign: Campaign) -> dict[int, float] | None:
    """Energies of isolated atoms that the file gives, by atomic number."""
    given = trainer(campaign.train.engine).given_e0s(campaign.train.settings)
    if given is None:
        return None
    return {atomic_numbers.get(symbol, 0): energy for symbol, energy in given.items()}


def _states(campaign: Campaign, inputs: Dataset) -> Iterator[Remark]:
    """Charges, spins and moments that nobody will be told of."""
    if text := mixed_states(inputs):
        yield Remark("warning", text)
    settings: Any = campaign.label.settings
    if campaign.label.engine != "quantumespresso" or settings.spin:
        return
    bodies = (f for f in inputs.frames(labelled=False) if not is_isolated_atom(f))
    if count := sum(MOMENTS in frame.state for frame in bodies):
        yield Remark(
            "warning",
            f"{counted(count, 'frame')} with initial_magmoms will be labelled without spin; set "
            "label.spin: true to start from them",
        )


def _calculator(campaign: Campaign, inputs: Dataset, here: bool) -> Iterator[Remark]:
    settings: Any = campaign.label.settings
    try:
        made = calculator(settings.calculator, settings.parameters)
    except InputError as error:
        if here or isinstance(error, UnknownNameError):
            yield Remark("error", f"label.calculator: {error}")
        return
    if {"magmom", "magmoms"} & set(made.implemented_properties):
        return
    if any(atomic_moment(frame) for frame in _atoms(campaign, inputs)):
        text = f"calculator '{settings.calculator}' cannot start from a magnetic moment"
        yield Remark("error", f"{text}, which isolated atoms have; set spin: none for isolated")


def _atoms(campaign: Campaign, inputs: Dataset) -> Iterator[Frame]:
    """The isolated atoms that will be labelled, and perhaps other frames."""
    yield from inputs.unlabelled()
    rng = generator(campaign.seed, "foresee")
    for step in steps_of(parse_plan(list(campaign.augment or ()))):
        if isinstance(step.strategy, Isolated):
            yield from step.strategy.generate(list(inputs), rng)


def _has_stress(campaign: Campaign) -> bool:
    """Whether labels have stresses, as far as is known here."""
    if campaign.label.engine != "ase":
        return True
    settings: Any = campaign.label.settings
    try:
        made = calculator(settings.calculator, settings.parameters)
    except InputError:
        return True
    return "stress" in made.implemented_properties


def foresees_electrons(campaign: Campaign) -> bool:
    """Whether ``foresee_electrons`` could have anything to say."""
    settings = campaign.label.settings
    return isinstance(settings, QuantumEspressoSettings) and are_fixed(settings)


def foresee_electrons(
    campaign: Campaign, frames: Dataset, valences: Mapping[str, float] | None = None
) -> Iterator[Remark]:
    """Whether fixed occupations suit the electrons of what pw.x will be asked for.

    Args:
        campaign: The resolved campaign.
        frames: Those that will be labelled first.
        valences: Valence electrons of each element's pseudopotential, if they are known.
    """
    settings = campaign.label.settings
    if not isinstance(settings, QuantumEspressoSettings):
        return
    if found := odd(frames, settings, valences):
        formula = found[0].to_atoms().get_chemical_formula()
        text = (
            f"occupations: fixed, but {len(found)} of {counted(len(frames), 'frame')} to be "
            f"labelled have an odd number of electrons, {formula} first, which pw.x refuses "
            "without spin; write occupations: smearing, or set tot_charge"
        )
        yield Remark("error" if len(found) == len(frames) else "warning", text)


def foresee_sets(campaign: Campaign, frames: Iterable[Frame]) -> Iterator[Remark]:
    """Whether the first frames are enough to fit thresholds with.

    Args:
        campaign: The resolved campaign.
        frames: Those that the first committee is trained and validated with, each with its set.
    """
    sets = [frame.split for frame in frames if len(frame) > 1]
    n, novelty = sets.count("validation"), campaign.select.novelty
    needed = pairs_needed(campaign.calibrate) if campaign.tolerance.given else 0
    wanted = max(needed, 0 if novelty is None else frames_needed(novelty))
    if n >= wanted:
        return
    lacks = []
    if n < needed:
        lacks.append(f"thresholds take {needed}, so that the first choices are random")
    if wanted > needed:
        lacks.append(f"the novelty flag takes {wanted}")
    share = next((v for v in _SHARES if v * len(sets) >= wanted), None)
    if share is None:
        remedy = "make more frames, and more of them validation frames (split.fractions)"
    else:
        shares = f"[{0.9 - share:.1f}, {share:.1f}, 0.1]"
        remedy = f"set split.fractions, such as {shares}, or make more frames"
    text = f"{counted(n, 'validation frame')} at first: {', and '.join(lacks)}; {remedy}"
    yield Remark("warning", f"{text}; audits bring some in each iteration")
