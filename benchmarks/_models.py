"""Small MACE models and frames for the benchmarks that evaluate or run a potential.

The models are initialised at random from a seed, not trained: what a step costs does not depend on
the weights. Their size is that of a quick campaign on silicon (16 scalar channels, two layers,
correlation 2, cutoff 4.5 Å). At random the forces are small, so that dynamics stay at the crystal.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np
from ase.build import bulk

from trainspot.data.frames import Frame

NUMBERS: Final = (6, 14)
SIZE: Final = "16x0e, 2 layers, l_max 2, correlation 2, cutoff 4.5 Å, random weights"


def make_model(path: Path, seed: int) -> Path:
    """Write a model file as ``mace_run_train`` does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about torch.jit and pickles, while MACE is imported
        modules = import_module("mace.modules")  # before e3nn, which needs what it sets
        import torch
        from e3nn import o3

        torch.manual_seed(seed)
        default = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        try:
            blocks = modules.interaction_classes
            model: Any = modules.ScaleShiftMACE(
                r_max=4.5,
                num_bessel=8,
                num_polynomial_cutoff=5,
                max_ell=2,
                interaction_cls=blocks["RealAgnosticResidualInteractionBlock"],
                interaction_cls_first=blocks["RealAgnosticInteractionBlock"],
                num_interactions=2,
                num_elements=len(NUMBERS),
                hidden_irreps=o3.Irreps("16x0e"),
                MLP_irreps=o3.Irreps("16x0e"),
                gate=torch.nn.functional.silu,
                atomic_energies=np.array([-150.0, -105.0]),
                avg_num_neighbors=30.0,
                atomic_numbers=list(NUMBERS),
                correlation=2,
                radial_type="bessel",
                atomic_inter_scale=0.1,
                atomic_inter_shift=0.0,
            )
            torch.save(model, path)
        finally:
            torch.set_default_dtype(default)
    return path


def make_committee(folder: Path, members: int = 4) -> list[Path]:
    """Model files of members that differ in their seed."""
    return [make_model(folder / f"member_{j}.model", seed=j) for j in range(members)]


def make_small_frames(count: int, seed: int = 0) -> Iterator[Frame]:
    """The same in small: 2 to 8 atoms, 5 on average, in any run of eight frames."""
    rng = np.random.default_rng(seed)
    shapes = [(1, 1, 1), (2, 1, 1), (3, 1, 1), (2, 2, 1)]
    for index in range(count):
        name, size = (("Si", 5.43), ("SiC", 4.36))[index % 2]
        cell = bulk(name, "diamond" if name == "Si" else "zincblende", a=size)
        atoms = cell.repeat(shapes[index // 2 % len(shapes)])
        atoms.positions += rng.normal(0, 0.08, atoms.positions.shape)
        yield Frame.from_atoms(atoms)


def make_frames(count: int, seed: int = 0) -> list[Frame]:
    """Rattled crystals of silicon and of silicon carbide with 8 to 64 atoms, 29 on average."""
    rng = np.random.default_rng(seed)
    shapes = [(1, 1, 1), (2, 1, 1), (2, 1, 1), (2, 2, 1), (2, 2, 1), (2, 2, 2), (3, 1, 1)]
    frames = []
    for index in range(count):
        name, size = (("Si", 5.43), ("SiC", 4.36))[index % 2]
        cell = bulk(name, "diamond" if name == "Si" else "zincblende", a=size, cubic=True)
        atoms = cell.repeat(shapes[index % len(shapes)])
        atoms.positions += rng.normal(0, 0.08, atoms.positions.shape)
        frames.append(Frame.from_atoms(atoms))
    return frames
