"""The oracle of a rehearsal, which replaces DFT; the user names it on the command line.

An oracle is ``tersoff``, ``tblite:method=GFN1-xTB``, ``package.module:Class``, or the file of a
trained model. Every oracle becomes settings of the label engine ``ase``, so that a rehearsal labels
with the same code as a campaign.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, Self

from trainspot.common.errors import InputError
from trainspot.data.failure import reason_of
from trainspot.label import calculators
from trainspot.label.ase import AseLabelEngine, AseSettings, computed
from trainspot.label.calculators import NAMES, calculator
from trainspot.models import potential
from trainspot.models.calculator import PotentialCalculator

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from ase.calculators.calculator import Calculator

    from trainspot.data.dataset import Dataset
    from trainspot.data.frames import Frame, Labels

_MODEL: Final = f"{__name__}:ModelCalculator"


class ModelCalculator(PotentialCalculator):
    """A model file as an ASE calculator, so that a trained potential can be the reference."""

    def __init__(self, model: str) -> None:
        """Load the model; a second calculator of the same file uses the loaded model."""
        super().__init__(_loaded(model))


@lru_cache(maxsize=2)
def _loaded(model: str) -> potential.Potential:
    return potential.load(Path(model))


def parse(text: str) -> AseSettings:
    """The settings of the label engine ``ase`` for the name of an oracle.

    Args:
        text: ``NAME``, ``NAME:KEY=VALUE,…``, ``module:Class``, ``module:Class:KEY=VALUE,…``, or
            the path of a model file.

    Raises:
        UnknownNameError: No such calculator; the message offers the nearest name.
        MissingExtraError: The calculator is not installed.
        InputError: Neither a calculator nor a model, or parameters that the calculator refuses.
    """
    if Path(text).exists():
        potential.kind_of(Path(text))
        settings = AseSettings(calculator=_MODEL, parameters={"model": str(Path(text).absolute())})
    else:
        settings = _calculator(text)
    calculator(settings.calculator, settings.parameters)  # an error now, before the first frame
    return settings


def _calculator(text: str) -> AseSettings:
    name, colon, _ = text.partition(":")
    if name not in NAMES and not colon and ("/" in name or "." in name):
        raise InputError("no such model file", where=text)
    name, parameters = calculators.parse(text, "--oracle")
    return AseSettings(calculator=name, parameters=parameters)


def check(inputs: Dataset, settings: AseSettings) -> None:
    """Refuse an oracle that cannot compute the structures of a campaign.

    Raises:
        InputError: The oracle fails; the message has the first structure and the reason.
    """
    labelling = AseLabelEngine().label(inputs, settings)
    if len(labelling.failures):
        first = labelling.failures[0]
        raise InputError(
            f"the oracle cannot compute {first.to_atoms().get_chemical_formula()}: "
            f"{reason_of(first)}",
            where="--oracle",
            hint="name an oracle that has these elements",
        )


class OraclePotential(potential.Potential):
    """The oracle as a potential, which can drive the dynamics of the common test frames."""

    kind: ClassVar[str] = "oracle"
    cutoff = 0.0
    graph_key: Hashable = "oracle"

    def __init__(self, settings: AseSettings, numbers: Sequence[int]) -> None:
        """Wrap the calculator of ``settings`` for these elements."""
        self.settings = settings
        self.numbers = tuple(numbers)
        self._cached: tuple[tuple[int, ...], Calculator] | None = None

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """No: an oracle is not a file."""
        del path
        return False

    @classmethod
    def load(cls, path: Path, *, dtype: str = "float64", device: str = "cpu") -> Self:
        """An oracle is not a file.

        Raises:
            InputError: Always.
        """
        del dtype, device
        raise InputError("an oracle is not a model file", where=str(path))

    def prepare(self, frames: Sequence[Frame]) -> list[Frame]:
        """Return the frames unchanged."""
        return list(frames)

    def predict(self, prepared: list[Frame]) -> list[Labels]:
        """Energy (eV), forces (eV/Å) and stress (eV/Å³) of each frame."""
        return [self._labels(frame) for frame in prepared]

    def _labels(self, frame: Frame) -> Labels:
        atoms = frame.to_atoms()
        species = tuple(frame.numbers.tolist())
        if self._cached is None or self._cached[0] != species:
            new = calculator(self.settings.calculator, self.settings.parameters)
            self._cached = (species, new)
        atoms.calc = self._cached[1]
        return computed(frame, atoms, "oracle")
