"""The pictures of the how-to pages on augmentation: ``python docs/images/make_strategies.py``.

Each picture shows what a strategy is given, at the left, and some of what it makes of it. The same
versions of the libraries give the same bytes.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ase.build import bulk, graphene, molecule, mx2
from matplotlib.figure import Figure
from PIL import Image

from trainspot.augment.base import GROUP
from trainspot.augment.supercell import Supercell, repeated
from trainspot.common import plugins
from trainspot.common.seeds import generator
from trainspot.data.frames import Frame
from trainspot.report.pages.drawing import draw, fitting_width
from trainspot.report.pages.style import new, styled

FOLDER = Path(__file__).parent / "strategies"
Panel = tuple[str, Frame]


def make(kind: str, frames: Iterable[Frame], **parameters: Any) -> list[Frame]:
    """What a strategy makes of some frames."""
    strategy = plugins.load(GROUP, kind)(**parameters)
    return list(strategy.generate(list(frames), generator(1, "docs", kind)))


def sheet(atoms: Any, repeat: tuple[int, int] = (1, 1)) -> Frame:
    """A sheet of ASE's, repeated, with 15 Å of vacuum."""
    atoms = atoms.repeat((*repeat, 1))
    atoms.center(vacuum=7.5, axis=2)
    atoms.pbc = (True, True, False)
    return Frame.from_atoms(atoms)


def silicon(*, cubic: bool = True) -> Frame:
    """Silicon, 8 atoms or 2."""
    return Frame.from_atoms(bulk("Si", a=5.43, cubic=cubic))


def tellurides(repeat: tuple[int, int] = (1, 1)) -> Frame:
    """A sheet of 2H MoTe2."""
    return sheet(mx2("MoTe2", "2H", a=3.52, thickness=3.6), repeat)


def nitride(repeat: tuple[int, int]) -> Frame:
    """A sheet of boron nitride."""
    return sheet(graphene("BN", a=2.50), repeat)


def inputs() -> list[Panel]:
    """Any structures."""
    given = [silicon(), tellurides((3, 3)), Frame.from_atoms(molecule("CH3CH2OH"))]
    names = ["bulk", "sheet", "molecule"]
    return list(zip(names, make("input", given), strict=True))


def supercells() -> list[Panel]:
    """A primitive cell becomes a compact supercell."""
    bulk_cell, layer = silicon(cubic=False), tellurides()
    skewed = Frame.make(
        bulk_cell.numbers,
        bulk_cell.positions,
        [*bulk_cell.cell[:2], bulk_cell.cell.sum(axis=0)],
        True,
    )
    found = [("given", layer), *_named("12 Å", make("supercell", [layer], min_length=12.0))]
    found += [("given, skewed", skewed)]
    for shape in ("diagonal", "general"):
        made = make("supercell", [skewed], min_length=10.0, max_atoms=128, shape=shape)
        found += _named(f"{shape}, {len(made[0])} atoms", made)
    return found


def rattles() -> list[Panel]:
    """Displaced, strained, and some with vacancies."""
    parent = repeated(silicon(), Supercell(min_length=10.0).matrix(silicon()))
    made = make("rattle", [parent], copies=12)
    plain = sorted(
        (f for f in made if f.origin.strategy == "rattle"),
        key=lambda f: f.origin.parameters["strain"],
    )
    holes = next(f for f in made if f.origin.strategy == "vacancies")
    shown = [(f"strain {_percent(f)}", f) for f in (plain[0], plain[-1])]
    return [("given", parent), *shown, ("with two vacancies", holes)]


def strains() -> list[Panel]:
    """One factor, one for each cell vector, or along random axes."""
    parent = sheet(graphene(a=2.46), (4, 4))
    found = [("given", parent)]
    for mode in ("isotropic", "axial", "full"):
        made = make("strain", [parent], copies=4, range=(-0.2, 0.6), mode=mode)
        found += _named(mode, made[1:2])
    return found


