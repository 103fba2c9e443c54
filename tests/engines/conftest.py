"""Programs that the engine tests run; a missing one is a failure, never a skip."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
import torch
from aiida.tools.pytest_fixtures import *  # noqa: F403  (pytest finds fixtures by name)
from ase.io.espresso import write_espresso_in
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from aiida_trainspot.runtime.profile import home
from aiida_trainspot.setup import programs
from aiida_trainspot.setup.demo_pseudos import generate
from trainspot.data.frames import Frame
from trainspot.label.quantumespresso import QuantumEspressoLabelEngine, QuantumEspressoSettings


def _program(variable: str, program: programs.Program) -> Path:
    named = os.environ.get(variable)
    found = Path(named) if named else programs.locate(program, home())
    name = program.executable
    assert found, f"{name} not found: put it on PATH, name it in {variable}, or run trainspot setup"
    return found.absolute()


@pytest.fixture(scope="session")
def pwx() -> Path:
    """A working pw.x."""
    return _program("TRAINSPOT_PWX", programs.PW)


@pytest.fixture(scope="session")
def ld1x(pwx) -> Path:
    """A working ld1.x: beside pw.x, or found like it."""
    beside = pwx.with_name("ld1.x")
    return beside if beside.is_file() else _program("TRAINSPOT_LD1X", programs.LD1)


@pytest.fixture(scope="session")
def silicon_upf(ld1x, tmp_path_factory) -> Path:
    """The demonstration pseudopotential of silicon."""
    return generate("Si", [str(ld1x)], tmp_path_factory.mktemp("pseudo"))


@pytest.fixture
def write_pw(silicon_upf):
    """Write the input of pw.x for a frame of silicon: our parameters, ASE's writer."""

    def write(frame: Frame, settings: QuantumEspressoSettings, folder: Path) -> Path:
        asked = QuantumEspressoLabelEngine.inputs(frame, settings)
        files = {"pseudo_dir": str(silicon_upf.parent), "outdir": "out", "prefix": "x"}
        parameters = {**asked.parameters, "CONTROL": {**asked.parameters["CONTROL"], **files}}
        with (folder / "in").open("w") as handle:
            write_espresso_in(
                handle,
                frame.to_atoms(),
                input_data=parameters,
                pseudopotentials={"Si": silicon_upf.name},
                kpts=asked.mesh,
                koffset=asked.offset,
            )
        return folder / "in"

    return write


@pytest.fixture(scope="session")
def tiny_mace() -> dict[str, Any]:
    """Settings of the smallest MACE that trains, in a second."""
    return {
        "r_max": 4.0,
        "num_channels": 2,
        "max_L": 0,
        "max_ell": 1,
        "correlation": 2,
        "num_radial_basis": 4,
        "MLP_irreps": "4x0e",
        "lr": 0.02,
        "batch_size": 100,
        "loss": "universal",
        "max_num_epochs": 3,
        "extra": {"radial_MLP": "[8]"},
    }


# ── a mocked GPU ──────────────────────────────────────────────────────────────
# It has memory of its own, which the processor cannot reach, and gives true numbers: tensors are
# moved there with the device `meta`, which every build of torch knows, and computed with by the
# processor. An operation between tensors of both memories fails, as it would with a GPU. What this
# cannot show: speed, the size of a real memory, and kernels that round in another way.
DEVICE = torch.device("meta")


class _There(torch.Tensor):
    """A tensor in the memory of the mocked GPU."""

    @staticmethod
    def __new__(cls, data: torch.Tensor) -> Self:
        layout = {"strides": data.stride(), "storage_offset": data.storage_offset()}
        return torch.Tensor._make_wrapper_subclass(
            cls, data.size(), dtype=data.dtype, device=DEVICE, **layout
        )

    def __init__(self, data: torch.Tensor) -> None:
        self.data_here = data

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None) -> Any:
        return _run(func, args, kwargs or {})


class MockedGPU(TorchDispatchMode):
    """While it lasts, the device ``meta`` is a GPU.

    Attributes:
        operations: How many were run on it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None) -> Any:
        self.operations += any(isinstance(x, _There) for x in tree_leaves((args, kwargs)))
        return _run(func, args, kwargs or {})


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    name = func.overloadpacket.__name__
    tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
    there = any(isinstance(x, _There) for x in tensors)
    left = [x for x in tensors if x.dim() and not isinstance(x, _There)]
    if there and left and name not in {"_to_copy", "copy_"}:
        raise RuntimeError(f"{name}: {len(left)} tensors are not on the device")
    device = kwargs.get("device")
    if device is not None:
        there = device == DEVICE
        kwargs = kwargs | {"device": torch.device("cpu")}
    args_here, kwargs_here = tree_map(
        lambda x: x.data_here if isinstance(x, _There) else x, (args, kwargs)
    )
    found = func(*args_here, **kwargs_here)
    if name.endswith("_") and not name.endswith("__"):  # in place
        return args[0]
    return tree_map(lambda x: _There(x) if there and isinstance(x, torch.Tensor) else x, found)


@pytest.fixture
def mocked_gpu() -> Iterator[MockedGPU]:
    """A mocked GPU, there as the device ``meta`` while the test lasts."""
    with MockedGPU() as gpu:
        yield gpu
