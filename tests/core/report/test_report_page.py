"""The page: one file, safe with hostile names, every number there, honest about what is missing."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape

import pytest

from trainspot.campaign.record import Prospective
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Origin
from trainspot.judge.scoring import Rates
from trainspot.report import compose
from trainspot.report.findings import tables
from trainspot.report.findings.data import ReportData
from trainspot.report.findings.verdict import summarise
from trainspot.report.quantities import BY_KEY, duration, number, plus_minus

HOSTILE = "<script>alert('x')</script>\"&$\\frac"


@pytest.fixture(scope="module")
def text(campaign):
    return compose.html(campaign)


@pytest.fixture(scope="module")
def reader(text, read_page):
    return read_page(text)


def cells(reader):
    return {word.strip() for word in reader.words if word.strip()}


def test_it_needs_nothing_else(reader, text):
    assert not reader.all("script")
    assert not reader.all("link")
    images = reader.all("img")
    assert len(images) == 14
    assert all(image["src"].startswith("data:image/svg+xml;base64,") for image in images)
    without_data = re.sub(r'src="data:[^"]*"', "", text)
    assert not re.search(r"https?:|//|url\(|@import", without_data)
    assert all(a["href"].startswith("#") for a in reader.all("a"))
    targets = {attributes.get("id") for _, attributes in reader.tags}
    assert {a["href"][1:] for a in reader.all("a")} <= targets


def test_every_image_has_words_for_those_who_do_not_see_it(reader, campaign):
    texts = [image["alt"] for image in reader.all("img")]
    assert all(len(alt) > 20 for alt in texts)
    forces = campaign.status["iterations"][-1]["rmse"]["test"]["forces"]["mean"]
    assert number(1000 * forces) in texts[0]


def test_ids_are_unique(reader):
    ids = [attributes["id"] for _, attributes in reader.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_every_number_of_the_status_is_there(reader, campaign):
    shown = cells(reader)
    for record in campaign.status["iterations"]:
        for found in record["rmse"].values():
            for key, one in found.items():
                scale = BY_KEY[key].scale
                assert plus_minus(one["mean"] * scale, one["std"] * scale) in shown
        for key, value in record["common_test"].items():
            assert number(value * BY_KEY[key].scale) in shown
        for key, made in record["calibration"].items():
            quantity = BY_KEY[key]
            assert f"{number(made['threshold'] * quantity.scale)} {quantity.unit}" in shown
            rates = {f"{made[k]:.2f} [{made[f'{k}_interval'][0]:.2f}, "
                     f"{made[f'{k}_interval'][1]:.2f}]" for k in ("tpr", "ppv")}  # fmt: skip
            assert {number(made["slope"]), *rates} <= shown
            assert {str(made["pairs"]), made["verdict"], made["method"]} <= shown
        for key in ("labelled", "labelled_total", "explored", "flagged", "selected", "audit"):
            assert str(record[key]) in shown
        assert {str(v) for v in record["sets"].values()} <= shown
        assert {str(v) for v in record["flagged_by"].values()} <= shown
        assert set(record["refused"]) <= shown
        assert {duration(v) for v in record["seconds"].values()} <= shown
        assert f"{record['prospective']['forces']['ppv']:.2f}" in shown
    assert campaign.status["id"] in shown
    assert "quantumespresso on pw@localhost" in shown
    assert "finished: exhausted (exit status 420)" in shown


def test_notes_stand_at_the_top(reader, campaign):
    words = " ".join(reader.words)
    assert 0 < words.index(campaign.notes[0]) < words.index("How accurate is it?")


def test_hostile_names_stay_words(campaign, read_page):
    frames = [frame.with_(origin=Origin(strategy="$\\frac$<b>{")) for frame in campaign.dataset[:6]]
    record = {**campaign.status["iterations"][0], "refused": {HOSTILE: 2},
              "reference": {"engine": HOSTILE}}  # fmt: skip
    record["calibration"] = {"forces": {**record["calibration"]["forces"], "method": HOSTILE}}
    status = {**campaign.status, "name": HOSTILE, "state": HOSTILE, "id": HOSTILE,
              "notes": [HOSTILE], "iterations": [record], "exit": None}  # fmt: skip
    text = compose.html(ReportData(status, Dataset.from_frames(frames)))
    reader = read_page(text)
    assert not reader.all("script")
    assert "<b>{" not in text
    assert text.count(HOSTILE) == 0
    assert unescape(text).count(HOSTILE) >= 6


def test_the_page_is_the_same_for_the_same_data(young_campaign):
    assert compose.html(young_campaign) == compose.html(young_campaign)


def test_a_young_campaign_says_what_is_missing(young_campaign, read_page):
    words = " ".join(read_page(compose.html(young_campaign)).words)
    assert "Too early to say" in words
    assert "No committee has been compared with reference labels yet." in words
    assert "The disagreement has not been calibrated yet." in words


def test_an_empty_campaign_has_a_page(empty_campaign, tmp_path, read_page):
    compose.write(empty_campaign, tmp_path / "report.html")
    reader = read_page((tmp_path / "report.html").read_text())
    assert len(reader.all("img")) == 1  # the map of the frames that wait for labels
    assert "Nothing is labelled yet." in " ".join(reader.words)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_tables_are_as_wide_as_their_headers(campaign):
    made = [getattr(tables, name)(campaign) for name in
            ("iterations", "flags", "refusals", "errors", "calibrations", "prospective", "timings",
             "composition", "strategies")]  # fmt: skip
    assert all(table.rows for table in made)
    assert all(len(row) == len(table.header) for table in made for row in table.rows)


def test_every_cause_of_a_flag_is_counted(campaign):
    table = tables.flags(campaign)
    assert table.header == [
        "Iteration", "Novel beyond", "Flagged", "Energy per atom", "Forces", "Stress", "Novelty",
        "Near-duplicates",
    ]  # fmt: skip
    few = "no novelty flag: 8 validation frames, 19 are needed for 0.95"
    assert table.rows == [
        ["1", few, "93", "41", "88", "12", "–", "0"],
        ["2", "0.0432 (3D, 2D); 0.217 (1D, 0D)", "61", "19", "52", "3", "17", "5"],
        ["3", "switched off", "22", "2", "18", "0", "–", "1"],
    ]


def test_causes_that_were_not_recorded_are_not_made_up(campaign):
    added = ("flagged_by", "near_duplicates", "novelty")
    old = {k: v for k, v in campaign.status["iterations"][0].items() if k not in added}
    assert not tables.flags(with_records(campaign, old)).rows
    partly = with_records(campaign, {**old, "flagged_by": {"forces": 7}})
    assert tables.flags(partly).rows == [["1", "–", "93", "–", "7", "–", "–", "–"]]


def test_the_audit_stands_besides_the_whole_batch(campaign):
    batch, audit = tables.prospective(campaign).rows[:2]
    assert batch == [
        "1", "Forces", "whole batch", "0.91 [0.70, 0.98]", "0.74", "–", "–", "–", "–", "28",
    ]  # fmt: skip
    assert audit == [
        "1", "Forces", "audit alone", "0.83 [0.44, 0.97]", "0.71 [0.36, 0.92]", "–", "–", "–",
        "0.17 [0.03, 0.56]", "6",
    ]  # fmt: skip
    first = campaign.records[0]
    rates = replace(first.prospective["forces"], audit=None)
    alone = with_records(campaign, replace(first, prospective={"forces": rates}).to_dict())
    assert tables.prospective(alone).rows == [batch]
    rates = replace(rates, atom_coverage=0.704)
    measured = with_records(campaign, replace(first, prospective={"forces": rates}).to_dict())
    assert tables.prospective(measured).header[7] == "Atoms"
    assert tables.prospective(measured).rows[0][7] == "0.70"


def test_the_flags_that_were_raised_are_scored_first(campaign):
    first = campaign.records[0]
    audit = Rates(0.9, 0.8, None, None, 12, miss_rate=0.05, miss_rate_interval=(0.01, 0.2))
    flags = Prospective.of(Rates(0.95, 0.7, None, None, 28), audit)
    shown = with_records(campaign, replace(first, flags=flags).to_dict())
    batch, alone = tables.prospective(shown).rows[:2]
    assert batch[:5] == ["1", "any flag", "whole batch", "0.95", "0.70"]
    assert alone[:5] == ["1", "any flag", "audit alone", "0.90", "0.80"]
    assert alone[8:] == ["0.05 [0.01, 0.20]", "12"]


def test_error_bars_tell_their_frames(campaign):
    first = campaign.records[0]
    forces = replace(
        first.calibration["forces"],
        sigma=2.0, bar_90=3.5, atom_sigma=2.2, atom_bar_90=4.0, atoms=96, bars_from="audit",
        bars_frames=14,
    )  # fmt: skip
    told = with_records(campaign, replace(first, calibration={"forces": forces}).to_dict())
    assert tables.bars(told).rows == [
        ["1", "Forces", "frame", "2.00", "3.50", "14 audit frames"],
        ["1", "Forces", "single atom", "2.20", "4.00", "96 atoms of them"],
    ]


def test_novelty_is_explained_and_counted_in_the_answer(reader, campaign):
    assert {"Novelty", "TPR, PPV"} <= cells(reader)
    novel = summarise(with_records(campaign, campaign.status["iterations"][1])).limits
    assert any(limit.endswith("the committee is unsure, or that are novel (17 frames).")
               for limit in novel)  # fmt: skip
    unsure = summarise(with_records(campaign, campaign.status["iterations"][0])).limits
    assert any(limit.endswith("of which the committee is unsure.") for limit in unsure)


def with_records(campaign, *records):
    return ReportData({**campaign.status, "iterations": list(records)}, campaign.dataset)


# ── numbers ───────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0"), (0.00123456, "0.00123"), (1.0, "1.00"), (12.345, "12.3"), (999.6, "1\u202f000"),
     (-54321.0, "\u221254\u202f321".replace("\u2212", "-")), (float("inf"), "–"), (1.07e-12, "≈ 0"),
     (-1e-9, "≈ 0"), (0.0000012, "0.00000120")],
)  # fmt: skip
def test_number(value, shown):
    assert number(value) == shown


@pytest.mark.parametrize(
    ("mean", "std", "shown"),
    [(166.2, 12.3, "166 ± 12"), (2.104, 0.021, "2.104 ± 0.021"), (5.0, 0.0, "5.00")],
)
def test_plus_minus(mean, std, shown):
    assert plus_minus(mean, std) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.52, "0.52 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (125, "2 min 05 s"),
     (12_000, "3 h 20 min")],
)  # fmt: skip
def test_duration(seconds, shown):
    assert duration(seconds) == shown
