"""Slabs: normals, thickness, composition and cuts, for crystals of all lattices and ugly cells."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import spglib
from ase import Atoms
from ase.build import bulk, mx2, surface
from ase.spacegroup import crystal
from hypothesis import given, settings
from hypothesis import strategies as st

from trainspot.augment.plan import augment, parse_plan
from trainspot.augment.supercell import repeated
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame
from trainspot.geometry import nearest_distances, pairs_within, vacuum_gaps

# The tests call spglib for an independent answer, and it says that its errors will change.
pytestmark = pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING:DeprecationWarning")

PLANES = ((1, 1, 1), (1, 1, 0), (1, 0, 0))
SMALL = {"thickness": 6.0, "min_length": 1.0}  # a single repeat unit of the surface


def rutile():
    basis = [(0, 0, 0), (0.305, 0.305, 0)]
    return crystal(("Ti", "O"), basis, spacegroup=136, cellpar=[4.594, 4.594, 2.959, 90, 90, 90])


def quartz():
    """Chiral: a mirror image is another crystal."""
    basis = [(0.4697, 0, 0), (0.4135, 0.2669, 0.1191)]
    cellpar = [4.916, 4.916, 5.405, 90, 90, 120]
    return crystal(("Si", "O"), basis, spacegroup=152, cellpar=cellpar)


def monoclinic():
    basis = [(0.2754, 0.0395, 0.2083), (0.07, 0.3317, 0.3447), (0.4496, 0.7569, 0.4792)]
    cellpar = [5.15, 5.21, 5.32, 90, 99.2, 90]
    return crystal(("Zr", "O", "O"), basis, spacegroup=14, cellpar=cellpar)


def triclinic():
    cell = [[4.1, 0.3, -0.2], [1.2, 4.8, 0.4], [-0.9, 1.1, 5.3]]
    return Atoms("SiCGe", scaled_positions=[[0, 0, 0], [0.5, 0.45, 0.55], [0.1, 0.7, 0.3]],
                 cell=cell, pbc=True)  # fmt: skip


def orthorhombic():
    """Black phosphorus, base-centred."""
    basis = [(0, 0.1017, 0.0806)]
    return crystal("P", basis, spacegroup=64, cellpar=[3.31, 10.48, 4.37, 90, 90, 90])


CRYSTALS = {
    "diamond": bulk("C", a=3.567, cubic=True),
    "fcc": bulk("Cu", cubic=True),
    "bcc": bulk("Fe", cubic=True),
    "hcp": bulk("Mg"),
    "rock salt": bulk("NaCl", "rocksalt", a=5.64, cubic=True),
    "caesium chloride": bulk("CsCl", "cesiumchloride", a=4.12),
    "zinc blende": bulk("GaAs", "zincblende", a=5.65, cubic=True),
    "wurtzite": bulk("ZnO", "wurtzite", a=3.25, c=5.2),
    "rutile": rutile(),
    "quartz": quartz(),
    "monoclinic": monoclinic(),
    "orthorhombic": orthorhombic(),
    "rhombohedral": bulk("Bi"),
    "triclinic": triclinic(),
}


def made(frames, seed=1, vacuum=15.0, **item):
    plan = parse_plan([{"kind": "slab", **item}])
    return augment(Dataset.from_frames(frames), plan, seed, vacuum=vacuum)


def conventional(frame):
    """The conventional cell in the orientation of the frame: spglib's own, turned back."""
    found = described(frame)
    return found.std_lattice @ found.std_rotation_matrix  # rows: R⁻¹ a = a R


def described(frame, symprec=0.01):
    fractions = frame.to_atoms().get_scaled_positions(wrap=False)
    return spglib.get_symmetry_dataset((frame.cell, fractions, frame.numbers), symprec)


def turn_of(slab, parent):
    """The rotation (rows: axes of the slab in the orientation of the parent), and the normal."""
    first, second = np.array(slab.origin.parameters["vectors"]) @ parent.cell
    normal = np.cross(first, second)
    x, z = first / np.linalg.norm(first), normal / np.linalg.norm(normal)
    return np.array([x, np.cross(z, x), z]), normal


