"""How well thresholds on the disagreement find wrong frames: MACE committees on real DFT silicon.

Committees of four small MACE models are trained on some motifs of the silicon set of mlearn
(Zuo et al., J. Phys. Chem. A 124, 731 (2020)) and judge frames of the others::

    python benchmarks/calibration.py --data mlearn-si --work build/calibration   # trains: an hour
    python benchmarks/calibration.py                                              # judges again

The first form keeps its pairs of disagreement and error in ``docs/explanation/calibration.json``;
the second reads them, and takes seconds. The data have no isolated atom (reference energies are
fitted by least squares), and their virials are not used: sign, unit and order are not documented.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from trainspot import io, potential, store
from trainspot.dataset import Dataset
from trainspot.evaluate.batch import evaluate
from trainspot.evaluate.predictions import Predictions
from trainspot.frames import Frame
from trainspot.seeds import generator
from trainspot.train import run
from trainspot.train.base import member_seeds
from trainspot.train.mace_settings import MaceSettings

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


def predicted(frames: Dataset, name: str, work: Path) -> tuple[Dataset, Predictions, list[Path]]:
    """Train the committee of one hold-out and predict all frames; what is there is kept."""
    folder = work / name.replace(" ", "-")
    dataset = assigned(frames, name)
    done = folder / "predictions.h5"
    if not done.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        store.write(dataset, folder / "dataset.h5")
        print(f"{name}: training {MEMBERS} members", flush=True)
        for member, seed in enumerate(member_seeds(SEED, MEMBERS)):
            where = folder / f"committee-{member}"
            if not (where / "metrics.json").is_file():
                run.train_committee(run.trainer("mace"), dataset, SETTINGS, where, seeds=[seed])
        members = [potential.load(path, dtype="float32") for path in model_files(folder)]
        evaluate(dataset, members).write(done)
    return dataset, Predictions.read(done), model_files(folder)


def model_files(folder: Path) -> list[Path]:
    """The models of one hold-out."""
    return [folder / f"committee-{member}" / "member_0.mace" for member in range(MEMBERS)]


def main() -> None:
    """Train or read; judge; draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, help="folder with training.extxyz and test.extxyz")
    parser.add_argument("--work", type=Path, help="where models are kept")
    options = parser.parse_args()
    frames = read_data(options.data)
    for name in HOLD_OUTS:
        dataset, predictions, _ = predicted(frames, name, options.work)
        pool = dataset.subset("test")
        print(name, len(pool), predictions.select(pool.ids).rmse(pool), flush=True)


if __name__ == "__main__":
    main()
