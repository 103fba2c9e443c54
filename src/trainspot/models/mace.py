"""A trained MACE model as a ``Potential``: one batched graph, shared by the members.

trainspot computes the neighbour lists (float64), so that all engines handle cutoff, triclinic cells
and partial periodicity alike, and the stress refers to the volume of the frame's own cell.
"""

from __future__ import annotations

import os
import pickle
import warnings
import zipfile
from contextlib import redirect_stdout
from importlib import import_module
from io import StringIO
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import numpy as np
from vesin import NeighborList

from trainspot.common import processes
from trainspot.common.archives import is_whole
from trainspot.common.elements import check_known
from trainspot.common.errors import DataError, InputError, MissingExtraError
from trainspot.data.frames import Labels
from trainspot.data.lattice import full_cell
from trainspot.models.potential import Potential

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence
    from pathlib import Path

    from trainspot.data.frames import Frame

_DTYPES: Final = ("float32", "float64")


def _torch() -> Any:
    """Torch, imported only when a model is used, not to recognise a file.

    Raises:
        MissingExtraError: Torch or MACE is not installed.
    """
    for name, value in processes.HUGE_PAGES.items():
        os.environ.setdefault(name, value)
    try:
        # Our own output may be JSON; MACE prints which optional libraries are not there.
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            # MACE sets the variable itself, and torch complains at every file e3nn reads
            warnings.filterwarnings("ignore", message="Environment variable TORCH_FORCE_NO_WEIGHTS")
            import_module("mace.modules")
            import torch
    except ModuleNotFoundError as error:
        raise MissingExtraError("MACE", "mace") from error
    return torch


def _device(torch: Any, name: str) -> Any:
    """A device that torch can use.

    Raises:
        InputError: The device is unknown or not available.
    """
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"unknown device '{name}'", hint="use cpu or cuda") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f"no GPU here that torch can use, for device '{name}'", hint="use cpu")
    return device


