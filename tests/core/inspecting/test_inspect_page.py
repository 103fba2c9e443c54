"""The page and the tables of a dataset: safe with hostile texts, honest about what is missing."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from rich.console import Console

from trainspot.augment.record import Record
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels, Origin
from trainspot.report.dataset import figures, page, tables, terminal
from trainspot.report.dataset.bars import MOST_PAIRS, bars, by_pair
from trainspot.report.dataset.census import take_census

HOSTILE = "<script>alert(1)</script>"
SECTIONS = ["looks", "composition", "strategies", "sizes", "distances", "labels", "words"]


def printed(census) -> str:
    target = io.StringIO()
    terminal.show(census, Console(file=target, width=200, color_system=None))
    return target.getvalue()


def record_of(dataset, **changes):
    told = {
        "frames": len(dataset),
        "fingerprint": "",
        "seed": 5,
        "vacuum": 15.0,
        "plan": [],
        "strategies": {},
        "refused": {"overlap": 3, "duplicate": 2},
        "by_step": {"rattle_1": {"overlap": 3}, "cluster_2": {"duplicate": 2}},
        "notes": ["strain: H2O has no periodic direction"],
    }
    return Record(**(told | changes))


def test_the_page_needs_nothing_else(dataset, read_page):
    text = page.html(take_census(dataset, "mixed.h5"), dataset)
    reader = read_page(text)
    assert not reader.all("script")
    assert not reader.all("link")
    images = reader.all("img")
    assert len(images) == 10 + 4  # a drawing of each example, and four figures
    assert all(image["src"].startswith("data:image/") for image in images)
    assert all(len(image["alt"]) > 20 for image in images)
    without_data = re.sub(r'src="data:[^"]*"', "", text)
    assert not re.search(r"https?:|//|url\(|@import", without_data)
    assert [a["id"] for a in reader.all("section")] == SECTIONS
    assert [a["href"][1:] for a in reader.all("a")] == SECTIONS
    assert "default-src 'none'" in text


def test_the_same_data_give_the_same_page(dataset):
    one, other = (page.html(take_census(dataset, "x"), dataset) for _ in range(2))
    assert one == other


@pytest.fixture
def hostile(silicon):
    frame = silicon.with_(
        origin=Origin(HOSTILE), labels=Labels(1.0, np.zeros((8, 3)), None, HOSTILE + "$x$\x1b[31m")
    )
    return Dataset.from_frames([frame])


def test_texts_of_the_user_are_only_text(hostile, read_page):
    census = take_census(hostile, HOSTILE + ".h5")
    census.record = record_of(hostile, by_step={HOSTILE: {HOSTILE: 1}}, notes=[HOSTILE])
    text = page.html(census, hostile)
    assert "<script" not in text
    assert not read_page(text).all("script")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_texts_of_the_user_do_not_command_the_terminal(hostile):
    census = take_census(hostile, "[bold]x[/bold]\x1b]0;title\x07.h5")
    shown = printed(census)
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "[bold]x[/bold]" in shown
    assert HOSTILE in shown


def test_terminal_and_page_show_the_same_numbers(dataset, read_page):
    census = take_census(dataset, "mixed.h5")
    census.record = record_of(dataset)
    shown, words = printed(census), read_page(page.html(census, dataset)).words
    words = {word.strip() for word in words}
    for table in (tables.elements, tables.strategies, tables.refusals, tables.distances):
        for row in table(census).rows:
            assert re.search(r"\s+".join(map(re.escape, row)), shown), row
            assert set(row) <= words
    assert "augmentation: strain: H2O has no periodic direction" in shown
    assert "strain: H2O has no periodic direction" in " ".join(words)


def test_what_was_refused_by_step_and_reason(dataset):
    census = take_census(dataset, "x")
    assert tables.refusals(census).rows == []
    census.record = record_of(dataset)
    found = tables.refusals(census)
    assert found.header == ["Step", "duplicate", "overlap", "all"]
    assert found.rows == [["rattle_1", "0", "3", "3"], ["cluster_2", "2", "0", "2"]]


def test_origins_have_a_sum_and_only_sets_that_occur(dataset):
    found = tables.strategies(take_census(dataset, "x"))
    assert found.header == ["Strategy", "train", "test", "no split", "all"]
    assert found.rows[0] == ["rattle", "3", "3", "0", "6"]
    assert found.rows[-1] == ["all", "3", "3", "6", "12"]


def test_the_rest_of_many_formulae_is_counted():
    frames = [Frame.make([1] * n, np.arange(3.0 * n).reshape(n, 3)) for n in range(1, 31)]
    census = take_census(Dataset.from_frames(frames), "x")
    rows = tables.formulae(census, 20).rows
    assert len(rows) == 21
    assert rows[-1] == ["others (10)", "10"]


def test_notes_on_samples_overlaps_and_theories(silicon):
    close = Frame.make([14, 14], [[0, 0, 0], [1.0, 0, 0]], np.eye(3) * 20, True)
    frames = [
        silicon.with_(labels=Labels(1.0, np.zeros((8, 3)), None, "pbe")),
        close.with_(labels=Labels(1.0, np.zeros((2, 3)), None, "scan")),
    ]
    dataset = Dataset.from_frames(frames)
    notes = page.notes(take_census(dataset, "x"))
    assert len(notes) == 4
    assert "1 of 2 frames measured: 8 Å or more without atoms" in notes[0]
    assert "force is zero on 10 atoms" in notes[1]
    assert "Si–Si 1.00 Å, less than 1.33 Å" in notes[2]
    assert "2 levels of theory" in notes[3]
    told = page.notes(take_census(dataset, "x", sample=1, seed=9))
    assert "in 1 of 2 frames, drawn at random (seed 9)" in " ".join(told)
    assert page.notes(take_census(Dataset.from_frames([silicon]), "x")) == []


def test_bars_of_whole_numbers_stand_on_their_number(dataset):
    census = take_census(dataset, "x")
    whole, others = bars(census.sizes, whole=True), bars(census.sizes)
    assert census.sizes.width == 1
    assert np.array_equal(whole.edges + 0.5, others.edges)
    assert np.array_equal(whole.counts, others.counts)


def test_values_far_outside_do_not_flatten_a_figure(silicon):
    rng = np.random.default_rng(1)
    energies = [*rng.normal(-5, 0.1, 2000), 900.0]
    frames = [silicon.with_(labels=Labels(8 * e, None, None, "x")) for e in energies]
    census = take_census(Dataset.from_frames(frames), "x", sample=1)
    energies, relative = census.energies
    figure = figures.labels(bars(energies), bars(census.forces), relative=relative)
    left = figure.axes[0]
    low, high = left.get_xlim()
    assert -5.7 < low < high < -4.3
    beyond = [text.get_text() for text in left.texts]
    assert len(beyond) == 1
    assert 1 <= int(beyond[0].split()[0]) <= 6
    assert figure.axes[1].texts[0].get_text() == "no forces"


def test_most_frequent_pairs_have_panels():
    numbers = [1, 3, 6, 7, 8, 9]
    grid = np.array([[i, 0, 0] for i in range(6)]) * 1.2
    census = take_census(Dataset.from_frames([Frame.make(numbers, grid)]), "x")
    panels = [axes for axes in figures.distances(by_pair(census)).axes if axes.axison]
    assert len(census.distances.histograms()) == 14
    assert len(panels) == MOST_PAIRS
    assert "The 2 rarest pairs" in page._distances(census).caption
