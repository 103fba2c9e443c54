"""A made-up silicon campaign that looks like a real one: vacancies are hard, members disagree."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk

from trainspot.campaign.decisions import NO_PAIRS, evaluation_set, thresholds
from trainspot.campaign.rules import Rules
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels, Origin
from trainspot.data.lattice import periodic_projector
from trainspot.judge.pairs import collect_pairs
from trainspot.judge.settings import CalibrateSettings, JudgeSettings, Tolerance
from trainspot.maps.choice import Limits
from trainspot.predictions.predictions import Predictions
from trainspot.report.findings.data import IterationData, ReportData
from trainspot.report.map import explored

TOLERANCE = Tolerance(energy=0.004, forces=0.2, stress=0.003)
HARDNESS = {"vacancies": 2.6, "md": 1.6, "strain": 1.2, "rattle": 1.0, "isolated": 0.02}

FEW = "no novelty flag: 8 validation frames, 19 are needed for 0.95"
BEYOND = {"0D": 0.2168, "1D": 0.2168, "2D": 0.04321, "3D": 0.04321}
FLAGS = (
    {"flagged_by": {"energy": 41, "forces": 88, "stress": 12}, "near_duplicates": 0,
     "novelty": {"share": 0.95, "thresholds": {}, "validation": 8, "note": FEW}},
    {"flagged_by": {"energy": 19, "forces": 52, "stress": 3, "novelty": 17}, "near_duplicates": 5,
     "novelty": {"share": 0.95, "thresholds": BEYOND, "validation": 21, "note": ""}},
    {"flagged_by": {"energy": 2, "forces": 18, "stress": 0}, "near_duplicates": 1,
     "novelty": {"share": None, "thresholds": {}, "validation": 0, "note": ""}},
)  # fmt: skip
"""Without a novelty flag for want of frames, with one, and switched off by the user."""


def make_frame(rng, strategy, split, iteration):
    """A silicon cell whose labels come from springs, so that numbers have sensible sizes."""
    if strategy == "isolated":
        labels = Labels(-102.1, np.zeros((1, 3)), None, "pw-0123456789ab")
        return Frame.make([14], np.zeros((1, 3)), labels=labels, split="train",
                          origin=Origin("isolated"))  # fmt: skip
    atoms = bulk("Si", a=5.46, cubic=True)
    strain = rng.uniform(-0.06, 0.06) if strategy in {"strain", "md"} else 0.0
    atoms.set_cell(atoms.cell * (1 + strain), scale_atoms=True)
    if strategy == "vacancies":
        del atoms[int(rng.integers(8))]
    moved = rng.normal(0, rng.uniform(0.03, 0.16), (len(atoms), 3))
    forces = -6.0 * moved - 0.8 * rng.normal(size=moved.shape) * (strategy == "vacancies")
    energy = -107.4 * len(atoms) + 3.0 * float((moved**2).sum()) + 40.0 * strain**2
    energy += 3.2 * (strategy == "vacancies")
    stress = 0.6 * strain * np.eye(3) + 0.004 * rng.normal(size=(3, 3))
    labels = Labels(energy, forces - forces.mean(0), (stress + stress.T) / 2, "pw-0123456789ab")
    return Frame.make(
        atoms.numbers, atoms.positions + moved, atoms.cell, True, labels=labels, split=split,
        origin=Origin(strategy, iteration=iteration),
    )  # fmt: skip


def make_dataset(rng, sizes):
    """Frames of every strategy in the usual shares of train, validation, test."""
    frames = [make_frame(rng, "isolated", "train", 0)]
    for strategy, (size, iteration) in sizes.items():
        splits = ["train"] * round(0.6 * size) + ["validation"] * round(0.2 * size)
        splits += ["test"] * (size - len(splits))
        frames += [make_frame(rng, strategy, split, iteration) for split in splits]
    return Dataset.from_frames(frames)


def make_predictions(rng, dataset, scale, n, members=4):
    """Reference plus an error common to all members and one of each member's own.

    The committee of iteration ``n`` errs less on what it was trained on.
    """
    n_atoms = dataset.n_atoms
    hard = np.array([HARDNESS[s.decode()] for s in dataset.column("strategy").tolist()])
    size = scale * hard * rng.lognormal(0, 0.55, len(dataset))
    trained = (dataset.column("split") == 1) & (dataset.column("iteration") < n)
    size *= np.where(trained, 0.6, 1.0)
    atoms = np.repeat(size, n_atoms)[:, None]

    def disturbed(reference, sizes, common):
        shared = common * rng.normal(size=reference.shape)
        own = rng.normal(size=(members, *reference.shape))
        return reference + sizes * (shared + own)

    flat = size[:, None, None]
    symmetric = disturbed(dataset.column("stress"), 0.02 * flat, 0.8)
    projector = periodic_projector(dataset.column("cell"), dataset.column("pbc"))
    return Predictions(
        frame_id=dataset.column("id"),
        offsets=dataset.column("offsets"),
        energy=disturbed(dataset.column("energy"), 0.02 * size * n_atoms, 1.5),
        forces=disturbed(dataset.column("forces"), atoms, 0.7),
        stress=projector @ (symmetric + symmetric.swapaxes(-1, -2)) @ projector / 2,
        projector=projector,
        members=tuple(f"member_{j}" for j in range(members)),
    )


def rmse_record(dataset, predictions):
    """The ``rmse`` entry of an iteration record."""
    record = {}
    for split in ("train", "validation", "test"):
        part = dataset.subset(split)
        chosen = predictions.select([i for i in part.ids if i in set(predictions.ids)])
        if len(chosen):
            values = chosen.member_rmse(dataset)
            record[split] = {
                key: {"mean": float(v.mean()), "std": float(v.std(ddof=1))}
                for key, v in values.items()
            }
    return record


def audited(dataset):
    """What the first judgement chose as its audit: of every set, as they were shared out since."""
    met = dataset.take(dataset.column("iteration") == 1)
    of_sets = [met.subset("train").take(range(4)), met.subset("validation").take(range(1)),
               met.subset("test").take(range(1))]  # fmt: skip
    return Dataset.concatenate(of_sets)


def make_campaign(seed=5, scales=(0.30, 0.17, 0.11)):
    rng = np.random.default_rng(seed)
    sizes = {"rattle": (36, 0), "strain": (24, 0), "vacancies": (18, 0), "md": (30, 1)}
    dataset = make_dataset(rng, sizes)
    everything = [make_predictions(rng, dataset, scale, n) for n, scale in enumerate(scales, 1)]
    rules = Rules(TOLERANCE, CalibrateSettings(), JudgeSettings(), seed)
    audit_pairs = collect_pairs(audited(dataset), everything[0], trained=())
    iterations, records = [], []
    total = 58
    for n, predictions in enumerate(everything, start=1):
        held_out = dataset.ids if n == len(scales) else dataset.subset("test").ids
        known = dataset.take(dataset.column("iteration") < n)
        judged = predictions.select(evaluation_set(known, known.take([])).ids)
        pairs, made = thresholds(known, judged, audit_pairs if n > 1 else NO_PAIRS, rules)
        made["forces"] = replace(made["forces"], atom_sigma=None, atoms=None)  # see test_export
        iterations.append(IterationData(n, predictions.select(held_out), pairs, made))
        new = 58 if n == 1 else 28
        total += 0 if n == 1 else new
        records.append(
            {
                "n": n,
                "labelled": new,
                "labelled_total": total,
                "reference": {"engine": "quantumespresso", "code": "pw@localhost"},
                "label_failures": int(n == 2),
                "duplicates": n - 1,
                "sets": {
                    "train": round(0.8 * total),
                    "validation": round(0.1 * total),
                    "test": total - round(0.8 * total) - round(0.1 * total),
                },
                "rmse": rmse_record(dataset, predictions),
                "common_test": predictions.select(dataset.subset("test").ids).rmse(dataset),
                "calibration": {key: one.to_dict() for key, one in made.items()},
                "explored": 120,
                "refused": {"overlap": 7 - 2 * n, "force": 1},
                "flagged": (93, 61, 22)[n - 1],
                **FLAGS[n - 1],
                "selected": 22,
                "audit": 6,
                "prospective": {
                    "forces": {
                        "tpr": 0.91,
                        "ppv": 0.74,
                        "pairs": 28,
                        "tpr_interval": [0.7, 0.98],
                        "ppv_interval": None,
                        "audit": {
                            "tpr": 0.83,
                            "ppv": 0.71,
                            "pairs": 6,
                            "tpr_interval": [0.44, 0.97],
                            "ppv_interval": [0.36, 0.92],
                            "miss_rate": 0.17,
                            "miss_rate_interval": [0.03, 0.56],
                        },
                    }
                },
                "seconds": {"label": 118.0 / n, "train": 91.5, "explore": 30.2, "evaluate": 5.3},
            }
        )
    status = {
        "id": "5c3b6f1e-8d1c-4a4e-9a59-0c6e7f3f6a11",
        "name": "silicon",
        "state": "finished",
        "exit": {"status": 420, "label": "exhausted"},
        "stage": "judge",
        "tolerance": TOLERANCE.given,
        "notes": ["The reference labels are of demonstration quality: not for research."],
        "iterations": records,
    }
    return ReportData(status, dataset, iterations)


@pytest.fixture(scope="module", autouse=True)
def few_atoms():
    """The kinetic map of a page is made of few frames here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(explored, "KINETIC_LIMITS", Limits(atoms=100, frames=30, total=300))
        yield


@pytest.fixture(scope="session")
def campaign():
    """Three iterations, exhausted, with everything a report can show."""
    return make_campaign()


@pytest.fixture(scope="session")
def young_campaign(campaign):
    """Running: one iteration labelled and tested, nothing calibrated yet."""
    record = {"n": 1, "labelled": 58, "labelled_total": 58, "rmse": {}, "seconds": {"label": 9.0}}
    status = {"name": "young", "state": "running", "exit": None, "iterations": [record]}
    return ReportData(status, campaign.dataset, [])


@pytest.fixture(scope="session")
def empty_campaign():
    """Just submitted: no frame is labelled."""
    rng = np.random.default_rng(1)
    frames = [make_frame(rng, "rattle", None, 0).with_(labels=Labels()) for _ in range(3)]
    status = {"name": "empty", "state": "created", "iterations": []}
    return ReportData(status, Dataset.from_frames(frames))
