"""Checks of a campaign from its file and its frames, before any calculation."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from functools import partial
from typing import Final

from trainspot.augment import periodicity
from trainspot.augment.isolated import Isolated
from trainspot.augment.plan import parse_plan
from trainspot.augment.steps import steps_of
from trainspot.common.elements import by_number
from trainspot.common.errors import TrainspotError
from trainspot.common.seeds import generator
from trainspot.common.text import counted
from trainspot.config.models import Campaign, engine_sections
from trainspot.config.stages import EngineSection
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame
from trainspot.engine import Preflight, Remark
from trainspot.judge.calibrate import pairs_needed
from trainspot.judge.judgement import check_installed
from trainspot.judge.novelty import frames_needed
from trainspot.judge.spread import too_wide, without_stress
from trainspot.plausibility import doubts
from trainspot.train.base import mixed_states
from trainspot.train.run import trainer

_SHARES: Final = (0.2, 0.3, 0.4)
"""Shares of validation frames in the remedy, the smallest first; a tenth stays for tests."""


def foresee(campaign: Campaign, inputs: Dataset, *, here: Collection[str]) -> Iterator[Remark]:
    """Errors and warnings before the first frame is made.

    Args:
        campaign: The resolved campaign.
        inputs: The frames that the campaign starts from.
        here: Stages whose engines run in this installation of Python; a module that cannot be
            imported here is an error.
    """
    try:
        check_installed(campaign.select)
    except TrainspotError as error:
        yield Remark("error", str(error))
    for stage in engine_sections():
        section: EngineSection = getattr(campaign, stage)
        engine = section.plugin(section.engine)
        yield from engine.preflight(facts_of(campaign, stage, inputs, here=stage in here))
    if text := mixed_states(inputs):
        yield Remark("warning", text)
    if text := periodicity.note(inputs):
        yield Remark("warning", text)
    for doubt in doubts(inputs, seed=campaign.seed, atoms=_reference_energies(campaign)):
        yield Remark("warning", doubt.text)
    rng = generator(campaign.seed, "foresee", "spread")
    label = campaign.label
    has_stress = label.plugin(label.engine).has_stress(label.settings)
    for text in (
        *too_wide(campaign.tolerance, inputs, rng),
        *without_stress(campaign.tolerance, inputs, engine_has_stress=has_stress),
    ):
        yield Remark("warning", text)


def facts_of(campaign: Campaign, stage: str, inputs: Dataset, *, here: bool) -> Preflight:
    """The facts that the engine of a stage gets for its checks.

    Args:
        campaign: The resolved campaign.
        stage: A stage that has an engine.
        inputs: The frames that the campaign starts from.
        here: See ``foresee``.
    """
    section: EngineSection = getattr(campaign, stage)
    return Preflight(section.settings, inputs, here, partial(_unlabelled, campaign, inputs))


def _reference_energies(campaign: Campaign) -> dict[int, float] | None:
    """Energies of isolated atoms that the file gives, by atomic number."""
    energies = trainer(campaign.train.engine).given_e0s(campaign.train.settings)
    return None if energies is None else by_number(energies)


def _unlabelled(campaign: Campaign, inputs: Dataset) -> Iterator[Frame]:
    """The input frames without labels, and the isolated atoms of the augmentation."""
    yield from inputs.unlabelled()
    rng = generator(campaign.seed, "foresee")
    for step in steps_of(parse_plan(list(campaign.augment or ()))):
        if isinstance(step.strategy, Isolated):
            yield from step.strategy.generate(list(inputs), rng)


def foresee_sets(campaign: Campaign, frames: Iterable[Frame]) -> Iterator[Remark]:
    """A warning if the first validation frames are too few for thresholds.

    Args:
        campaign: The resolved campaign.
        frames: Frames of the first training and validation, each with its split.
    """
    splits = [frame.split for frame in frames if len(frame) > 1]
    n, novelty = splits.count("validation"), campaign.select.novelty
    needed = pairs_needed(campaign.calibrate) if campaign.tolerance.given else 0
    wanted = max(needed, 0 if novelty is None else frames_needed(novelty))
    if n >= wanted:
        return
    lacks = []
    if n < needed:
        lacks.append(f"thresholds need {needed}, so the first selections will be random")
    if wanted > needed:
        lacks.append(f"the novelty flag needs {wanted}")
    share = next((v for v in _SHARES if v * len(splits) >= wanted), None)
    if share is None:
        remedy = "make more frames and a larger share of validation frames (split.fractions)"
    else:
        shares = f"[{0.9 - share:.1f}, {share:.1f}, 0.1]"
        remedy = f"set split.fractions, such as {shares}, or make more frames"
    text = f"{counted(n, 'validation frame')} in iteration 1: {', and '.join(lacks)}; {remedy}"
    yield Remark("warning", f"{text}; the audit adds some in each iteration")
