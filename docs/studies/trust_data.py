"""Labels of the study of trust: four small systems that anyone can make again.

    python docs/studies/trust_data.py molecules                    # GFN1-xTB, a minute
    python docs/studies/trust_data.py molybdenum titania           # CHGNet 0.4.2, a minute each
    python docs/studies/trust_data.py aluminium --pw PW.X --ld1 LD1.X   # pw.x, about ten minutes

The frames come from ``trust_systems.py``. Each system becomes ``trust-data/SYSTEM.extxyz.xz``
beside this file, which is committed: forces and positions have four decimals, so that the files are
small. Frames that are there already are not labelled again.
"""

from __future__ import annotations

import argparse
import logging
import lzma
import subprocess
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import trust_systems
from ase.io.espresso import write_espresso_in

from aiida_trainspot.setup.demo_pseudos import CUTOFFS, generate
from trainspot import io
from trainspot.common.errors import TrainspotError
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels
from trainspot.label.ase import computed
from trainspot.label.calculators import calculator
from trainspot.label.quantumespresso import QuantumEspressoLabelEngine, QuantumEspressoSettings

if TYPE_CHECKING:
    from collections.abc import Callable

HERE: Final = Path(__file__).parent
DATA: Final = HERE / "trust-data"
MAX_FORCE: Final = 15.0
"""eV/Å on an atom; frames above are left out."""
SETTINGS: Final = QuantumEspressoSettings(
    protocol="fast", kpoints_distance=0.4, degauss=0.02,
    ecutwfc=CUTOFFS["Al"][0], ecutrho=CUTOFFS["Al"][1],
)  # fmt: skip
log = logging.getLogger("trust_data")


# ── references ────────────────────────────────────────────────────────────────
def with_calculator(frame: Frame, name: str) -> Labels:
    """The labels of an ASE calculator; a new one each time is what the label engine does."""
    atoms = frame.to_atoms()
    atoms.calc = calculator(name, {})
    return computed(frame, atoms, name)


def with_chgnet(frame: Frame, model: object) -> Labels:
    """The labels of CHGNet, which takes each frame as periodic."""
    atoms = frame.to_atoms()
    atoms.calc = model
    return computed(frame, atoms, "chgnet-0.4.2")


def chgnet() -> object:
    """The calculator of CHGNet, with the weights of its wheel."""
    from chgnet.model.dynamics import CHGNetCalculator

    return CHGNetCalculator(use_device="cpu")


def with_pw(frame: Frame, command: Path, pseudos: Path) -> Labels:
    """The labels of pw.x.

    Raises:
        TrainspotError: pw.x did not reach self-consistency.
    """
    asked = QuantumEspressoLabelEngine.inputs(frame, SETTINGS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = {"pseudo_dir": str(pseudos), "outdir": "out", "prefix": "x"}
        parameters = {**asked.parameters, "CONTROL": {**asked.parameters["CONTROL"], **files}}
        with (folder / "in").open("w", encoding="utf-8") as handle:
            write_espresso_in(handle, frame.to_atoms(), input_data=parameters,
                              pseudopotentials={"Al": "Al.upf"}, kpts=asked.mesh,
                              koffset=asked.offset)  # fmt: skip
        with (folder / "pw.out").open("w", encoding="utf-8") as out:
            call = [str(command), "-in", "in"]
            subprocess.run(call, cwd=folder, stdout=out, check=False)  # noqa: S603  (pw.x)
        read = io.read(folder / "pw.out")[-1]
    return read.labels


def labeller(system: str, options: argparse.Namespace) -> Callable[[Frame], Labels]:
    """What labels the frames of a system."""
    if system == "molecules":
        return partial(with_calculator, name="tblite")
    if system == "aluminium":
        folder = Path(tempfile.mkdtemp())
        generate("Al", [str(options.ld1)], folder)
        return partial(with_pw, command=options.pw, pseudos=folder)
    return partial(with_chgnet, model=chgnet())


# ── files ─────────────────────────────────────────────────────────────────────
def rounded(labels: Labels) -> Labels:
    """Energy to 1e-6 eV, forces to 1e-4 eV/Å, stress to 1e-7 eV/Å³."""
    stress = None if labels.stress is None else np.round(labels.stress, 7)
    return Labels(round(float(labels.energy), 6), np.round(labels.forces, 4), stress, labels.theory)


def labelled(system: str, label: Callable[[Frame], Labels], have: dict[str, Frame]) -> Dataset:
    """The frames of a system with labels; those that fail are left out and logged."""
    kept = []
    for row, atoms in enumerate(trust_systems.frames(system)):
        frame = Frame.from_atoms(atoms)
        if frame.id in have:
            kept.append(have[frame.id])
            continue
        try:
            labels = rounded(label(frame))
        except (TrainspotError, ValueError, RuntimeError) as error:
            log.warning("%s %d %s: %s", system, row, atoms.info["motif"], error)
            continue
        if np.linalg.norm(labels.forces, axis=1).max() > MAX_FORCE:
            log.warning("%s %d %s: large forces", system, row, atoms.info["motif"])
            continue
        kept.append(frame.with_(labels=labels, info={"motif": atoms.info["motif"]}))
    return Dataset.from_frames(kept)


def main() -> None:
    """Label the systems that are named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("systems", nargs="+", choices=trust_systems.MOTIFS)
    parser.add_argument("--pw", type=Path, help="pw.x, for aluminium")
    parser.add_argument("--ld1", type=Path, help="ld1.x, for aluminium")
    parser.add_argument("--data", type=Path, default=DATA)
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    options.data.mkdir(parents=True, exist_ok=True)
    for system in options.systems:
        file = options.data / f"{system}.extxyz.xz"
        have = {frame.id: frame for frame in io.read(file)} if file.is_file() else {}
        dataset = labelled(system, labeller(system, options), have)
        with lzma.open(file, "wt", encoding="utf-8", preset=9) as handle:
            io.write_extxyz(handle, dataset)


if __name__ == "__main__":
    main()