def vacancies() -> list[Panel]:
    """Atoms removed, the others where they were."""
    parent = sheet(graphene(a=2.46), (4, 4))
    made = make("vacancies", [parent], copies=3, count=2)
    return [("given", parent), *_named("two atoms less", made)]


def clusters() -> list[Panel]:
    """A few atoms of the input's elements."""
    parent = tellurides()
    made = make("cluster", [parent], copies=8, distance="auto")
    chosen = sorted(made, key=len)[1::2]
    return [("given", parent), *((f.to_atoms().get_chemical_formula(), f) for f in chosen)]


def isolated() -> list[Panel]:
    """One atom of each element."""
    parent = tellurides()
    made = make("isolated", [parent])
    return [("given", parent), *((f.to_atoms().get_chemical_formula(), f) for f in made)]


def slabs() -> list[Panel]:
    """Surfaces of a crystal."""
    parent = silicon()
    made = make("slab", [parent], thickness=8.0, min_length=11.0, max_atoms=200)
    names = ["({} {} {})".format(*f.origin.parameters["miller"]) for f in made]
    return [("given", parent), *zip(names, made, strict=True)]


def swaps() -> list[Panel]:
    """Atoms of different elements exchanged."""
    parent = nitride((4, 4))
    found = [("given", parent)]
    for share in (0.03, 0.1, 0.2):
        made = make("swap", [parent], share=1.0, swaps=share)
        found += _named(f"swaps: {share}", made)
    return found


def alloys() -> list[Panel]:
    """Other elements on the sites."""
    parent = tellurides((4, 4))
    made = make("alloy", [parent], alloy_species=["Se", "Te"], fixed_species=["Mo"], copies=4)
    made.sort(key=lambda f: f.origin.parameters["counts"]["Se"])
    return [("given", parent), *((f.to_atoms().get_chemical_formula("metal"), f) for f in made)]


def _percent(frame: Frame) -> str:
    return f"{frame.origin.parameters['strain']:+.0%}".replace("-", "\N{MINUS SIGN}")


def _named(name: str, frames: Iterable[Frame]) -> list[Panel]:
    return [(name, frame) for frame in frames]


PICTURES: dict[str, Callable[[], list[Panel]]] = {
    "alloy": alloys,
    "cluster": clusters,
    "input": inputs,
    "isolated": isolated,
    "rattle": rattles,
    "slab": slabs,
    "strain": strains,
    "supercell": supercells,
    "swap": swaps,
    "vacancies": vacancies,
}


COMMON_SCALE = {"rattle", "strain"}
"""Pictures in which all frames are drawn to one scale; elsewhere each fills its panel."""


@styled
def drawn(panels: list[Panel], *, common_scale: bool) -> Figure:
    """Frames side by side, each under its name."""
    widest = max(fitting_width(frame) for _, frame in panels) if common_scale else None
    side = 1.75
    figure = new(side + 0.25, width=side * len(panels))
    figure.set_layout_engine("none")
    height = side / (side + 0.25)
    for place, (name, frame) in enumerate(panels):
        left, width = place / len(panels), 1 / len(panels)
        axes = figure.add_axes((left + 0.02 * width, 0.0, 0.96 * width, 0.96 * height))
        draw(axes, frame, width=widest)
        figure.text(left + width / 2, 0.985, name, ha="center", va="top", fontsize=9.0)
    return figure


def write(kind: str, folder: Path = FOLDER) -> Path:
    """Make one picture; a palette keeps the file small."""
    buffer = io.BytesIO()
    figure = drawn(PICTURES[kind](), common_scale=kind in COMMON_SCALE)
    figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    path = folder / f"{kind}.png"
    Image.open(buffer).convert("RGB").quantize(96).save(path, optimize=True)
    return path


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("kinds", nargs="*", choices=[[], *PICTURES], help="all by default")
    for kind in parser.parse_args().kinds or PICTURES:
        print(write(kind))  # noqa: T201
