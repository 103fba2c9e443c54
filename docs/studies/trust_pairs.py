"""Pairs of disagreement and error of the study of trust, and their file.

A case is one committee; its columns have one row for each frame that it was not trained on. The
file is a compressed ``.npz`` with the columns as ``CASE/COLUMN``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from trainspot.common.properties import PROPERTIES
from trainspot.common.seeds import generator
from trainspot.judge.novelty import Novelty
from trainspot.judge.settings import SelectSettings
from trainspot.judge.space import Space
from trainspot.predictions.accuracy import accuracy
from trainspot.predictions.domain import TrainingAtoms, dimensions

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

    from trainspot.data.dataset import Dataset
    from trainspot.data.frames import Frame
    from trainspot.predictions.predictions import Predictions

    Columns = dict[str, NDArray[Any]]

FILE: Final = Path(__file__).parent / "trust-pairs.npz"
"""The pairs of the MACE committees, which are committed."""
TOY: Final = Path("build/trust-toy/pairs.npz")
"""Those of toy committees, which are made in minutes."""
ATOMS: Final = 4
"""Atoms of a frame whose pairs are kept, at random; all of a smaller frame."""
_BITS: Final = 13
FIXED: Final = {"silicon": (0.1, 0.15, 0.2)}
SHARES: Final = (0.1, 0.15, 0.2)
"""Tolerances of the other systems, as shares of the typical force."""


def motif(frame: Frame) -> str:
    """The motif of a frame of any system."""
    return str(frame.info.get("motif") or frame.info["group"])


def tolerances(system: str, dataset: Dataset) -> tuple[float, ...]:
    """ε in eV/Å by the rule that was fixed before: from labels alone.

    The typical force is the median over rattled and strained frames of the root mean square
    component of the forces on the atoms of a frame.
    """
    if system in FIXED:
        return FIXED[system]
    bulk = dataset.filter(lambda frame: motif(frame) in {"rattled", "strained"})
    typical = np.median([np.sqrt(np.mean(frame.labels.forces**2)) for frame in bulk])
    return tuple(float(round(share * typical, 2)) for share in SHARES)


def pairs(
    dataset: Dataset, predictions: Predictions, system: str, known: Collection[str]
) -> Columns:
    """The columns of one case.

    Args:
        dataset: All frames with splits.
        predictions: Of the committee, for all frames.
        system: Name of the system, for its tolerances.
        known: Motifs that the committee was trained on.
    """
    held = dataset.filter(lambda frame: frame.split != "train")
    mine = predictions.select(held.ids)
    judged = accuracy(held, mine)
    motifs = np.array([motif(frame) for frame in held])
    columns = {
        "motif": motifs,
        "pool": np.array([frame.split == "test" for frame in held]),
        "unseen": ~np.isin(motifs, list(known)),
        "tolerances": np.array(tolerances(system, dataset)),
        "member_rmse": np.asarray(_pool_rmse(held, mine)),
        "delta_worst_atom": judged.disagreement["forces_max"],
        **_atom_pairs(held, mine),
        **_distances(dataset, held),
    }
    for name in PROPERTIES:
        has_label = np.isfinite(judged.error[name])
        columns[f"delta_{name}"] = np.where(has_label, judged.disagreement[name], np.nan)
        columns[f"error_{name}"] = judged.error[name]
    return {key: _short(key, values) for key, values in columns.items()}


def _pool_rmse(held: Dataset, predictions: Predictions) -> Any:
    """Force RMSE (eV/Å) of each member on the pool."""
    pool = held.subset("test")
    return predictions.select(pool.ids).member_rmse(pool)["forces"]


def _atom_pairs(held: Dataset, predictions: Predictions) -> Columns:
    """Δ and e of some atoms of each frame, (N, ATOMS) each; NaN where a frame has fewer."""
    spread = predictions.atom_disagreement()
    off = predictions.forces.mean(axis=0, dtype=np.float64) - held.column("forces")
    error = np.sqrt(np.mean(off**2, axis=1))
    offsets = held.column("offsets")
    columns = {name: np.full((len(held), ATOMS), np.nan) for name in ("delta_atom", "error_atom")}
    for row, identity in enumerate(held.ids):
        atoms = np.arange(offsets[row], offsets[row + 1])
        if len(atoms) > ATOMS:
            rng = generator(0, "trust", "atoms", identity)
            atoms = rng.choice(atoms, size=ATOMS, replace=False)
        columns["delta_atom"][row, : len(atoms)] = spread[atoms]
        columns["error_atom"][row, : len(atoms)] = error[atoms]
    return columns


def _distances(dataset: Dataset, held: Dataset) -> Columns:
    """Distances of frames and of their farthest atoms, and the limits of both."""
    settings = SelectSettings()
    known = dataset.filter(lambda frame: frame.split != "test")
    space = Space.of(held, known, settings.descriptor)
    share, floor = settings.novelty or 0.95, settings.near_duplicate
    whole = space.from_training()
    atoms = TrainingAtoms.of(dataset.subset("train"), settings.descriptor).farthest(held).distance
    validation = np.array([frame.split == "validation" for frame in held])
    kinds = dimensions(held)
    limits = [
        Novelty.fit(distances[validation], kinds[validation], share, floor).of(held)
        for distances in (whole, atoms)
    ]
    return {
        "distance": whole,
        "distance_limit": limits[0],
        "atom_distance": atoms,
        "atom_limit": limits[1],
    }


def _short(key: str, values: NDArray[Any]) -> NDArray[Any]:
    """Four digits, so that the file is small; half precision for atoms."""
    if values.dtype != np.float64:
        return values
    if key in {"delta_atom", "error_atom"}:
        return values.astype(np.float16)
    mantissa, exponent = np.frexp(values)
    return np.ldexp(np.round(mantissa * 2**_BITS) / 2**_BITS, exponent).astype(np.float32)


# ── file ──────────────────────────────────────────────────────────────────────
def write(target: Path, cases: Mapping[str, Columns]) -> None:
    """Write all cases, in the order of their names."""
    flat = {f"{name}/{key}": v for name in sorted(cases) for key, v in cases[name].items()}
    np.savez_compressed(target, **flat)


def read(source: Path) -> dict[str, Columns]:
    """The cases of a file; none if it does not exist."""
    cases: dict[str, Columns] = {}
    if source.is_file():
        with np.load(source) as flat:
            for path in flat.files:
                name, _, key = path.partition("/")
                cases.setdefault(name, {})[key] = flat[path]
    return cases
