"""Label engine ``quantumespresso``: inputs of pw.x for a frame, and labels from its results.

Pure functions: settings and a frame become namelists and a k-point mesh; energies, forces and
stress become labels in our units and signs. ``aiida_trainspot`` runs pw.x.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Self

import numpy as np
import yaml
from pydantic import Field, model_validator

from trainspot.common.errors import InputError
from trainspot.common.text import counted
from trainspot.common.units import EV_PER_A3_IN_GPA
from trainspot.data.isolated import is_isolated_atom
from trainspot.engine import Preflight, Program, Remark
from trainspot.label import electrons
from trainspot.label.base import (
    EngineSettings,
    LabelEngine,
    fingerprint,
    labels_of,
)
from trainspot.label.practical import decisive_pw

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import ArrayLike

    from trainspot.data.frames import Frame, Labels

# trainspot sets the task of pw.x, and the AiiDA plugin sets its paths.
_RESERVED: Final = {
    "CONTROL": {"calculation", "tprnfor", "tstress", "pseudo_dir", "outdir", "prefix"},
    "SYSTEM": {"ibrav", "nat", "ntyp", "ecutwfc", "ecutrho"},
    "ELECTRONS": {"conv_thr"},
}
_PERIODIC_AXES_OF: Final = {"2D": 2, "makov-payne": 0, "martyna-tuckerman": 0}

Bit = Literal[0, 1]

PW: Final = Program(
    "pw",
    "pw.x",
    calculation="quantumespresso.pw",
    probe=(),
    says="Program PWSCF",
    remedy="install Quantum ESPRESSO, put pw.x on PATH and run trainspot setup again",
)
"""The program; without input it prints its header and ends with an error."""


class QuantumEspressoSettings(EngineSettings):
    """Settings of pw.x: accuracy, pseudopotentials, k-points, occupations, spin."""

    practical: ClassVar[frozenset[str]] = frozenset(
        {"electron_maxstep", "mixing_beta", "max_iterations", "clean_workdir", "parallelization"}
    )

    protocol: Literal["fast", "balanced", "stringent"] = Field(
        "stringent", description="level of precision; the other keys override it"
    )
    pseudo_family: str = Field(
        "SSSP/1.3/PBE/precision",
        min_length=1,
        description="label of an installed pseudopotential family (aiida-pseudo list)",
    )
    ecutwfc: float | None = Field(
        None,
        gt=0,
        description="cutoff of the wave functions, Ry; null: the highest recommended "
        "cutoff of the elements in the dataset",
    )
    ecutrho: float | None = Field(
        None, gt=0, description="cutoff of the charge density, Ry; only together with ecutwfc"
    )
    kpoints_distance: float | None = Field(
        None,
        gt=0,
        description="largest distance between k-points, 1/Å (with 2π); null: from the protocol",
    )
    kpoints_mesh: tuple[int, int, int] | None = Field(
        None, description="one k-point mesh for all frames, instead of a distance; 1 along vacuum"
    )
    kpoints_offset: tuple[Bit, Bit, Bit] = Field(
        (0, 0, 0),
        description="1 shifts the mesh by half a step along this direction; 0 along vacuum",
    )
    occupations: Literal["smearing", "fixed"] = Field(
        "smearing",
        description="smearing, or fixed for insulators; isolated atoms always use "
        "smearing, because of open shells",
    )
    smearing: Literal["cold", "gaussian", "methfessel-paxton", "fermi-dirac"] = Field(
        "cold", description="type of smearing; isolated atoms use gaussian"
    )
    degauss: float | None = Field(
        None, gt=0, description="smearing width, Ry; null: from the protocol"
    )
    spin: bool = Field(
        False,
        description="collinear spin polarisation; isolated atoms with a moment (spin: "
        "hund) always have it",
    )
    moments: dict[str, float] = Field(
        default_factory=dict,
        description="starting magnetic moment of each element, µB per atom, if spin is "
        "true; other elements start without a moment; empty: half of all valence "
        "electrons",
    )
    dispersion: Literal["d2", "d3"] | None = Field(
        None,
        description="dispersion correction of Grimme: D2, or D3 with Becke-Johnson "
        "damping; null: none",
    )
    conv_thr_per_atom: float | None = Field(
        None, gt=0, description="SCF threshold on the energy, Ry per atom; null: from the protocol"
    )
    assume_isolated: Literal["none", "2D", "makov-payne", "martyna-tuckerman"] = Field(
        "none",
        description="correction for frames that are not periodic in all directions; none: "
        "periodic images",
    )
    nosym: bool = Field(False, description="ignore the symmetry of the frames")
    electron_maxstep: int = Field(80, ge=1, description="largest number of SCF steps")
    mixing_beta: float = Field(0.4, gt=0, le=1, description="mixing factor of the SCF")
    parameters: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="more keywords of pw.x by namelist (CONTROL, SYSTEM, ELECTRONS); they "
        "override all others",
    )
    max_iterations: int = Field(5, ge=1, description="largest number of pw.x runs per frame")
    clean_workdir: bool = Field(True, description="remove the folder of pw.x after each frame")
    parallelization: dict[str, int] = Field(
        default_factory=dict, description="parallelization flags of pw.x, such as npool"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.ecutwfc is None) != (self.ecutrho is None):
            raise ValueError("give ecutwfc and ecutrho together")
        if self.kpoints_mesh is not None:
            if self.kpoints_distance is not None:
                raise ValueError("give kpoints_mesh or kpoints_distance, not both")
            if min(self.kpoints_mesh) < 1:
                raise ValueError("kpoints_mesh needs at least 1 along each axis")
        if self.spin and self.occupations == "fixed":
            raise ValueError("occupations: fixed cannot be combined with spin")
        if self.moments and not self.spin:
            raise ValueError("moments need spin: true")
        for namelist, keywords in self.parameters.items():
            if namelist not in _RESERVED:
                raise ValueError(f"no namelist {namelist}; known: {', '.join(_RESERVED)}")
            if taken := sorted(_RESERVED[namelist] & keywords.keys()):
                raise ValueError(f"{namelist}.{taken[0]} cannot be set here")
        return self

    def decisive(self) -> dict[str, Any]:
        """The settings that change the numbers; a protocol counts by its values, not its name."""
        values = self.formerly_decisive()
        values["parameters"] = kept = decisive_pw(self.parameters)
        if not kept.get("ELECTRONS", {}).get("scf_must_converge", True):
            values |= {"electron_maxstep": self.electron_maxstep, "mixing_beta": self.mixing_beta}
        return values

    def formerly_decisive(self) -> dict[str, Any]:
        """See the base class."""
        values = super().decisive() | {name: self.precision(name) for name in _protocols()["fast"]}
        if self.kpoints_mesh is not None:
            del values["kpoints_distance"]
        del values["protocol"]
        return values

    def precision(self, name: str) -> float:
        """``kpoints_distance`` (1/Å), ``conv_thr_per_atom`` (Ry) or ``degauss`` (Ry)."""
        value = getattr(self, name)
        return float(_protocols()[self.protocol][name] if value is None else value)

    def with_cutoffs(self, recommended: Mapping[str, tuple[float, float]]) -> Self:
        """The same settings with explicit cutoffs, so that all frames share them.

        Args:
            recommended: (ecutwfc, ecutrho) in Ry of every element of the *whole* dataset; the
                highest values are used. Ignored if the settings have cutoffs.
        """
        if self.ecutwfc is not None or not recommended:
            return self
        wave, density = (max(column) for column in zip(*recommended.values(), strict=True))
        return self.model_copy(update={"ecutwfc": float(wave), "ecutrho": float(density)})


@dataclass(frozen=True, slots=True)
class PwInputs:
    """The input of pw.x for one frame.

    Attributes:
        parameters: Keywords by namelist.
        mesh: k-points along each reciprocal vector.
        offset: 0 or 1, shift of the mesh by half a step.
        gamma_only: Whether the Γ-only code can be used (same numbers, half the work).
    """

    parameters: dict[str, dict[str, Any]]
    mesh: tuple[int, int, int]
    offset: tuple[int, int, int]
    gamma_only: bool = field(default=False)


@dataclass(frozen=True, slots=True)
class PwOutputs:
    """The results that aiida-quantumespresso (≥ 5.1) reads from the XML of pw.x.

    Attributes:
        energy: eV; with smearing the free energy F = E - TS, whose derivative gives the forces.
        forces: (n, 3), eV/Å.
        stress: (3, 3), GPa, positive under compression; ``None`` if it was not computed.
    """

    energy: float
    forces: ArrayLike
    stress: ArrayLike | None = None


class QuantumEspressoLabelEngine(LabelEngine):
    """Labels with pw.x: inputs and results; ``aiida_trainspot`` has the work chain."""

    name: ClassVar[str] = "quantumespresso"
    default_code: ClassVar[str] = "pw@localhost"
    Settings: ClassVar[type[QuantumEspressoSettings]] = QuantumEspressoSettings
    failures: ClassVar[Mapping[int, str]] = {410: "did not reach self-consistency"}
    continued: ClassVar[frozenset[int]] = frozenset({400, 410})
    extra: ClassVar[str] = "quantumespresso"

    @classmethod
    def program(cls) -> Program:
        """pw.x."""
        return PW

    @classmethod
    def preflight(cls, facts: Preflight) -> Iterator[Remark]:
        """A remark on frames with moments that pw.x would ignore."""
        if facts.settings.spin:
            return
        if count := electrons.with_moments(facts.inputs):
            yield Remark(
                "warning",
                f"{counted(count, 'frame')} with initial_magmoms will be labelled without spin; "
                "set label.spin: true to start from these moments",
            )

    @classmethod
    def includes_dispersion(cls, settings: QuantumEspressoSettings) -> bool:
        """See the base class."""
        return settings.dispersion is not None

    @staticmethod
    def theory(settings: QuantumEspressoSettings) -> str:
        """``quantumespresso-DIGEST``. Resolve the cutoffs first; see ``with_cutoffs``."""
        return fingerprint("quantumespresso", settings.decisive())

    @staticmethod
    def inputs(
        frame: Frame,
        settings: QuantumEspressoSettings,
        valences: Mapping[str, float] | None = None,
    ) -> PwInputs:
        """Namelists and k-points of a frame.

        Args:
            frame: A frame with a full cell, also along vacuum.
            settings: Settings with cutoffs.
            valences: Valence electrons of each element's pseudopotential; needed for moments.

        Raises:
            InputError: No cell along an axis, no cutoffs, or a request that pw.x cannot fulfil.
        """
        if abs(np.linalg.det(frame.cell)) < 1e-3:
            raise InputError(
                "the frame has no cell along a non-periodic axis", hint="add vacuum around it"
            )
        if settings.ecutwfc is None or settings.ecutrho is None:
            raise InputError(
                "the cutoffs of the wave functions and the density are not known",
                hint="set ecutwfc and ecutrho (Ry)",
            )
        mesh, offset = _kpoints(frame, settings)
        wants_stress = bool(frame.pbc.any())
        parameters: dict[str, dict[str, Any]] = {
            "CONTROL": {"calculation": "scf", "tprnfor": True, "tstress": wants_stress},
            "SYSTEM": {
                "ecutwfc": settings.ecutwfc,
                "ecutrho": settings.ecutrho,
                "nosym": settings.nosym,
                **_occupations(frame, settings),
                **electrons.spin(frame, settings, valences or {}),
                **electrons.charge(frame, settings),
                **_interactions(frame, settings),
            },
            "ELECTRONS": {
                "conv_thr": settings.precision("conv_thr_per_atom") * len(frame),
                "electron_maxstep": settings.electron_maxstep,
                "mixing_beta": settings.mixing_beta,
            },
        }
        for namelist, keywords in settings.parameters.items():
            parameters[namelist] |= keywords
        noncollinear = bool(parameters["SYSTEM"].get("noncolin"))
        gamma = mesh == (1, 1, 1) and offset == (0, 0, 0) and not noncollinear
        return PwInputs(parameters, mesh, offset, gamma)

    @staticmethod
    def labels(frame: Frame, outputs: PwOutputs, theory: str) -> Labels:
        """Labels of a frame: GPa positive under compression → eV/Å³ with the sign of ASE.

        Raises:
            InputError: A shape is wrong or a number is not finite.
        """
        stress = outputs.stress
        if stress is not None:
            stress = -np.asarray(stress, dtype=np.float64) / EV_PER_A3_IN_GPA
        forces = np.asarray(outputs.forces, dtype=np.float64)
        return labels_of(frame, float(outputs.energy), forces, stress, theory)


@cache
def _protocols() -> dict[str, dict[str, float]]:
    text = files("trainspot.label").joinpath("quantumespresso.yaml").read_text(encoding="utf-8")
    table: dict[str, dict[str, float]] = yaml.safe_load(text)
    return {name: table["balanced"] | changes for name, changes in table.items()}


def _kpoints(
    frame: Frame, settings: QuantumEspressoSettings
) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """The mesh with at most ``kpoints_distance`` between neighbours, or the given one.

    n_i = ceil(|b_i| / distance) with the reciprocal vectors b_i including 2π, the rule of AiiDA;
    rounded to 5 digits first so that equal axes get equal numbers. 1 along vacuum.
    """
    if settings.kpoints_mesh is None:
        reciprocal = 2.0 * math.pi * np.linalg.norm(np.linalg.inv(frame.cell), axis=0)
        steps = reciprocal / settings.precision("kpoints_distance")
        wanted = [max(1, math.ceil(round(float(step), 5))) for step in steps]
    else:
        wanted = list(settings.kpoints_mesh)
    a, b, c = (n if periodic else 1 for n, periodic in zip(wanted, frame.pbc, strict=True))
    shift = zip(settings.kpoints_offset, frame.pbc, strict=True)
    i, j, k = (int(bit) if periodic else 0 for bit, periodic in shift)
    return (a, b, c), (i, j, k)


def _occupations(frame: Frame, settings: QuantumEspressoSettings) -> dict[str, Any]:
    # Open shells have no gap for fixed occupations. Cold smearing of a degenerate level can have
    # several Fermi energies, gaussian smearing has one.
    if is_isolated_atom(frame):
        kind = "gaussian"
    elif settings.occupations == "fixed":
        return {"occupations": "fixed"}
    else:
        kind = settings.smearing
    return {"occupations": "smearing", "smearing": kind, "degauss": settings.precision("degauss")}


def _interactions(frame: Frame, settings: QuantumEspressoSettings) -> dict[str, Any]:
    """Keywords for dispersion and for the treatment of vacuum."""
    keywords: dict[str, Any] = {}
    if settings.dispersion == "d2":
        keywords["vdw_corr"] = "grimme-d2"
    elif settings.dispersion == "d3":
        keywords |= {"vdw_corr": "grimme-d3", "dftd3_version": 4}
    isolation = settings.assume_isolated
    if isolation != "none" and int(frame.pbc.sum()) == _PERIODIC_AXES_OF[isolation]:
        if isolation == "2D" and frame.pbc[2]:
            raise InputError("assume_isolated: 2D needs the vacuum along the third cell vector")
        keywords["assume_isolated"] = isolation
    return keywords
