"""How well thresholds on the disagreement find wrong frames: MACE committees on real DFT silicon.

Committees of four small MACE models are trained on some motifs of the silicon set of mlearn
(Zuo et al., J. Phys. Chem. A 124, 731 (2020)) and judge frames of the others::

    python docs/studies/calibration.py --data mlearn-si --work build/calibration  # trains: hours
    python docs/studies/calibration.py --data mlearn-si --hold-outs vacancies     # that one again
    python docs/studies/calibration.py                                # judges again: a minute

The first two forms write their pairs of disagreement and error to ``calibration-pairs.json`` beside
this file, where hold-outs that were not asked for stay as they are; the third reads them. All write
the results and the figures of the page ``docs/explanation/calibration-study.md``. The data have no
isolated atom, so reference energies are fitted by least squares, and their virials are not used:
sign, unit and order are not documented.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any, Final

import judging
import numpy as np

from trainspot import io
from trainspot.common.seeds import generator
from trainspot.data import hdf5
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame
from trainspot.evaluate.batch import evaluate
from trainspot.judge.settings import SelectSettings
from trainspot.judge.space import Space
from trainspot.models import potential
from trainspot.predictions.accuracy import accuracy
from trainspot.predictions.predictions import Predictions
from trainspot.train import run
from trainspot.train.base import member_seeds
from trainspot.train.mace_settings import MaceSettings

HERE: Final = Path(__file__).parent
MOTIFS: Final = ("Elastic", "AIMD-NVT", "Vacancy", "Surface")
HOLD_OUTS: Final = {
    "surfaces": ("Surface",),
    "all but strain": ("AIMD-NVT", "Vacancy", "Surface"),
    "bulk MD": ("AIMD-NVT",),
    "vacancies": ("Vacancy",),
}
"""What a committee never sees in training; it is trained on the other motifs."""
N_TRAIN, N_VALIDATION, MEMBERS, SEED = 32, 20, 4, 2026
SETTINGS: Final = MaceSettings(
    r_max=4.5,
    num_channels=8,
    max_L=0,
    max_ell=2,
    correlation=2,
    batch_size=4,
    loss="weighted",
    energy_weight=1.0,
    forces_weight=10.0,
    lr=0.02,
    scheduler="ExponentialLR",
    lr_scheduler_gamma=0.937,  # to 2 % of the first rate
    max_num_epochs=60,
    default_dtype="float32",
    extra={"eval_interval": 20},
)


# ── training ──────────────────────────────────────────────────────────────────
def read_data(folder: Path) -> Dataset:
    """All frames of the set, both files."""
    files = [folder / "training.extxyz", folder / "test.extxyz"]
    return io.read(files[0], theory="mlearn").merge(io.read(files[1], theory="mlearn"))


def motif(frame: Frame) -> str:
    """The group the authors put a frame in."""
    return str(frame.info["group"])


def assigned(frames: Dataset, name: str) -> Dataset:
    """Sets for one hold-out: ``train`` and ``validation`` of the known motifs, the rest ``test``.

    Known motifs are drawn from in equal numbers as far as they have frames.
    """
    rng = generator(SEED, "hold-out", name)
    known = [one for one in MOTIFS if one not in HOLD_OUTS[name]]
    queues = {one: [f.id for f in frames if motif(f) == one] for one in known}
    for queue in queues.values():
        rng.shuffle(queue)
    drawn: list[str] = []
    while len(drawn) < N_TRAIN + N_VALIDATION:
        # A motif with few frames keeps half of them for the judgement.
        drawn += [queues[one].pop() for one in known if len(queues[one]) > 7]
    rng.shuffle(drawn := drawn[: N_TRAIN + N_VALIDATION])
    sets = dict.fromkeys(drawn[:N_TRAIN], "train") | dict.fromkeys(drawn[N_TRAIN:], "validation")
    return Dataset.from_frames(f.with_(split=sets.get(f.id, "test")) for f in frames)


def predicted(frames: Dataset, name: str, work: Path) -> tuple[Dataset, Predictions]:
    """Train the committee of one hold-out and predict all frames; what is there is kept."""
    folder = work / name.replace(" ", "-")
    dataset = assigned(frames, name)
    done = folder / "predictions.h5"
    if not done.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        hdf5.write(dataset, folder / "dataset.h5")
        models = []
        for member, seed in enumerate(member_seeds(SEED, MEMBERS)):
            where = folder / f"committee-{member}"
            models.append(where / "member_0.mace")
            if not models[-1].is_file():
                shutil.rmtree(where, ignore_errors=True)  # a training that was cut off
                run.train_committee(run.trainer("mace"), dataset, SETTINGS, where, seeds=[seed])
        evaluate(dataset, [potential.load(path, dtype="float32") for path in models]).write(done)
    return dataset, Predictions.read(done)


# ── pairs ─────────────────────────────────────────────────────────────────────
def pairs(dataset: Dataset, predictions: Predictions) -> dict[str, Any]:
    """Δ, e (eV/Å, eV/atom) and descriptor distance of the frames that were not trained on."""
    held = dataset.filter(lambda frame: frame.split != "train")
    found = accuracy(held, predictions)
    settings = SelectSettings()
    known = dataset.filter(lambda frame: frame.split != "test")
    space = Space.of(held, known, settings.descriptor)
    novelty = space.novelty(settings.novelty, settings.near_duplicate)
    digits = 6
    return {
        "motif": [motif(frame) for frame in held],
        "split": [frame.split for frame in held],
        "delta": np.round(found.disagreement["forces"], digits).tolist(),
        "error": np.round(found.error["forces"], digits).tolist(),
        "delta_energy": np.round(found.disagreement["energy"], digits).tolist(),
        "error_energy": np.round(found.error["energy"], digits).tolist(),
        "distance": np.round(space.from_training(), digits).tolist(),
        "novel_beyond": novelty.thresholds.get("3D"),
        "member_rmse": {
            motif_: np.round(_member_rmse(held, predictions, motif_), 4).tolist()
            for motif_ in MOTIFS
        },
    }


def _member_rmse(held: Dataset, predictions: Predictions, name: str) -> Any:
    """Force RMSE (eV/Å) of each member on the frames of a motif that nobody trained on."""
    mine = held.filter(lambda frame: motif(frame) == name and frame.split == "test")
    return predictions.select(mine.ids).member_rmse(mine)["forces"]


def joined(file: Path, found: dict[str, Any]) -> dict[str, Any]:
    """The pairs of a file with those found now in place of theirs, in the order of the study."""
    known = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    both = known | found
    return {name: both[name] for name in [*HOLD_OUTS, *both] if name in both}


def main() -> None:
    """Train or read; judge; draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, help="folder with training.extxyz and test.extxyz")
    parser.add_argument("--work", type=Path, default=Path("build/calibration"))
    parser.add_argument("--hold-outs", nargs="+", choices=HOLD_OUTS, default=list(HOLD_OUTS),
                        help="which to train for; the pairs of others are kept")  # fmt: skip
    parser.add_argument("--pairs", type=Path, default=HERE / "calibration-pairs.json")
    parser.add_argument("--results", type=Path, default=HERE / "calibration-results.json")
    parser.add_argument("--figures", type=Path, default=HERE.parent / "images")
    options = parser.parse_args()
    if options.data is not None:
        frames = read_data(options.data)
        found = {name: pairs(*predicted(frames, name, options.work)) for name in options.hold_outs}
        content = json.dumps(joined(options.pairs, found))
        options.pairs.write_text(content + "\n", encoding="utf-8")
    studied = json.loads(options.pairs.read_text(encoding="utf-8"))
    results = judging.results(studied, SEED)
    options.results.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    judging.draw(studied, results, options.figures)


if __name__ == "__main__":
    main()
