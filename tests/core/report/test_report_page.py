"""The page: one file, safe with hostile names, every number there, honest about what is missing."""

from __future__ import annotations

import re
from html import unescape

import pytest

from trainspot.data.dataset import Dataset
from trainspot.data.frames import Origin
from trainspot.report.campaign import page
from trainspot.report.findings import tables
from trainspot.report.findings.data import ReportData
from trainspot.report.findings.verdict import summarise, too_few
from trainspot.report.quantities import BY_KEY, duration, number, plus_minus

HOSTILE = "<script>alert('x')</script>\"&$\\frac"


@pytest.fixture(scope="module")
def text(campaign):
    return page.html(campaign)


@pytest.fixture(scope="module")
def reader(text, read_page):
    return read_page(text)


def cells(reader):
    return {word.strip() for word in reader.words if word.strip()}


def test_it_needs_nothing_else(reader, text):
    assert not reader.all("script")
    assert not reader.all("link")
    images = reader.all("img")
    assert len(images) == 15
    assert all(image["src"].startswith("data:image/svg+xml;base64,") for image in images)
    without_data = re.sub(r'src="data:[^"]*"', "", text)
    assert not re.search(r"https?:|//|url\(|@import", without_data)
    assert all(a["href"].startswith("#") for a in reader.all("a"))
    targets = {attributes.get("id") for _, attributes in reader.tags}
    assert {a["href"][1:] for a in reader.all("a")} <= targets


def test_every_image_has_words_for_those_who_do_not_see_it(reader, campaign):
    texts = [image["alt"] for image in reader.all("img")]
    assert all(len(alt) > 20 for alt in texts)
    forces = campaign.records[-1]["rmse"]["test"]["forces"]["mean"]
    assert number(1000 * forces) in texts[0]


def test_ids_are_unique(reader):
    ids = [attributes["id"] for _, attributes in reader.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_every_number_of_the_status_is_there(reader, campaign):
    shown = cells(reader)
    for record in campaign.records:
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
    record = {**campaign.records[0], "refused": {HOSTILE: 2},
              "reference": {"engine": HOSTILE}}  # fmt: skip
    record["calibration"] = {"forces": {**record["calibration"]["forces"], "method": HOSTILE}}
    status = {**campaign.status, "name": HOSTILE, "state": HOSTILE, "id": HOSTILE,
              "notes": [HOSTILE], "iterations": [record], "exit": None}  # fmt: skip
    text = page.html(ReportData(status, Dataset.from_frames(frames)))
    reader = read_page(text)
    assert not reader.all("script")
    assert "<b>{" not in text
    assert text.count(HOSTILE) == 0
    assert unescape(text).count(HOSTILE) >= 6


def test_the_page_is_the_same_for_the_same_data(young_campaign):
    assert page.html(young_campaign) == page.html(young_campaign)


def test_a_young_campaign_says_what_is_missing(young_campaign, read_page):
    words = " ".join(read_page(page.html(young_campaign)).words)
    assert "Too early to say" in words
    assert "No committee has been compared with reference labels yet." in words
    assert "Disagreement has not been calibrated yet." in words


def test_an_empty_campaign_has_a_page(empty_campaign, tmp_path, read_page):
    page.write(empty_campaign, tmp_path / "report.html")
    reader = read_page((tmp_path / "report.html").read_text())
    assert len(reader.all("img")) == 2  # the maps of the frames that wait for labels
    assert "Nothing is labelled yet." in " ".join(reader.words)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_tables_are_as_wide_as_their_headers(campaign):
    made = [getattr(tables, name)(campaign) for name in
            ("iterations", "flags", "refusals", "errors", "calibrations", "prospective", "timings",
             "composition", "motifs")]  # fmt: skip
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
    old = {k: v for k, v in campaign.records[0].items() if k not in added}
    assert not tables.flags(with_records(campaign, old)).rows
    partly = with_records(campaign, {**old, "flagged_by": {"forces": 7}})
    assert tables.flags(partly).rows == [["1", "–", "93", "–", "7", "–", "–", "–"]]


def test_the_audit_stands_besides_the_whole_batch(campaign):
    batch, audit = tables.prospective(campaign).rows[:2]
    assert batch == [
        "1", "Forces", "whole batch", "0.91 [0.70, 0.98]", "0.74", "–", "–", "–", "28",
    ]  # fmt: skip
    assert audit == [
        "1", "Forces", "audit alone", "0.83 [0.44, 0.97]", "0.71 [0.36, 0.92]", "–", "–",
        "0.17 [0.03, 0.56]", "6",
    ]  # fmt: skip
    found = {k: v for k, v in campaign.records[0]["prospective"]["forces"].items() if k != "audit"}
    alone = with_records(campaign, {**campaign.records[0], "prospective": {"forces": found}})
    assert tables.prospective(alone).rows == [batch]
    measured = with_records(campaign, {
        **campaign.records[0], "prospective": {"forces": found | {"atom_coverage": 0.704}},
    })  # fmt: skip
    assert tables.prospective(measured).header[6] == "Atoms"
    assert tables.prospective(measured).rows[0][6] == "0.70"


def test_novelty_is_explained_and_counted_in_the_answer(reader, campaign):
    assert {"Novelty", "TPR, PPV"} <= cells(reader)
    novel = summarise(with_records(campaign, campaign.records[1])).limits
    assert any(limit.endswith("the committee is unsure, or that are novel to it (17).")
               for limit in novel)  # fmt: skip
    unsure = summarise(with_records(campaign, campaign.records[0])).limits
    assert any(limit.endswith("on which the committee is unsure.") for limit in unsure)


def with_records(campaign, *records):
    return ReportData({**campaign.status, "iterations": list(records)}, campaign.dataset)


# ── the answer ────────────────────────────────────────────────────────────────
def with_errors(campaign, factor, *, exit_status=0, verdict="good"):
    """The last iteration with errors of so many tolerances."""
    record = dict(campaign.records[-1])
    record["rmse"] = {"test": {k: {"mean": factor * v, "std": 0.0}
                               for k, v in campaign.tolerance.items()}}  # fmt: skip
    record["calibration"] = {k: {**v, "verdict": verdict, "fitted": verdict == "good"}
                             for k, v in record["calibration"].items()}  # fmt: skip
    status = {
        **campaign.status,
        "exit": {"status": exit_status, "label": "x"},
        "iterations": [record],
    }
    return summarise(ReportData(status, campaign.dataset, campaign.iterations))


@pytest.mark.parametrize(
    ("factor", "change", "answer"),
    [
        (0.9, {}, "yes"),
        (1.1, {}, "no"),
        (0.9, {"exit_status": 420}, "partly"),
        (0.9, {"verdict": "poor"}, "partly"),
    ],
)
def test_the_answer_follows_from_error_calibration_and_ending(campaign, factor, change, answer):
    assert with_errors(campaign, factor, **change).answer == answer


def test_limits_name_the_worst_motif_and_how_far_it_is_off(campaign):
    summary = with_errors(campaign, 1.5, exit_status=420, verdict="undetermined")
    limits = " ".join(summary.limits)
    assert "1.5 times the tolerance" in limits
    assert "“vacancies”" in limits
    assert "undetermined" in limits
    assert "largest number of iterations" in limits
    assert "1 frame could not be labelled" in " ".join(summarise(campaign).limits)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"exit": {"status": 421, "label": "budget_spent"}}, "used up its budget"),
        ({"exit": None, "state": "running"}, "still running (iteration 3)"),
        ({"exit": {"status": 451, "label": "broken"}}, "finished (broken) after 3 iterations"),
        ({"exit": {"status": 0, "label": "converged"}}, "ended by itself after 3 iterations"),
    ],
)
def test_the_ending_is_told(campaign, change, sentence):
    data = ReportData({**campaign.status, **change}, campaign.dataset)
    assert sentence in " ".join(summarise(data).sentences)