def check_is_cut_of(slab, parent, thickness=SMALL["thickness"]):
    """The slab, turned without mirroring, consists of atoms of the crystal, each once."""
    turn, normal = turn_of(slab, parent)
    assert np.linalg.det(turn) == pytest.approx(1.0)
    vectors = np.array(slab.origin.parameters["vectors"]) @ parent.cell
    np.testing.assert_allclose(slab.cell[:2] @ turn, vectors, atol=1e-6)
    indices = np.array(slab.origin.parameters["miller"])
    expected = indices @ np.linalg.inv(conventional(parent)).T
    angle = normal @ expected / np.linalg.norm(normal) / np.linalg.norm(expected)
    assert angle == pytest.approx(1.0, abs=1e-6), "the normal is the reciprocal vector"

    back = slab.positions @ turn
    inverse = np.linalg.inv(parent.cell)
    for start in np.flatnonzero(parent.numbers == slab.numbers[0]):
        moved = back - back[0] + parent.positions[start]
        offsets = (moved[:, None] - parent.positions[None]) @ inverse
        misses = np.linalg.norm((offsets - np.rint(offsets)) @ parent.cell, axis=2)
        same = slab.numbers[:, None] == parent.numbers[None]
        if np.all(np.any((misses < 1e-5) & same, axis=1)):
            break
    else:
        pytest.fail("an atom of the slab is no atom of the crystal")

    extent = np.ptp(slab.positions[:, 2])
    assert extent >= thickness - 1e-6
    assert nearest_distances(slab).min() >= nearest_distances(parent).min() - 1e-6
    shares = [Counter(f.numbers.tolist()) for f in (slab, parent)]
    assert {z: n * len(parent) for z, n in shares[0].items()} == {
        z: n * len(slab) for z, n in shares[1].items()
    }
    # As dense as the crystal: whole units of volume, with nothing missing and nothing double.
    area = np.linalg.norm(np.cross(slab.cell[0], slab.cell[1]))
    volume = len(slab) / len(parent) * abs(np.linalg.det(parent.cell))
    spacing = volume / area / slab.origin.parameters["layers"]
    assert extent < volume / area
    assert extent >= volume / area - spacing - 1e-6
    assert extent - spacing < thickness, "one layer less would be too thin"
    assert list(slab.pbc) == [True, True, False]
    np.testing.assert_allclose(slab.cell[2, :2], 0.0)


# ── what a slab is ────────────────────────────────────────────────────────────
@pytest.mark.parametrize("name", CRYSTALS)
def test_slabs_of_crystals(name):
    parent = Frame.from_atoms(CRYSTALS[name])
    found = made([parent], **SMALL)
    assert [f.origin.parameters["miller"] for f in found.dataset] == [list(m) for m in PLANES]
    assert not found.refused
    assert not found.notes
    for slab in found.dataset:
        assert slab.origin.parent == parent.id
        check_is_cut_of(slab, parent)
        assert vacuum_gaps(slab)[2] == pytest.approx(15.0, abs=1e-6)


