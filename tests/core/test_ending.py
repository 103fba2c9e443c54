"""Why a campaign ended and what to do: the sentences, and that what they name exists."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from pydantic import BaseModel

from trainspot.campaign import ending, loop
from trainspot.campaign.record import IterationRecord
from trainspot.common.errors import RunError
from trainspot.common.text import broken_off as broken_words
from trainspot.config.document import Document
from trainspot.config.load import resolve
from trainspot.config.models import Resources
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame
from trainspot.explore.frames import broken_off
from trainspot.judge.settings import ScreenSettings
from trainspot.label.base import failed
from trainspot.rehearse.cost import CostModel
from trainspot.rehearse.outcome import Outcome
from trainspot.rehearse.trial import Point, Track
from trainspot.train.mace import MaceTrainer

UNCONVERGED = (
    "PwCalculation 410: The electronic minimization cycle did not reach self-consistency. "
    "(PwBaseWorkChain 501: The electronic minimization cycle did not reach self-consistency.)"
)
SCF_CASE = {
    "name": "scf3",
    "structures": ["Si2.cif"],
    "augment": [{"kind": "input"}, {"kind": "rattle", "copies": 4}, {"kind": "isolated"}],
    "label": {
        "engine": "quantumespresso",
        "pseudo_family": "trainspot-demonstration",
        "electron_maxstep": 4,
        "max_iterations": 1,
    },
    "train": {"engine": "mace", "committee_size": 2},
}
EMT = {"engine": "ase", "calculator": "emt"}


def campaign_of(**changes):
    return resolve(Document(Path("c.yaml"), {**SCF_CASE, **changes})).campaign


def atom(symbol_number=14):
    return Frame.make([symbol_number], np.zeros((1, 3)))


def failures(*reasons, atoms=()):
    """Silicon cells and isolated atoms of silicon, each with its reason and exit status."""
    cells = [
        Frame.make([14, 14], [[0, 0, 0], [1.3, 1.3, 1.3 + 0.01 * k]], np.eye(3) * 4, True)
        for k in range(len(reasons))
    ]
    bad = [failed(cell, *why) for cell, why in zip(cells, reasons, strict=True)]
    return Dataset.from_frames([*bad, *(failed(atom(), *why) for why in atoms)])


def said(found):
    return f"{found.message}. {found.remedy}"


# ── labels ────────────────────────────────────────────────────────────────────
def test_an_isolated_atom_without_self_consistency():
    """After dpgen #485 and #1043, aiida-quantumespresso #961: how many of how many, what to do."""
    found = ending.too_few_labels(5, failures(atoms=[(UNCONVERGED, 410)]), campaign_of())
    assert found.message == (
        "1 of 6 frames could not be labelled: isolated atom Si did not reach self-consistency (1)"
    )
    assert found.remedy == (
        "Raise label.max_iterations (now 1) or give train.e0s in place of {kind: isolated}: "
        "finished labels come from the cache"
    )
    assert found.counts == {
        "asked": 6, "labelled": 5, "failed": 1,
        "reasons": [
            {"reason": UNCONVERGED, "exit_status": 410, "isolated_atom": "Si", "frames": 1}
        ],
    }  # fmt: skip


def test_reasons_are_counted_and_the_share_that_would_do_is_named():
    bad = failures((UNCONVERGED, 410), ("x", 400), (UNCONVERGED, 410))
    found = ending.too_few_labels(4, bad, campaign_of())
    assert found.message == (
        "3 of 7 frames could not be labelled: did not reach self-consistency (2), ran out of "
        "walltime (1); label.min_success requires 90%"
    )
    assert "; or give the jobs more time (resources.pw@localhost.walltime)" in found.remedy
    assert "Raise label.max_iterations (now 1) or lower label.min_success (now 0.9) to 0.57:" in (
        found.remedy
    )
    share = float(re.search(r"to (0\.\d+)", found.remedy)[1])
    assert share <= 4 / 7  # with which the same labels are enough


def test_where_both_are_needed_both_are_said():
    bad = failures(("no W", None), ("no W", None), atoms=[("no W", None)])
    found = ending.too_few_labels(5, bad, campaign_of(train={"engine": "toy"}, label=EMT))
    assert "no W (2), isolated atom Si: no W (1)" in found.message
    assert found.remedy == (
        "Lower label.min_success (now 0.9) to 0.6 and remove {kind: isolated} from augment "
        "(the reference energies are then fitted); trainspot export saves the labels, for "
        "'dataset:'"
    )


def test_without_any_label_no_lower_share_is_offered():
    bad = failures(("KeyError: 'W'", None))
    found = ending.too_few_labels(0, bad, campaign_of(label=EMT))
    assert found.message.startswith("1 of 1 frame could not be labelled: KeyError: 'W' (1)")
    assert found.remedy.startswith("Correct this or the settings of label (ase), then run the")