def test_why_it_ended_comes_first_in_the_words_of_the_status(campaign, read_page):
    """After dpgen #1363: the report did not say that nothing had passed the screen."""
    ending = {"status": 411, "label": "no_valid_exploration", "remedy": "Explore cooler (x)",
              "message": "no explored frame passed the screen: 24 overlap"}  # fmt: skip
    broken = {"runs": 5, "exploration_failures": 5, "broken_off": {"exploded": 4, "cut off": 1}}
    last = {**campaign.records[-1], **broken}
    status = {**campaign.status, "state": "failed", "exit": ending, "iterations": [last]}
    data = ReportData(status, campaign.dataset, campaign.iterations)
    summary = summarise(data)
    said = "Why it ended: no explored frame passed the screen: 24 overlap. Explore cooler (x)."
    assert summary.limits[0] == said
    assert "The campaign failed (no_valid_exploration) after 1 iteration." in summary.sentences
    assert not any("broke off" in limit for limit in summary.limits)  # the message has it
    assert tables.runs(data).rows == [[str(last["n"]), "exploded (4), cut off (1)", "5", "5"]]
    shown = page.html(data)
    assert said in shown
    assert "broke off before their end" in shown


def test_without_any_judgement_the_ending_is_told_all_the_same(empty_campaign):
    ending = {"status": None, "label": "killed", "message": "stopped", "remedy": "Go on"}
    status = {**empty_campaign.status, "state": "killed", "exit": ending}
    summary = summarise(ReportData(status, empty_campaign.dataset))
    assert summary.limits == ["Why it ended: stopped. Go on."]
    assert summary.sentences[-1] == "The campaign was stopped (killed) after 0 iterations."


def test_runs_that_broke_off_are_told_of_other_endings_too(campaign):
    last = {**campaign.records[-1], "runs": 8, "exploration_failures": 2}
    data = ReportData({**campaign.status, "iterations": [last]}, campaign.dataset)
    assert (
        "In the last exploration 2 of 8 runs broke off before their end." in summarise(data).limits
    )
    assert tables.runs(campaign).rows == []


def test_random_choice_and_final_audit_are_told(campaign):
    last = {**campaign.records[-1], "random_choice": True, "final_audit": {"misses": 3}}
    summary = summarise(ReportData({**campaign.status, "iterations": [last]}, campaign.dataset))
    assert "chosen at random" in " ".join(summary.limits)
    assert "final audit found 3 unflagged" in " ".join(summary.sentences)


def test_too_few_frames_for_thresholds_are_told_with_a_remedy(campaign):
    few = {"forces": {"verdict": "undetermined", "pairs": 5, "fitted": False}}
    last = {**campaign.records[-1], "random_choice": True, "calibration": few}
    assert "thresholds take 12 labelled frames" in too_few(last)
    assert "there were 5: a larger share of validation (split.fractions)" in too_few(last)
    summary = summarise(ReportData({**campaign.status, "iterations": [last]}, campaign.dataset))
    assert any(limit.startswith("Thresholds take 12") for limit in summary.limits)
    enough = {"forces": {"verdict": "poor", "pairs": 30, "fitted": False}}
    assert too_few({**last, "calibration": enough}) == ""
    assert too_few({**last, "random_choice": False}) == ""


def test_without_test_frames_the_summary_says_so(campaign):
    record = dict(campaign.records[-1])
    record["rmse"] = {"validation": record["rmse"]["validation"]}
    data = ReportData({**campaign.status, "iterations": [record]}, campaign.dataset)
    assert "no test frames" in summarise(data).sentences[0]


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