@st.composite
def ugly(draw):
    """A crystal in a skewed, maybe left-handed, maybe larger cell, turned and moved."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    name = draw(st.sampled_from(["diamond", "rutile", "quartz", "monoclinic", "triclinic", "hcp"]))
    frame = Frame.from_atoms(CRYSTALS[name])
    while True:
        matrix = rng.integers(-1, 2, (3, 3))
        if abs(round(np.linalg.det(matrix))) in (1, 2):
            break
    frame = repeated(frame, matrix)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    positions = (frame.positions + rng.uniform(-9, 9, 3)) @ turn
    return Frame.make(frame.numbers, positions, frame.cell @ turn, True)


@given(parent=ugly(), miller=st.tuples(*[st.integers(-2, 2)] * 3).filter(any))
@settings(max_examples=40, deadline=None)
def test_slabs_of_ugly_cells(parent, miller):
    found = made([parent], miller=[miller], thickness=4.0, min_length=1.0, max_atoms=2000)
    (slab,) = found.dataset
    check_is_cut_of(slab, parent, 4.0)


def spectrum(atoms, width):
    """Pairs (species, distance, height difference) per area, of atoms in a slice of the slab."""
    frame = Frame.from_atoms(atoms)
    heights = frame.positions[:, 2] - frame.positions[:, 2].min()
    inner = np.sort(heights[(heights > 9) & (heights < 15)])
    widest = np.argmax(np.diff(inner))
    start = inner[widest : widest + 2].mean()  # no atom at the edge of the slice
    chosen = (heights > start) & (heights < start + width)
    pairs = pairs_within(frame, 4.0)
    area = np.linalg.norm(np.cross(*frame.cell[:2]))
    counts = Counter()
    for first, second, vector, distance in zip(*pairs, strict=True):
        species = tuple(sorted((int(frame.numbers[first]), int(frame.numbers[second]))))
        key = (species, round(distance, 3), round(abs(vector[2]), 3))
        counts[key] += int(chosen[first]) + int(chosen[second])
    return {key: count / area for key, count in counts.items() if count}, chosen.sum() / area


@pytest.mark.parametrize("name", CRYSTALS)
@pytest.mark.parametrize("miller", [(1, 1, 1), (1, 1, 0), (1, 0, 0), (2, 1, 0)])
def test_slabs_are_those_of_ase(name, miller):
    """Inside, distances and heights per area agree with ``ase.build.surface``."""
    # ASE's indices are those of the cell it is given.
    cell = conventional_atoms(CRYSTALS[name])
    layers = int(np.ceil(45 / spacing_of(cell, miller)))
    theirs = surface(cell, miller, layers, vacuum=None, periodic=False)
    theirs.cell[2] = [0, 0, 100]
    theirs.pbc = [True, True, False]
    (slab,) = made(
        [Frame.from_atoms(CRYSTALS[name])], miller=[miller], thickness=45.0, min_length=1.0,
        max_atoms=5000,
    ).dataset  # fmt: skip
    ours = slab.to_atoms()
    width = spacing_of(cell, miller) * 4
    one, two = (spectrum(atoms, width) for atoms in (ours, theirs))
    assert one[1] == pytest.approx(two[1])
    keys = sorted(one[0].keys() | two[0].keys())
    total = {k: one[0].get(k, 0.0) - two[0].get(k, 0.0) for k in keys}
    assert max(map(abs, smoothed(total).values())) < 1e-6


def spacing_of(atoms, miller):
    return 1 / np.linalg.norm(np.array(miller) @ np.linalg.inv(atoms.cell.array).T)


def conventional_atoms(atoms):
    found = described(Frame.from_atoms(atoms))
    return Atoms(found.std_types, scaled_positions=found.std_positions, cell=found.std_lattice,
                 pbc=True)  # fmt: skip


def smoothed(total):
    """Differences of counts, of keys that differ by rounding alone added up."""
    merged = {}
    for (species, distance, height), value in total.items():
        for key in merged:
            if key[0] == species and abs(key[1] - distance) + abs(key[2] - height) < 0.004:
                merged[key] += value
                break
        else:
            merged[species, distance, height] = value
    return merged


# ── which cuts ────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("name", "indices", "kept"),
    [
        ("diamond", [(1, 0, 0), (0, 1, 0), (0, 0, -1), (2, 0, 0), (1, 1, 0), (1, -1, 0)], [0, 4]),
        ("rutile", [(1, 0, 0), (0, 1, 0), (0, 0, 1)], [0, 2]),
        ("hcp", [(1, 0, 0), (0, 1, 0), (1, -1, 0), (1, 1, 0), (0, 0, 1)], [0, 3, 4]),
        ("triclinic", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (-1, 0, 0)], [0, 1, 2]),
    ],
)
def test_equivalent_cuts_are_made_once(name, indices, kept):
    parent = Frame.from_atoms(CRYSTALS[name])
    found = made([parent], miller=indices, **SMALL)
    assert [f.origin.parameters["miller"] for f in found.dataset] == [
        list(indices[row]) for row in kept
    ]
    assert len(found.notes) == len(indices) - len(kept)
    assert all("is equivalent to (" in note for note in found.notes)


@pytest.mark.parametrize("repeat", [(2, 1, 1), (3, 2, 1)])
def test_a_supercell_has_the_symmetry_of_its_crystal(repeat):
    indices = [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 0, 1)]
    found = made([Frame.from_atoms(CRYSTALS["diamond"] * repeat)], miller=indices, **SMALL)
    assert [f.origin.parameters["miller"] for f in found.dataset] == [[1, 0, 0], [1, 1, 0]]
    hexagonal = Frame.from_atoms(CRYSTALS["hcp"] * repeat)
    found = made([hexagonal], miller=[(1, 1, 1)], terminations="all", **SMALL)
    assert len(found.dataset) == 1, "the two gaps are equal by a rotation that repeat breaks"


def test_any_cell_of_a_crystal_gives_its_slabs():
    cells = [bulk("C", a=3.567), CRYSTALS["diamond"], CRYSTALS["diamond"] * (2, 1, 3)]
    spectra = []
    for atoms in cells:
        found = made([Frame.from_atoms(atoms)], min_length=9.0).dataset
        spectra.append([np.round(np.sort(pairs_within(f, 4.0).distances), 4) for f in found])
    for others in spectra[1:]:
        for one, other in zip(spectra[0], others, strict=True):
            np.testing.assert_array_equal(one, other)


def layered():
    """Bulk 2H-MoTe2: two sheets 3.5 Å apart."""
    sheet = mx2("MoTe2", "2H", a=3.52, thickness=3.6)
    other = sheet.copy()
    other.rotate(60, "z")
    other.positions[:, 2] += 7.0
    bulk_ = sheet + other
    bulk_.cell[2] = [0, 0, 14.0]
    bulk_.pbc = True
    bulk_.positions[:, 2] += 5.1  # a sheet lies across the boundary of the cell
    bulk_.wrap()
    return bulk_


def test_slabs_are_cut_where_planes_are_farthest_apart():
    (slab,) = made([Frame.from_atoms(layered())], miller=[(0, 0, 1)], **SMALL).dataset
    order = slab.numbers[np.argsort(slab.positions[:, 2])]
    assert order.tolist() == [52, 42, 52] * 2, "whole sheets"
    (slab,) = made([Frame.from_atoms(CRYSTALS["diamond"])], miller=[(1, 1, 1)], **SMALL).dataset
    heights = np.unique(np.round(slab.positions[:, 2], 4))
    assert heights[1] - heights[0] == pytest.approx(3.567 / np.sqrt(3) / 4, abs=1e-3), "a bilayer"


@pytest.mark.parametrize(
    ("name", "miller", "number"),
    [
        ("diamond", (1, 1, 1), 2),  # between bilayers, or inside one
        ("diamond", (1, 0, 0), 1),  # a screw axis makes all four gaps the same
        ("fcc", (1, 1, 1), 1),
        ("rock salt", (1, 1, 1), 1),  # upside down, Na below Cl is Cl below Na
        ("rutile", (1, 1, 0), 2),  # beside a plane of Ti and O, or between two of O
        ("triclinic", (1, 0, 0), 3),
        ("quartz", (0, 0, 1), 2),
    ],
)
def test_all_terminations_are_those_that_symmetry_tells_apart(name, miller, number):
    parent = Frame.from_atoms(CRYSTALS[name])
    found = made([parent], miller=[miller], terminations="all", **SMALL)
    assert len(found.dataset) == number
    assert not found.refused
    assert [f.origin.parameters["termination"] for f in found.dataset] == list(range(number))
    (widest,) = made([parent], miller=[miller], **SMALL).dataset
    assert widest.id == found.dataset.ids[0]
    ends = set()
    for slab in found.dataset:
        check_is_cut_of(slab, parent)
        heights = np.sort(slab.positions[:, 2])
        ends.add(round(heights[-1] - heights[0], 3))
    assert len(ends) == number


def test_distortions_are_kept():
    """Within the tolerance the symmetry is that of the crystal, and the atoms stay where they are.

    Beyond, the cell is the conventional one of a crystal without symmetry.
    """
    rng = np.random.default_rng(0)
    for size, layers in ((0.001, 4), (0.1, None)):
        atoms = CRYSTALS["rutile"].copy()
        atoms.positions += rng.uniform(-size, size, atoms.positions.shape)
        parent = Frame.from_atoms(atoms)
        (slab,) = made([parent], miller=[(0, 0, 1)], thickness=10.0, min_length=1.0).dataset
        check_is_cut_of(slab, parent, 10.0)
        if layers:
            assert slab.origin.parameters["layers"] == layers
    assert described(parent).number == 1