def test_a_long_list_of_reasons_is_cut():
    bad = failures(*((f"reason {k} {'x' * 300}", None) for k in range(7)))
    found = ending.too_few_labels(90, bad, campaign_of())
    assert found.message.endswith("…  (1), other reasons (3)".replace("  ", " "))
    assert len(found.message) < 900


def test_given_isolated_atoms_are_named_as_such():
    given = campaign_of(structures=[], dataset="d.h5", augment=[])
    found = ending.too_few_labels(5, failures(atoms=[("x", None)]), given)
    assert "train.e0s in place of isolated atoms in the dataset" in found.remedy


record_of = IterationRecord.from_dict


# ── exploration ───────────────────────────────────────────────────────────────
RECORD = {"n": 1, "explored": 29, "refused": {"force": 5, "overlap": 24}, "duplicates": 0}
BROKEN = {"exploration_failures": 5, "runs": 5}


def test_nothing_passes_the_screen():
    """After dpgen #1363 and dpgen2 #49: which limits, how many runs broke off, what to do."""
    found = ending.nothing_valid(record_of(RECORD | BROKEN), ScreenSettings(max_force=0.5))
    assert said(found) == (
        "no explored frame passed the screen: 24 overlap (screen.overlap 0.6), 5 above "
        "screen.max_force (0.5 eV/Å), of 29; 5 of 5 runs broke off before their end. Explore "
        "cooler or shorter (explore.temperature, explore.time), or start from more distorted "
        "frames (augment); the labels come from the cache"
    )
    assert found.counts == {key: v for key, v in (RECORD | BROKEN).items() if key != "n"}


@pytest.mark.parametrize(
    ("record", "parts"),
    [
        ({"explored": 0, **BROKEN}, ["no frame was explored; 5 of 5 runs"]),
        (
            {"explored": 3, "duplicates": 3},
            ["3 already in the dataset, of 3", "Explore longer or hotter"],
        ),
        ({"explored": 2, "refused": {"force": 2}}, ["raise screen.max_force if you want such"]),
        (
            {"explored": 2, "refused": {"volume": 2}},
            ["2 outside screen.min_volume to screen.max_volume (0.3 to 5 times", "or allow more"],
        ),
        ({"explored": 1, "refused": {"non_finite": 1}}, ["1 with predictions that are not"]),
        ({"explored": 1, "refused": {"new": 1}, "exploration_failures": 1}, ["1 new", "; 1 run b"]),
    ],
)
def test_whatever_left_nothing_is_told(record, parts):
    found = said(ending.nothing_valid(record_of({"n": 1, **record}), ScreenSettings()))
    for part in parts:
        assert part in found


def test_runs_that_break_off_are_counted_by_reason_whatever_the_numbers():
    cells = failures(*[("", None)] * 3)
    texts = ["exploded after 0.1 ps: volume times 5.2", "exploded after 2 ps: volume times 1e+01"]
    frames = [
        frame.with_(info={"failure": {"reason": text}})
        for frame, text in zip(cells, [*texts, "H2O left"], strict=True)
    ]
    found = broken_off(Dataset.from_frames(frames))
    assert found == {"H2O left": 1, "exploded after … ps: volume times …": 2}
    words = broken_words(3, 4, found)
    assert words == (
        "3 of 4 runs broke off before their end: exploded after … ps: volume times … (2), "
        "H2O left (1)"
    )
    assert broken_words(0, None, None) == ""
    assert broken_words(1, None, None) == "1 run broke off before its end"


# ── the others ────────────────────────────────────────────────────────────────
QUIET = record_of(
    {"n": 3, "explored": 29, "refused": {"overlap": 4}, "duplicates": 1, "flagged": 6}
)


def every_ending():
    """One of each kind, with both kinds of engines."""
    slow, quick = campaign_of(), campaign_of(label=EMT, train={"engine": "toy"})
    for campaign in (slow, quick):
        for status in (110, 120, 200, 201, 202, 203, 303, 304, 305, 306, 400, 405, None):
            for stage in ("augment", "label", "train", "explore", "evaluate"):
                yield ending.stage_failed(stage, 2, "why\nindeed", status, campaign, "verdi x 3")
        for bad in (
            failures((UNCONVERGED, 410)),
            failures(("x", 405), atoms=[(UNCONVERGED, 410)]),
            failures(atoms=[("x", None)]),
        ):
            for labelled in (0, 1, 50):
                yield ending.too_few_labels(labelled, bad, campaign)
        yield ending.not_converged(QUIET, campaign)
        yield ending.budget_spent(QUIET, 50, campaign)
        yield ending.stopped("label", 1, 3, 8, campaign)
    for refused in ({"force": 1}, {"volume": 1}, {"overlap": 1, "force": 1}, {}):
        yield ending.nothing_valid(record_of(RECORD | {"refused": refused}), ScreenSettings())
    yield ending.stopped("augment", 1, 0, 0)
    yield ending.crashed("ValueError: no", "train", 2)
    yield ending.crashed("")


