"""ASE calculators by convenient names, or by ``module:Class``."""

from __future__ import annotations

import itertools
import math
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import yaml

from trainspot.common.errors import InputError, MissingExtraError, UnknownNameError
from trainspot.common.plugins import extra_for

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ase.calculators.calculator import Calculator

# Single-element parameters of J. Tersoff, Phys. Rev. B 39, 5566 (1989), Table I, in eV, Å, 1/Å,
# in the order of ASE: m gamma lambda3 c d h n beta lambda2 B R D lambda1 A.
_TERSOFF_1989: Final[Mapping[str, tuple[float, ...]]] = {
    "Si": (3, 1.0, 0, 1.0039e5, 16.217, -0.59825, 0.78734, 1.1000e-6, 1.7322, 471.18, 2.85, 0.15,
           2.4799, 1830.8),
    "C": (3, 1.0, 0, 3.8049e4, 4.3484, -0.57058, 0.72751, 1.5724e-7, 2.2119, 346.74, 1.95, 0.15,
          3.4879, 1393.6),
}  # fmt: skip
_CHI_SI_C: Final = 0.9776
_M_TO_H, _N_TO_D = slice(0, 6), slice(6, 8)


def _tersoff(**parameters: Any) -> Calculator:
    """Tersoff's Si, C and SiC (1989), or any LAMMPS-style file given as ``potential``."""
    from ase.calculators.tersoff import Tersoff, TersoffParameters

    if "potential" in parameters:
        return Tersoff.from_lammps(parameters.pop("potential"), **parameters)
    table = {
        triplet: TersoffParameters.from_list(_mixed(*triplet))
        for triplet in itertools.product(_TERSOFF_1989, repeat=3)
    }
    return Tersoff(table, **parameters)


def _mixed(centre: str, neighbour: str, third: str) -> list[float]:
    """Parameters of a triplet by the mixing rules of the paper (eq. 3).

    λ is averaged; A, B and the cutoffs R ∓ D are mixed geometrically; B carries χ. The cutoff of
    the bond-order term belongs to the pair (centre, third).
    """
    i, j, k = (_TERSOFF_1989[name] for name in (centre, neighbour, third))
    chi = 1.0 if centre == neighbour else _CHI_SI_C
    inner, outer = (math.sqrt((i[10] + s * i[11]) * (k[10] + s * k[11])) for s in (-1, 1))
    pair = [
        (i[8] + j[8]) / 2,
        chi * math.sqrt(i[9] * j[9]),
        (outer + inner) / 2,
        (outer - inner) / 2,
        (i[12] + j[12]) / 2,
        math.sqrt(i[13] * j[13]),
    ]
    return [*i[_M_TO_H], *i[_N_TO_D], *pair]


def _tblite(**parameters: Any) -> Calculator:
    """GFN1-xTB unless another ``method`` is asked for; silent."""
    from tblite.ase import TBLite

    return TBLite(**{"method": "GFN1-xTB", "verbosity": 0} | parameters)


def _class(path: str) -> Callable[..., Calculator]:
    module, _, name = path.partition(":")
    factory: Callable[..., Calculator] = getattr(import_module(module), name)
    return factory


_NAMED: Final[Mapping[str, str | Callable[..., Any]]] = {
    "eam": "ase.calculators.eam:EAM",
    "emt": "ase.calculators.emt:EMT",
    "lj": "ase.calculators.lj:LennardJones",
    "morse": "ase.calculators.morse:MorsePotential",
    "tblite": _tblite,
    "tersoff": _tersoff,
}
NAMES: Final = tuple(sorted(_NAMED))
"""The convenient names."""


def parse(text: str, where: str) -> tuple[str, dict[str, Any]]:
    """Name and parameters of a calculator as written on a command line.

    Args:
        text: ``NAME``, ``NAME:KEY=VALUE,…``, ``module:Class`` or ``module:Class:KEY=VALUE,…``.
        where: Place for error messages, such as an option.

    Raises:
        InputError: A part of the text is not ``KEY=VALUE``.
    """
    name, _, rest = text.partition(":")
    if name not in NAMES and rest and "=" not in rest.partition(":")[0]:
        of_module, _, rest = rest.partition(":")
        name = f"{name}:{of_module}"
    parameters: dict[str, Any] = {}
    for item in filter(None, rest.split(",")):
        key, equals, value = item.partition("=")
        if not (key and equals):
            raise InputError(
                f"'{item}' is not KEY=VALUE", where=where, hint=f"write {name}:KEY=VALUE"
            )
        try:
            parameters[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise InputError(f"the value of '{item}' cannot be read", where=where) from error
    return name, parameters


def calculator(name: str, parameters: Mapping[str, Any]) -> Calculator:
    """A new calculator.

    Args:
        name: One of ``NAMES``, or ``module:Class`` of anything importable.
        parameters: Keyword arguments of its constructor.

    Raises:
        UnknownNameError: No such name; the nearest is offered.
        MissingExtraError: The calculator is not installed.
        InputError: The class cannot be imported, or refuses its parameters.
    """
    maker = _NAMED.get(name, name)
    if maker == name and ":" not in name:
        raise UnknownNameError("calculator", name, NAMES)
    try:
        factory = _class(maker) if isinstance(maker, str) else maker
        return factory(**parameters)
    except ModuleNotFoundError as error:
        extra = extra_for(error)
        if extra:
            raise MissingExtraError(f"calculator '{name}'", extra) from error
        raise InputError(f"calculator '{name}' cannot be imported: {error}") from error
    except (ImportError, AttributeError) as error:
        raise InputError(f"calculator '{name}' cannot be imported: {error}") from error
    except (TypeError, ValueError, LookupError, OSError, RuntimeError) as error:
        raise InputError(f"calculator '{name}' refuses its parameters: {error}") from error