class MacePotential(Potential):
    """A MACE member on one device; see ``trainspot.models.potential.Potential``.

    Args:
        model: A ``MACE`` or ``ScaleShiftMACE`` module, as saved by ``mace_run_train``.
        dtype: Precision of the network; neighbour lists and reference energies are float64.
        device: A torch device.
    """

    kind: ClassVar[str] = "mace"

    def __init__(self, model: Any, *, dtype: str = "float64", device: str = "cpu") -> None:
        """Freeze the model and move it to the device."""
        if dtype not in _DTYPES:
            raise InputError(f"unknown precision '{dtype}'", hint="use float32 or float64")
        self._torch = torch = _torch()
        e0s = torch.atleast_2d(model.atomic_energies_fn.atomic_energies)
        heads = list(getattr(model, "heads", None) or ["Default"])
        self.head = next((i for i, h in enumerate(heads) if h.lower() == "default"), len(heads) - 1)
        self.cutoff = float(model.r_max)
        self.numbers = tuple(int(z) for z in model.atomic_numbers)
        self.dtype, self.device = getattr(torch, dtype), _device(torch, device)
        self.graph_key: Hashable = (self.kind, self.cutoff, self.numbers, dtype, device)
        self._e0s = e0s[self.head].double().cpu().numpy()
        self._model = model.to(device=self.device, dtype=self.dtype).eval()
        for parameter in self._model.parameters():
            parameter.requires_grad_(requires_grad=False)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether the file is a pickled module of MACE (the weights are not read)."""
        if not is_whole(path):
            return False
        try:
            with zipfile.ZipFile(path) as archive:
                inside = [name for name in archive.namelist() if name.endswith("/data.pkl")]
                return bool(inside) and b"mace.modules" in archive.read(inside[0])
        except (OSError, zipfile.BadZipFile):  # the content is damaged
            return False

    @classmethod
    def load(cls, path: Path, *, dtype: str = "float64", device: str = "cpu") -> Self:
        """Read a model file. Like every torch pickle it can run code: load only what you trust.

        Raises:
            DataError: Not a MACE model, or damaged.
            InputError: The device is unknown or not available.
        """
        if not cls.recognises(path):
            raise DataError("not a MACE model, or damaged", where=str(path))
        torch = _torch()
        place = _device(torch, device)
        try:
            model = torch.load(path, map_location=place, weights_only=False)
        except (RuntimeError, OSError, EOFError, AttributeError, pickle.UnpicklingError) as error:
            raise DataError("the model cannot be loaded", where=str(path)) from error
        return cls(model, dtype=dtype, device=device)

    def prepare(self, frames: Sequence[Frame]) -> dict[str, Any]:
        """The frames as one graph, with one block for each frame.

        Raises:
            InputError: An element that the model lacks.
        """
        numbers = np.concatenate([frame.numbers for frame in frames])
        check_known(np.unique(numbers), self.numbers)
        sizes = np.array([len(frame) for frame in frames])
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        cells = np.array([full_cell(frame.cell, frame.pbc) for frame in frames])
        edges, shifts = self._edges(frames, cells, offsets)
        frame_of_edge = np.repeat(np.arange(len(frames)), [s.shape[0] for s in shifts])
        unit_shifts = np.concatenate(shifts)
        index = np.searchsorted(self.numbers, numbers)
        positions = np.concatenate([frame.positions for frame in frames])
        floats = {
            "positions": positions,
            "cell": cells.reshape(-1, 3),
            "unit_shifts": unit_shifts,
            "shifts": np.einsum("ex,exy->ey", unit_shifts, cells[frame_of_edge]),
            "node_attrs": np.eye(len(self.numbers))[index],
        }
        integers = {
            "edge_index": np.concatenate(edges, axis=1),
            "batch": np.repeat(np.arange(len(frames)), sizes),
            "ptr": offsets,
        }
        torch = self._torch
        graph = {k: torch.tensor(v, dtype=self.dtype) for k, v in floats.items()}
        graph |= {k: torch.tensor(v, dtype=torch.long) for k, v in integers.items()}
        has_stress = [bool(f.pbc.any()) and abs(np.linalg.det(f.cell)) > 0 for f in frames]
        return {
            "graph": {key: tensor.to(self.device) for key, tensor in graph.items()},
            "index": index,
            "offsets": offsets,
            "has_stress": has_stress,
        }

    def _edges(
        self, frames: Sequence[Frame], cells: Any, offsets: Any
    ) -> tuple[list[Any], list[Any]]:
        """Pairs (2, e), with atoms numbered over all frames, and periodic shifts (e, 3)."""
        finder = NeighborList(cutoff=self.cutoff, full_list=True, sorted=True)
        edges, shifts = [], []
        for frame, cell, start in zip(frames, cells, offsets[:-1], strict=True):
            i, j, shift = finder.compute(frame.positions, cell, frame.pbc, "ijS")
            edges.append(np.stack([i, j]).astype(np.int64).reshape(2, -1) + start)
            shifts.append(np.reshape(shift, (-1, 3)).astype(np.float64))
        return edges, shifts

    def predict(self, prepared: dict[str, Any]) -> list[Labels]:
        """Energy (eV), forces (eV/Å), stress (eV/Å³; where a direction is periodic).

        One forward and one backward pass give all three. The reference energies are added in
        float64, because a total energy of thousands of eV leaves float32 no room for meV.
        """
        head = self._torch.full((len(prepared["has_stress"]),), self.head, device=self.device)
        output = self._model(
            {**prepared["graph"], "head": head},  # a new mapping: MACE writes into it
            training=False,
            compute_force=True,
            compute_stress=any(prepared["has_stress"]),
        )
        offsets, e0s = prepared["offsets"], self._e0s[prepared["index"]]
        reference = np.add.reduceat(e0s, offsets[:-1])
        if "interaction_energy" in output:
            energies = reference + _numpy(output["interaction_energy"])
        else:  # the plain MACE class keeps no separate interaction energy
            energies = _numpy(output["energy"])
        forces = _numpy(output["forces"])
        stress = _numpy(output["stress"]) if any(prepared["has_stress"]) else None
        return [
            Labels(
                float(energies[row]),
                forces[offsets[row] : offsets[row + 1]],
                stress[row] if stress is not None and has_stress else None,
            )
            for row, has_stress in enumerate(prepared["has_stress"])
        ]


def _numpy(tensor: Any) -> Any:
    return tensor.detach().double().cpu().numpy()