_NAME = re.compile(
    r"\b(label|train|explore|evaluate|screen|stop|budget|select|split|resources)((?:\.[\w@]+)+)"
)


def exists(section, path):
    """Whether the campaign file has the key, in a section or in the settings of its engine."""
    for campaign in (campaign_of(), campaign_of(label=EMT, train={"engine": "toy"})):
        here = getattr(campaign, section)
        if section == "resources":  # by computer
            return path[1] in Resources.model_fields
        if path[0] in type(here).model_fields:
            return True
        settings = getattr(here, "settings", None)
        if isinstance(settings, BaseModel) and path[0] in type(settings).model_fields:
            return True
    return False


def test_every_ending_says_why_and_what_to_do_with_settings_that_exist():
    for found in every_ending():
        assert found.message
        assert not found.message.endswith(".")
        assert "\n" not in said(found)
        assert found.remedy[0].isupper()
        assert not found.remedy.endswith(".")
        for section, path in _NAME.findall(said(found)):
            assert exists(section, path.strip(".").split(".")), f"{section}{path}"


def test_only_settings_of_the_engine_are_named():
    diverged = ending.stage_failed("train", 1, "nan", 305, campaign_of())
    assert diverged.message == "a training failed in iteration 1: nan"
    assert diverged.remedy == (
        "Lower train.lr (now 0.01), then run the file again: the labels come from the cache"
    )
    toy = campaign_of(train={"engine": "toy"})
    assert "train.lr" not in ending.stage_failed("train", 1, "nan", 305, toy).remedy
    memory = ending.stage_failed("train", 1, "oom", 405, campaign_of()).remedy
    assert "resources.mace@localhost.memory" in memory
    assert f"train.batch_size (now {MaceTrainer.Settings().batch_size})" in memory


def test_the_end_of_the_iterations_and_of_the_budget_count_what_was_flagged():
    campaign = campaign_of(stop={"max_iterations": 3}, budget={"labels": 50})
    assert ending.not_converged(QUIET, campaign).message == (
        "not converged after 3 iterations (stop.max_iterations 3); in the last exploration 6 of "
        "24 valid frames were flagged"
    )
    spent = ending.budget_spent(QUIET, 50, campaign)
    assert spent.message.startswith(
        "the budget is spent: 50 of 50 labels (budget.labels); in the last "
    )
    assert spent.counts == {"iterations": 3, "valid": 24, "flagged": 6, "labelled": 50}


# ── the plain loop ────────────────────────────────────────────────────────────
def test_the_loop_ends_with_the_same_words(silicon):
    campaign = campaign_of(structures=["si.cif"], augment=[{"kind": "input"}])

    def label(frames):
        return frames[:0], Dataset.from_frames(failed(f, UNCONVERGED, 410) for f in frames)

    engines = loop.Engines(label, lambda *_: [], lambda *_: (frames(), frames()))

    def frames():
        return Dataset.from_frames([])

    with pytest.raises(RunError) as caught:
        loop.run(Dataset.from_frames([silicon]), campaign, engines)
    assert caught.value.what.startswith("1 of 1 frame could not be labelled: did not reach self-")
    assert caught.value.hint.startswith("Raise label.max_iterations (now 1): finished labels come")


@pytest.mark.parametrize(
    ("state", "wanted"),
    [
        ("no_valid_exploration", "no explored frame passed the screen: 24 overlap"),
        ("exhausted", "not converged after 1 iteration (stop.max_iterations 10)"),
        ("budget", "the budget is spent: 0 of 7 labels (budget.labels)"),
        ("converged", None),
    ],
)
def test_every_end_of_the_loop_has_the_words_of_a_campaign(state, wanted):
    campaign = campaign_of(budget={"labels": 7})
    nothing = Dataset.from_frames([])
    turn = SimpleNamespace(record=record_of(RECORD | BROKEN))
    found = loop.ending_of(loop.Result(state, nothing, nothing, [turn]), campaign)
    assert (found and found.message.startswith(wanted)) or found is wanted


def test_a_rehearsed_campaign_that_could_not_go_on_is_told():
    point = Point(10, 0.1, 0.2, None, 0.01, 29, 0, 0)
    track = Track("ours", 3, "no_valid_exploration", (point,), ending="no frame passed. Cooler.")
    assert Track.from_dict(track.to_dict()) == track
    outcome = Outcome("x", 3, "emt", "mace", CostModel(1.0, 3.0), {}, [track])
    assert outcome.limits[0] == (
        "The campaign of ours with seed 3 could not go on: no frame passed. Cooler."
    )
