"""Flags and error bars on frames of kinds that a committee has never seen: trains and predicts.

Small MACE committees on silicon (mlearn) and on the systems of ``trust_data.py``. The rules that
were fixed before are in ``trust-rules.md``::

    python docs/studies/trust.py --data mlearn-si --seeds 1 2 3   # hours; does what is missing
    python docs/studies/trust.py --pairs-only --data mlearn-si    # pairs of what is new there
    python docs/studies/trust.py --trainer toy --data mlearn-si   # toy committees: minutes
    python docs/studies/trust_judging.py                          # judges the pairs

Everything is kept below ``--work``; a run that is stopped goes on with the member it was at. The
pairs of MACE go to ``trust-pairs.npz`` beside this file, where cases that were not computed stay.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import calibration
import trust_pairs
import trust_systems
from ase.data import chemical_symbols

from trainspot import io
from trainspot.common.seeds import generator
from trainspot.data import hdf5
from trainspot.data.dataset import Dataset
from trainspot.evaluate.batch import evaluate
from trainspot.models import potential
from trainspot.predictions.predictions import Predictions
from trainspot.train import run
from trainspot.train.base import member_seeds, reference_energies
from trainspot.train.mace_settings import MaceSettings
from trainspot.train.toy import ToySettings

HERE: Final = Path(__file__).parent
LABELS: Final = HERE / "trust-data"
N_TRAIN, N_VALIDATION, MEMBERS, SHARE = 32, 20, 4, 0.25
SILICON: Final = ("surfaces", "all but strain", "bulk MD", "vacancies")
SYSTEMS: Final = (*trust_systems.MOTIFS, "silicon")
HOLD_OUTS: Final = {"far": 3, "all but bulk": 2}
"""Of the systems of ``trust_systems``: how many of the six motifs are known."""
log = logging.getLogger("trust")


@dataclass(frozen=True)
class Setup:
    """One committee.

    Attributes:
        system: silicon, or a system of ``trust_systems``.
        hold_out: Name of the hold-out.
        seed: Of the draw of frames and of the members.
        bagging: Share of the training frames that each member leaves out.
    """

    system: str
    hold_out: str
    seed: int
    bagging: float

    @property
    def name(self) -> str:
        """Name of the folder and of the case."""
        bagged = "bagged" if self.bagging else "plain"
        return f"{self.system}-{self.hold_out.replace(' ', '_')}-{bagged}-{self.seed}"

    @property
    def known(self) -> tuple[str, ...]:
        """The motifs it is trained on."""
        if self.system == "silicon":
            left_out = calibration.HOLD_OUTS[self.hold_out]
            return tuple(one for one in calibration.MOTIFS if one not in left_out)
        return trust_systems.MOTIFS[self.system][: HOLD_OUTS[self.hold_out]]


def setups(
    systems: Sequence[str], seeds: Sequence[int], ranks: int = len(SILICON)
) -> Iterator[Setup]:
    """All committees in the order in which they are trained: seed by seed.

    Args:
        systems: Names of systems.
        seeds: Seeds.
        ranks: Hold-outs of a system at most.
    """
    for seed in seeds:
        for rank in range(ranks):
            for system in systems:
                names = SILICON if system == "silicon" else tuple(HOLD_OUTS)
                if rank < len(names):
                    for share in (0.0, SHARE):
                        yield Setup(system, names[rank], seed, share)


def settings(trainer: str, dataset: Dataset) -> MaceSettings | ToySettings:
    """Those of the first study; with stresses where there are any.

    All members have the same reference energies, those of all training frames. The toy potential
    has more functions than by default, and members that differ in their random features alone.
    """
    if trainer == "toy":
        return ToySettings(n_radial=10, n_random=64, bootstrap=False)
    energies, _ = reference_energies(dataset.subset("train"))
    # The first study validated at epochs 0, 20 and 40, and kept the best: the rest was for nothing.
    changes: dict[str, Any] = {"max_num_epochs": 41}
    changes |= {"e0s": {chemical_symbols[z]: e for z, e in energies.items()}}
    if dataset.column("has_stress").any():
        changes |= {"loss": "stress", "stress_weight": 10.0}
    return calibration.SETTINGS.model_copy(update=changes)


# ── training ──────────────────────────────────────────────────────────────────
def frames_of(system: str, data: Path | None) -> Dataset:
    """All labelled frames of a system."""
    if system != "silicon":
        return io.read(LABELS / f"{system}.extxyz.xz")
    if data is None:
        raise SystemExit("silicon needs --data, the folder of the files of mlearn")
    return calibration.read_data(data)


def assigned(frames: Dataset, setup: Setup) -> Dataset:
    """``train`` and ``validation`` frames, of all known motifs alike; the rest is ``test``."""
    rng = generator(setup.seed, "trust", setup.system, setup.hold_out)
    queues = {one: [f.id for f in frames if trust_pairs.motif(f) == one] for one in setup.known}
    for queue in queues.values():
        rng.shuffle(queue)
    drawn: list[str] = []
    while len(drawn) < N_TRAIN + N_VALIDATION:
        # A motif with few frames keeps half of them for the pool.
        drawn += [queues[one].pop() for one in setup.known if len(queues[one]) > 7]
    rng.shuffle(drawn := drawn[: N_TRAIN + N_VALIDATION])
    splits = dict.fromkeys(drawn[:N_TRAIN], "train") | dict.fromkeys(drawn[N_TRAIN:], "validation")
    return Dataset.from_frames(f.with_(split=splits.get(f.id, "test")) for f in frames)


def bag(dataset: Dataset, setup: Setup, member: int) -> Dataset:
    """The frames of a member: with bagging, another share of the training frames is no part."""
    if not setup.bagging:
        return dataset
    ids = list(dataset.subset("train").ids)
    generator(setup.seed, "trust", "bags", setup.system, setup.hold_out).shuffle(ids)
    size = round(setup.bagging * len(ids))
    left_out = {ids[(member * size + k) % len(ids)] for k in range(size)}
    return dataset.filter(lambda frame: frame.id not in left_out)


def trained(
    trainer: str, dataset: Dataset, chosen: MaceSettings | ToySettings, seed: int, where: Path
) -> Path:
    """Train one member as ``trainspot train`` does; MACE in a fork of this process.

    A fork does not load MACE again, which takes a third of the time of such a short training.

    Returns:
        The model, in the folder ``where``.
    """
    engine = run.trainer(trainer)
    where.mkdir(parents=True)
    engine.write_inputs(where, dataset, chosen, seed)
    if engine.runs_in_process:
        engine.run(where)
        return engine.read_outputs(where).model
    from mace.cli import run_train  # loaded here once, before the first fork

    process = multiprocessing.get_context("fork").Process(
        target=_fork, args=(run_train.main, where, engine.arguments(chosen))
    )
    process.start()
    process.join()
    return engine.read_outputs(where).model


def _fork(main: Callable[[], None], where: Path, arguments: list[str]) -> None:
    """``mace_run_train`` with these arguments in a folder."""
    os.chdir(where)
    with Path("train.out").open("w", encoding="utf-8") as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
        sys.argv = ["mace_run_train", *arguments]
        main()


def predicted(
    frames: Dataset, setup: Setup, work: Path, trainer: str
) -> tuple[Dataset, Predictions]:
    """Train one committee and predict all frames; what is there is kept."""
    folder = work / setup.name
    dataset = assigned(frames, setup)
    done = folder / "predictions.h5"
    if not done.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        hdf5.write(dataset, folder / "dataset.h5")
        chosen = settings(trainer, dataset)
        models = []
        for member, seed in enumerate(member_seeds(setup.seed, MEMBERS)):
            where = folder / f"committee-{member}"
            models.append(folder / f"member-{member}.{trainer}")
            if not models[-1].is_file():
                shutil.rmtree(where, ignore_errors=True)  # a training that was cut off
                own = bag(dataset, setup, member)
                trained(trainer, own, chosen, seed, where).rename(models[-1])
                shutil.rmtree(where)
        members = [potential.load(path, dtype="float32") for path in models]
        evaluate(dataset, members).write(done)
    return dataset, Predictions.read(done)


def main() -> None:
    """Train what is missing; write the pairs of all committees that are there."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, help="folder with training.extxyz and test.extxyz")
    parser.add_argument("--trainer", choices=["mace", "toy"], default="mace")
    parser.add_argument("--work", type=Path, default=Path("build"))
    parser.add_argument("--systems", nargs="+", default=SYSTEMS, choices=SYSTEMS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--ranks", type=int, default=len(SILICON), help="hold-outs of a system")
    parser.add_argument("--pairs-only", action="store_true", help="train nothing")
    options = parser.parse_args()
    work = options.work / ("trust" if options.trainer == "mace" else f"trust-{options.trainer}")
    file = trust_pairs.FILE if options.trainer == "mace" else work / "pairs.npz"
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    log.setLevel(logging.INFO)
    frames = {system: frames_of(system, options.data) for system in options.systems}
    found, known = {}, trust_pairs.read(file)
    for setup in setups(options.systems, options.seeds, options.ranks):
        if options.pairs_only:
            if (work / setup.name / "predictions.h5").is_file() and setup.name not in known:
                parts = predicted(frames[setup.system], setup, work, options.trainer)
                found[setup.name] = trust_pairs.pairs(*parts, setup.system, setup.known)
            continue
        start = time.monotonic()
        predicted(frames[setup.system], setup, work, options.trainer)
        log.info("%s: %.0f s", setup.name, time.monotonic() - start)
    if found:
        trust_pairs.write(file, known | found)


if __name__ == "__main__":
    main()
