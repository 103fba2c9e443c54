"""The verdict: every ending with every state of the errors, and what limits a potential."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from html import unescape

import pytest

from trainspot.campaign.record import FinalAudit, ScreenAudit
from trainspot.report import compose
from trainspot.report.findings import tables
from trainspot.report.findings.data import ReportData
from trainspot.report.findings.headlines import HEADLINES, UNSURE, Ending, Within
from trainspot.report.findings.verdict import summarise, too_few

CONVERGED = {"state": "finished", "exit": {"status": 0, "label": "converged"}}
ENDINGS = {
    Ending.CONVERGED: CONVERGED,
    Ending.ITERATIONS: {"state": "finished", "exit": {"status": 420, "label": "max_iterations"}},
    Ending.BUDGET: {"state": "finished", "exit": {"status": 421, "label": "budget_spent"}},
    Ending.POOL: {"state": "finished", "exit": {"status": 422, "label": "pool_exhausted"}},
    Ending.FAILED: {"state": "failed", "exit": {"status": 452, "label": "sub_process_failed"}},
    Ending.STOPPED: {"state": "killed", "exit": {"status": None, "label": "killed"}},
    Ending.RUNNING: {"state": "running", "exit": None},
    Ending.BY_HAND: {},
}
FACTORS = {
    Within.ALL: {"energy": 0.9, "forces": 0.9, "stress": 0.9},
    Within.SOME: {"energy": 1.2, "forces": 0.9, "stress": 1.1},
    Within.NONE: {"energy": 1.2, "forces": 1.1, "stress": 1.1},
}
ON_TEST = "Within the tolerance on the test frames"
SOME = "Within the tolerance for forces, not for energy and stress"
NO_TOLERANCE = "No verdict: there is no tolerance for the errors that were measured"
ITERATIONS = "the campaign ran out of iterations before it converged"
BUDGET = "the campaign spent its budget before it converged"
POOL = "the pool ran out of frames before the campaign converged"
FAILED = "the campaign failed before it converged"
STOPPED = "the campaign was stopped before it converged"
RUNNING = "the campaign is still running"
TABLE = [
    (Ending.CONVERGED, Within.ALL, "yes", ON_TEST),
    (Ending.CONVERGED, Within.SOME, "partly", SOME),
    (Ending.CONVERGED, Within.NONE, "no",
     "Not within the tolerance, although exploration found nothing new"),
    (Ending.CONVERGED, Within.NOT_TESTED, "unknown",
     "No verdict: the campaign converged, but recorded no errors"),
    (Ending.ITERATIONS, Within.ALL, "open", f"{ON_TEST}, but {ITERATIONS}"),
    (Ending.ITERATIONS, Within.SOME, "partly", f"{SOME}; {ITERATIONS}"),
    (Ending.ITERATIONS, Within.NONE, "no", f"Not within the tolerance; {ITERATIONS}"),
    (Ending.ITERATIONS, Within.NOT_TESTED, "unknown",
     "No verdict: the campaign ran out of iterations without a tested committee"),
    (Ending.BUDGET, Within.ALL, "open", f"{ON_TEST}, but {BUDGET}"),
    (Ending.BUDGET, Within.SOME, "partly", f"{SOME}; {BUDGET}"),
    (Ending.BUDGET, Within.NONE, "no", f"Not within the tolerance; {BUDGET}"),
    (Ending.BUDGET, Within.NOT_TESTED, "unknown",
     "No verdict: the campaign spent its budget without a tested committee"),
    (Ending.POOL, Within.ALL, "open", f"{ON_TEST}, but {POOL}"),
    (Ending.POOL, Within.SOME, "partly", f"{SOME}; {POOL}"),
    (Ending.POOL, Within.NONE, "no", f"Not within the tolerance; {POOL}"),
    (Ending.POOL, Within.NOT_TESTED, "unknown",
     "No verdict: the pool ran out of frames without a tested committee"),
    (Ending.FAILED, Within.ALL, "open", f"{ON_TEST}, but {FAILED}"),
    (Ending.FAILED, Within.SOME, "partly", f"{SOME}; {FAILED}"),
    (Ending.FAILED, Within.NONE, "no", f"Not within the tolerance; {FAILED}"),
    (Ending.FAILED, Within.NOT_TESTED, "unknown",
     "No verdict: the campaign failed before a committee was tested"),
    (Ending.STOPPED, Within.ALL, "open", f"{ON_TEST}, but {STOPPED}"),
    (Ending.STOPPED, Within.SOME, "partly", f"{SOME}; {STOPPED}"),
    (Ending.STOPPED, Within.NONE, "no", f"Not within the tolerance; {STOPPED}"),
    (Ending.STOPPED, Within.NOT_TESTED, "unknown",
     "No verdict: the campaign was stopped before a committee was tested"),
    (Ending.RUNNING, Within.ALL, "open", f"{ON_TEST} so far; {RUNNING}"),
    (Ending.RUNNING, Within.SOME, "partly", f"{SOME} so far; {RUNNING}"),
    (Ending.RUNNING, Within.NONE, "no", f"Not yet within the tolerance; {RUNNING}"),
    (Ending.RUNNING, Within.NOT_TESTED, "unknown",
     "Too early to say: no committee has been tested yet"),
    (Ending.BY_HAND, Within.ALL, "open", f"{ON_TEST}; not tested by exploration"),
    (Ending.BY_HAND, Within.SOME, "partly", SOME),
    (Ending.BY_HAND, Within.NONE, "no", "Not within the tolerance"),
    (Ending.BY_HAND, Within.NOT_TESTED, "unknown", "No verdict: the committee was not tested"),
    *((ending, Within.NOT_STATED, "unknown", NO_TOLERANCE) for ending in Ending),
]  # fmt: skip


def ended(campaign, ending, within=Within.ALL, *, verdict="good", split="test", basis="fit"):
    """The campaign with one iteration whose errors and ending are as they are named."""
    record = dict(campaign.status["iterations"][-1])
    factors = FACTORS.get(within, FACTORS[Within.ALL])
    errors = {k: {"mean": factors[k] * v, "std": 0.0} for k, v in campaign.tolerance.items()}
    record["rmse"] = {} if within is Within.NOT_TESTED else {split: errors}
    record["calibration"] = {
        k: {**v, "verdict": verdict, "fitted": verdict == "good", "basis": basis}
        for k, v in record["calibration"].items()
    }
    status = {"name": "silicon", "iterations": [record], **ENDINGS[ending]}
    if within is not Within.NOT_STATED:
        status["tolerance"] = campaign.tolerance
    return ReportData(status, campaign.dataset)


def test_the_table_has_every_ending_with_every_state_of_the_errors():
    cells = {(ending, within) for ending in Ending for within in Within}
    assert set(HEADLINES) == cells == {(ending, within) for ending, within, *_ in TABLE}
    assert len(TABLE) == len(cells)


@pytest.mark.parametrize(("ending", "within", "answer", "headline"), TABLE)
def test_every_verdict(campaign, ending, within, answer, headline):
    summary = summarise(ended(campaign, ending, within))
    assert (summary.answer, summary.headline) == (answer, headline)


@pytest.mark.parametrize("ending", [one for one in Ending if one is not Ending.CONVERGED])
def test_a_campaign_that_did_not_converge_is_never_partly_within_the_tolerance(campaign, ending):
    """All its errors are within the tolerance, so that nothing is partly so."""
    summary = summarise(ended(campaign, ending))
    assert summary.answer == "open"
    assert "partly" not in summary.headline.lower()


@pytest.mark.parametrize("verdict", ["poor", "undetermined"])
def test_weak_error_bars_are_told_of_a_converged_campaign(campaign, verdict):
    summary = summarise(ended(campaign, Ending.CONVERGED, verdict=verdict))
    assert (summary.answer, summary.headline) == ("open", UNSURE.format(which="test"))
    assert f"Forces: the calibration is {verdict} (27 pairs)." in " ".join(summary.limits)
    old = ended(campaign, Ending.CONVERGED, verdict=verdict, basis="largest ratio")
    assert "it flags rather too much" in " ".join(summarise(old).limits)
    other = summarise(ended(campaign, Ending.ITERATIONS, verdict=verdict))
    assert other.headline == f"{ON_TEST}, but {ITERATIONS}"


def test_without_test_frames_the_verdict_is_on_validation_frames(campaign):
    summary = summarise(ended(campaign, Ending.CONVERGED, split="validation"))
    assert summary.headline == "Within the tolerance on the validation frames"
    assert summary.sentences[0].startswith("There are no test frames.")


@pytest.mark.parametrize(
    ("status", "ending"),
    [
        ({"state": "excepted", "exit": {"status": None, "label": "excepted"}}, Ending.FAILED),
        ({"state": "created"}, Ending.RUNNING),
        ({"state": "waiting", "exit": None}, Ending.RUNNING),
        ({"state": "finished", "exit": {"status": 411, "label": "nothing"}}, Ending.FAILED),
    ],
)
def test_other_states_have_a_verdict_too(campaign, status, ending):
    data = ReportData({"iterations": [], **status}, campaign.dataset)
    assert summarise(data).headline == HEADLINES[ending, Within.NOT_TESTED][1]


def test_the_colour_of_the_answer_is_on_the_page(campaign):
    assert '<section id="summary" class="answer open"' in compose.html(
        ended(campaign, Ending.ITERATIONS)
    )


def test_the_verdict_needs_no_library_of_figures():
    """``trainspot status`` tells it too, and is asked for often."""
    code = "import sys, trainspot.report.findings.verdict; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# ── grounds and limits ────────────────────────────────────────────────────────
def test_limits_name_the_worst_strategy_and_how_far_it_is_off(campaign):
    data = ended(campaign, Ending.ITERATIONS, Within.NONE, verdict="undetermined")
    summary = summarise(ReportData(data.status, data.dataset, campaign.iterations))
    limits = " ".join(summary.limits)
    assert "Energy per atom: the error is 1.2 times the tolerance." in limits
    assert "“vacancies”" in limits
    assert "undetermined" in limits
    assert "largest number of iterations" in limits
    assert "1 frame could not be labelled" in " ".join(summarise(campaign).limits)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"exit": {"status": 421, "label": "budget_spent"}}, "used up its budget"),
        ({"exit": {"status": 422, "label": "pool_exhausted"}}, "used up its pool"),
        ({"exit": None, "state": "running"}, "still running (iteration 3)"),
        ({"exit": {"status": 451, "label": "broken"}}, "finished (broken) after 3 iterations"),
        ({"exit": {"status": 0, "label": "converged"}}, "converged after 3 iterations"),
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
    last = {**campaign.status["iterations"][-1], **broken}
    status = {**campaign.status, "state": "failed", "exit": ending, "iterations": [last]}
    data = ReportData(status, campaign.dataset, campaign.iterations)
    summary = summarise(data)
    said = "Why it ended: no explored frame passed the screen: 24 overlap. Explore cooler (x)."
    assert summary.limits[0] == said
    assert "The campaign failed (no_valid_exploration) after 1 iteration." in summary.sentences
    assert not any("broke off" in limit for limit in summary.limits)  # the message has it
    assert tables.runs(data).rows == [[str(last["n"]), "exploded (4), cut off (1)", "5", "5"]]
    shown = unescape(compose.html(data))
    assert said in shown
    assert "broke off before their end" in shown


def test_without_any_judgement_the_ending_is_told_all_the_same(empty_campaign):
    ending = {"status": None, "label": "killed", "message": "stopped", "remedy": "Go on"}
    status = {**empty_campaign.status, "state": "killed", "exit": ending}
    summary = summarise(ReportData(status, empty_campaign.dataset))
    assert summary.limits == ["Why it ended: stopped. Go on."]
    assert summary.sentences[-1] == "The campaign was stopped (killed) after 0 iterations."


def test_runs_that_broke_off_are_told_of_other_endings_too(campaign):
    last = {**campaign.status["iterations"][-1], "runs": 8, "exploration_failures": 2}
    data = ReportData({**campaign.status, "iterations": [last]}, campaign.dataset)
    assert (
        "In the last exploration 2 of 8 runs broke off before their end." in summarise(data).limits
    )
    assert tables.runs(campaign).rows == []


def test_random_choice_and_final_audit_are_told(campaign):
    last = replace(campaign.records[-1], random_choice=True, final_audit=FinalAudit(3))
    status = {**campaign.status, "iterations": [last.to_dict()]}
    summary = summarise(ReportData(status, campaign.dataset))
    assert "selected at random" in " ".join(summary.limits)
    assert "final audit found 3 frames with an error beyond the tolerance" in " ".join(
        summary.sentences
    )


@pytest.mark.parametrize(("physical", "more"), [(0, ""), (2, "a larger screen.overlap_force")])
def test_what_labels_say_about_the_screen_is_told(campaign, physical, more):
    first, last = campaign.records[0], campaign.records[-1]
    first = replace(first, refused={"force": 5}, screen_audit=ScreenAudit(2, 2, physical))
    last = replace(last, n=first.n + 1, refused={"force": 5}, screen_audit=ScreenAudit(2, 1, 0))
    status = {**campaign.status, "iterations": [first.to_dict(), last.to_dict()]}
    data = ReportData(status, campaign.dataset)
    limits = " ".join(summarise(data).limits)
    assert f"{physical} of 3 labelled frames that the screen refused were physical" in limits
    assert more in limits
    assert bool(more) is ("screen.overlap_force" in limits)
    table = tables.refusals(data)
    assert table.header[-3:] == ["Drawn", "Labelled", "Physical"]
    assert [row[-3:] for row in table.rows] == [["2", "2", str(physical)], ["2", "1", "0"]]
    assert "Drawn" not in tables.refusals(campaign).header


def test_too_few_frames_for_thresholds_are_told_with_a_remedy(campaign):
    last = campaign.records[-1]
    made = replace(last.calibration["forces"], verdict="undetermined", pairs=5, fitted=False)
    last = replace(last, random_choice=True, calibration={"forces": made})
    assert "thresholds need 12 labelled frames" in too_few(last)
    assert "there were 5: 7 are missing; increase the share of validation" in too_few(last)
    status = {**campaign.status, "iterations": [last.to_dict()]}
    summary = summarise(ReportData(status, campaign.dataset))
    assert any(limit.startswith("Thresholds need 12") for limit in summary.limits)
    enough = replace(made, verdict="poor", pairs=30)
    assert too_few(replace(last, calibration={"forces": enough})) == ""
    assert too_few(replace(last, random_choice=False)) == too_few(last)  # the largest ratio rules
    fitted = replace(made, fitted=True, verdict="good")
    assert too_few(replace(last, calibration={"forces": fitted})) == ""


def test_without_test_frames_the_summary_says_so(campaign):
    record = dict(campaign.status["iterations"][-1])
    record["rmse"] = {"validation": record["rmse"]["validation"]}
    data = ReportData({**campaign.status, "iterations": [record]}, campaign.dataset)
    assert "no test frames" in summarise(data).sentences[0]


def test_too_few_frames_are_counted_against_what_the_method_needs(campaign):
    """A conformal calibration at 0.95 needs 19 pairs, not the 12 of the others."""
    last = campaign.records[-1]
    forces = replace(
        last.calibration["forces"], verdict="undetermined", pairs=15, fitted=False, needed=19
    )
    energy = replace(forces, property="energy", pairs=14)
    last = replace(last, random_choice=True, calibration={"energy": energy, "forces": forces})
    assert too_few(last).startswith("thresholds need 19 labelled frames")
    assert "and there were 15:" in too_few(last)
    enough = replace(forces, verdict="poor", pairs=19)
    assert too_few(replace(last, calibration={"forces": enough})) == ""
    given = replace(forces, method="given", pairs=0, needed=0)
    assert too_few(replace(last, calibration={"forces": given})) == ""


def test_duplicates_are_no_valid_frames(campaign):
    last = replace(
        campaign.records[-1], explored=100, duplicates=60, refused={"overlap": 20}, flagged=10
    )
    status = {**campaign.status, "iterations": [last.to_dict()]}
    said = " ".join(summarise(ReportData(status, campaign.dataset)).limits)
    assert f"10 of {last.valid} valid frames (50 %) were flagged" in said


@pytest.mark.parametrize("ending", list(Ending))
def test_without_errors_only_a_running_campaign_waits_for_a_test(campaign, ending):
    ground = summarise(ended(campaign, ending, Within.NOT_TESTED)).sentences[0]
    waits = ending is Ending.RUNNING
    assert ground == ("No committee has been tested yet." if waits else "No errors were recorded.")
