"""Maps drawn and written: colours, counts, files by suffix, the part of a report."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from html import unescape

import numpy as np
import pytest

from trainspot import descriptors
from trainspot.common.errors import InputError
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Origin
from trainspot.maps.chart import EXPLORED, LABELLED, UNLABELLED, FrameMap
from trainspot.maps.choice import Note
from trainspot.report import compose
from trainspot.report.findings.data import ReportData
from trainspot.report.map import explored, pictures
from trainspot.report.map import page as map_page
from trainspot.report.map.explored import section
from trainspot.report.map.figures import frame_map, looks
from trainspot.report.map.marks import MANY, OTHERS, UNKNOWN, groups, is_scale, marks
from trainspot.report.pages.style import COLOURS

HOSTILE = "<script>alert('x')</script>$\\frac"


@pytest.fixture(scope="module")
def chart(campaign):
    """The frames of the campaign at made-up places, the last third explored only."""
    frames = campaign.dataset
    points = np.random.default_rng(1).normal(size=(len(frames), 2))
    n = len(frames) // 3
    status = [LABELLED] * (len(frames) - n) + [EXPLORED] * n
    return FrameMap(frames, points, status, "structural", "tsne", 3, [Note("A note")])


def kinetic(data, progress=None):
    return section(data, kinetic_map=True, progress=progress)


def legend(figure):
    return [text.get_text() for part in figure.legends for text in part.get_texts()]


def drawn(axes):
    return np.concatenate([part.get_offsets() for part in axes.collections])


@pytest.mark.parametrize("colour", ["iteration", "strategy", "split", "status", "energy", "atoms"])
def test_every_point_is_drawn_once(chart, colour):
    figure = frame_map(marks(chart, colour))
    found = drawn(figure.axes[0])
    assert sorted(map(tuple, found.tolist())) == sorted(map(tuple, chart.points.tolist()))


def test_full_markers_are_labelled_and_open_ones_are_not(chart):
    axes = frame_map(marks(chart, "strategy")).axes[0]
    full = [part for part in axes.collections if len(part.get_facecolors())]
    opened = [part for part in axes.collections if not len(part.get_facecolors())]
    count = chart.status.count(EXPLORED)
    assert sum(len(part.get_offsets()) for part in opened) == count
    assert sum(len(part.get_offsets()) for part in full) == len(chart) - count
    texts = " ".join(text.get_text() for text in axes.texts)
    assert texts == "Open: explored, not chosen. Full: labelled."
    for status in (LABELLED, UNLABELLED):
        same = frame_map(marks(replace(chart, status=[status] * len(chart)), "strategy")).axes[0]
        assert not same.texts
        assert all(len(part.get_facecolors()) for part in same.collections)


def test_the_legend_names_every_group_once(chart):
    assert legend(frame_map(marks(chart, "strategy"))) == ["rattle", "md", "strain", "vacancies",
                                                     "isolated"]  # fmt: skip
    figure = frame_map(marks(chart, "iteration"))
    assert legend(figure) == ["0", "1"]
    assert figure.legends[0].get_title().get_text() == "Iteration"
    assert legend(frame_map(marks(chart, "split"))) == ["train", "validation", "test"]


def test_a_scale_has_a_bar_with_its_unit(chart):
    figure = frame_map(marks(chart, "energy"))
    assert figure.axes[1].get_ylabel() == "Energy (eV/atom)"
    some = [None if n % 2 else frame for n, frame in enumerate(chart.frames)]
    frames = Dataset.from_frames(
        [f.with_(labels=type(f.labels)()) if s is None else f
         for f, s in zip(chart.frames, some, strict=True)]
    )  # fmt: skip
    assert legend(frame_map(marks(replace(chart, frames=frames), "energy"))) == [UNKNOWN]


def test_axes_have_numbers_only_where_they_mean_something(chart):
    assert not frame_map(marks(chart, "split")).axes[0].get_xlabel()
    assert (
        "component" in frame_map(marks(replace(chart, method="pca"), "split")).axes[0].get_xlabel()
    )


def test_what_is_a_scale():
    assert is_scale([0.5, 1.0, None])
    assert is_scale(list(range(MANY + 1)))
    assert not is_scale(list(range(MANY)))
    assert not is_scale([1.0, 2.0])
    assert not is_scale(["a", None])
    assert not is_scale([True, False])
    assert not is_scale([None, None])


def test_groups_tell_values_apart():
    words = [f"w{n:02}" for n in range(MANY + 3)] + ["w05", None]
    found = groups(words)
    assert [group.label for group in found][:2] == ["w05", "w00"]
    assert [group.label for group in found][-2:] == [OTHERS, UNKNOWN]
    assert sum(group.mask.sum() for group in found) == len(words)
    assert len(set(looks(found[:MANY]))) == MANY
    numbers = groups([2, 0, 1, 0])
    assert [group.label for group in numbers] == ["0", "1", "2"]
    assert numbers[0].mask.tolist() == [False, True, False, True]
    assert len({colour for colour, _ in looks(numbers)}) == 3
    assert looks(groups(["test", "train"]))[0][0] == COLOURS["train"]
    assert [group.label for group in groups([True, False, True])] == ["True", "False"]


# ── files ─────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("suffix", "start"),
    [(".html", b"<!DOCTYPE html>"), (".png", b"\x89PNG"), (".svg", b"<?xml"), (".json", b"{"),
     (".csv", b"id,x,y,")],
)  # fmt: skip
def test_the_suffix_decides(chart, tmp_path, suffix, start):
    path = map_page.check_output(tmp_path / f"map{suffix}")
    map_page.write(chart, path, "strategy", "silicon")
    assert path.read_bytes().startswith(start)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_other_suffixes_and_folders_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"unknown suffix '.pdf' of a map; use .html, .*or .csv"):
        map_page.check_output(tmp_path / "map.pdf")
    with pytest.raises(InputError, match="no such folder"):
        map_page.check_output(tmp_path / "no" / "map.png")


def test_the_page_needs_nothing_else_and_says_how_to_read_it(chart):
    text = map_page.html(chart, "strategy", "silicon")
    assert "<script" not in text
    assert not re.search(r"https?:|url\(", re.sub(r'src="data:[^"]*"', "", text))
    for words in ("A note.", "SOAP power spectra", "t-SNE keeps similar frames", "Perplexity 30"):
        assert words in text
    assert text == map_page.html(chart, "strategy", "silicon")


def test_the_page_counts_everybody(chart):
    table = pictures.counts(chart, "strategy")
    assert table.header == ["Strategy", "Labelled", "Explored, not chosen", "All"]
    assert sum(int(row[-1]) for row in table.rows) == len(chart)
    assert sum(int(row[1]) for row in table.rows) == chart.status.count(LABELLED)
    assert [row[0] for row in pictures.counts(chart, "energy").rows] == ["all"]


def test_hostile_words_stay_words(chart):
    frames = [f.with_(origin=Origin(strategy="$\\frac{<b>"), info={"x": HOSTILE})
              for f in chart.frames]  # fmt: skip
    hostile = replace(chart, frames=Dataset.from_frames(frames), notes=[Note(HOSTILE)])
    for colour in ("strategy", "x"):
        text = map_page.html(hostile, colour, HOSTILE)
        assert "<script" not in text
        assert "<b>" not in text.replace("<b>Figure", "").replace("<b>Table", "")


@pytest.mark.parametrize("method", ["pca", "umap"])
def test_methods_are_explained(chart, method):
    text = " ".join(words for _, words in pictures.reading(replace(chart, method=method)))
    assert ("15 neighbours" in text) is (method == "umap")
    assert ("are true distances" in text) is (method == "pca")


# ── in a report ───────────────────────────────────────────────────────────────
def test_the_report_shows_the_labelled_and_the_merely_explored(campaign):
    met = Dataset.from_frames([f.with_(labels=type(f.labels)()) for f in campaign.dataset[1:9]])
    data = replace(campaign, dataset=campaign.dataset[5:], explored=met)
    found = section(data)
    (table,) = found.tables
    assert table.header == ["Iteration", "Labelled", "Explored, not chosen", "All"]
    assert sum(int(row[2]) for row in table.rows) == 4
    assert "t-SNE" in found.pictures[0].caption
    assert found.missing == ""


def test_the_report_has_the_map_of_the_paper_with_as_many_frames_as_its_limits_allow(campaign):
    met = Dataset.from_frames([f.with_(labels=type(f.labels)()) for f in campaign.dataset[1:90]])
    told = []
    data = replace(campaign, dataset=campaign.dataset[90:], explored=met)
    found = kinetic(data, lambda *counted: told.append(counted))
    caption, alt = found.pictures[1].caption, found.pictures[1].alt
    assert "spectrum of the kinetic energy (SOREP)" in caption
    drawn = int(re.search(r"Drawn at random: (\d+) of 108 frames", caption)[1])
    assert told == [(n, drawn) for n in range(1, drawn + 1)]
    assert drawn == 30
    labelled, explored = map(int, re.search(r": (\d+) labelled, (\d+) explored", alt).groups())
    assert labelled + explored == drawn
    assert labelled >= min(19, drawn / 2), "the labelled ones come first"
    assert "trainspot map with --descriptor sorep draws more" in caption
    assert [table.caption for table in found.tables] == ["Frames on the first map."]
    assert kinetic(data).pictures == found.pictures


def test_the_map_of_the_paper_is_drawn_only_if_asked_for(campaign):
    told = []
    found = section(campaign, progress=lambda *counted: told.append(counted))
    assert len(found.pictures) == 1
    assert told == []
    (remark,) = found.remarks
    assert remark == (
        "A second map, by the kinetic SOREP descriptor of the paper, takes 10 s to a minute more: "
        "trainspot report with --kinetic-map draws it."
    )
    assert remark in compose.html(campaign)
    assert remark not in compose.html(campaign, kinetic_map=True)


def test_a_map_of_everybody_offers_no_more(campaign):
    few = replace(campaign, dataset=campaign.dataset[1:9])
    assert "draws more" not in kinetic(few).pictures[1].caption


def test_without_pyscf_one_line_says_how_to_get_it_and_nothing_else_changes(campaign, monkeypatch):
    few = replace(campaign, dataset=campaign.dataset[:9])
    both = kinetic(few)
    monkeypatch.setitem(sys.modules, "pyscf.gto", None)
    alone = kinetic(few)
    assert alone.pictures == both.pictures[:1]
    assert [table.rows for table in alone.tables] == [table.rows for table in both.tables]
    (remark,) = alone.remarks
    assert remark == (
        "A second map, by the kinetic SOREP descriptor of the paper, needs a library: PySCF, which "
        "the descriptor 'sorep' needs, is not installed; run: pip install 'trainspot[map]'."
    )
    assert unescape(compose.html(few, kinetic_map=True)).count(remark) == 1


def test_without_featomic_the_map_of_the_paper_stands_alone(campaign, monkeypatch):
    monkeypatch.setattr(descriptors, "find_spec", lambda _: None)
    monkeypatch.setitem(sys.modules, "featomic", None)
    found = kinetic(replace(campaign, dataset=campaign.dataset[:9]))
    (only,) = found.pictures
    assert "t-SNE keeps similar frames" in only.caption
    assert (found.tables, found.missing) == ([], "")
    assert "pip install 'trainspot[descriptors]'" in found.remarks[0]


@pytest.mark.parametrize(
    ("number", "atoms", "reason"),
    [
        (97, 2, "2 frames with Bk, of which the ANO-RCC basis has no orbitals."),
        (
            14,
            101,
            "2 frames of more than 100 atoms. trainspot map with --descriptor sorep draws more.",
        ),
    ],
)
def test_what_the_paper_s_descriptor_cannot_take_is_said(number, atoms, reason):
    heights = 2.5 * np.arange(atoms)
    frames = [
        Frame.make([number] * atoms, np.outer(heights, [0, 0, wide]), np.eye(3) * 300, pbc=True)
        for wide in (1.0, 1.1)
    ]
    found = kinetic(ReportData({}, Dataset.from_frames(frames)))
    (remark,) = found.remarks
    assert remark.startswith("A second map, by the kinetic SOREP descriptor of the paper, is not")
    assert remark.endswith(reason)
    assert len(found.pictures) == 1


def test_without_the_libraries_the_report_says_how_to_get_them(campaign, monkeypatch):
    few = replace(campaign, dataset=campaign.dataset[:9])
    monkeypatch.setattr(explored, "find_spec", lambda _: None)
    caption = section(few).pictures[0].caption
    assert "principal components" in caption
    assert "pip install 'trainspot[map]'" in caption
    monkeypatch.setattr(descriptors, "find_spec", lambda _: None)
    monkeypatch.setitem(sys.modules, "featomic", None)
    monkeypatch.setitem(sys.modules, "pyscf.gto", None)
    found = kinetic(few)
    assert not found.pictures
    assert "pip install 'trainspot[descriptors]'" in found.missing
    assert "pip install 'trainspot[map]'" in found.remarks[0]


def test_a_campaign_of_atoms_alone_has_no_map(campaign):
    alone = ReportData({}, campaign.dataset[:1])
    assert section(alone).missing == "There is nothing to put on a map yet."


def test_explored_frames_are_kept_in_the_folder(campaign, tmp_path):
    data = replace(campaign, explored=campaign.dataset[:4])
    data.write(tmp_path)
    assert ReportData.read(tmp_path).explored.ids == campaign.dataset.ids[:4]
    assert json.loads((tmp_path / "status.json").read_text())["name"] == "silicon"
    campaign.write(tmp_path / "other")
    assert ReportData.read(tmp_path / "other").explored is None
