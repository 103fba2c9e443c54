"""The study of trust: its rules against known answers; its page against its results."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from trainspot import io
from trainspot.data.frames import Frame

DOCS = Path(__file__).parents[2] / "docs"
STUDIES = DOCS / "studies"


@pytest.fixture(scope="module")
def study():
    """Imports a script by name; they import one another."""
    sys.path.insert(0, str(STUDIES))
    yield importlib.import_module
    sys.path.remove(str(STUDIES))


@pytest.fixture(scope="module")
def judging(study):
    return study("trust_judging")


@pytest.fixture(scope="module")
def rules(study):
    return study("trust_rules")


@pytest.fixture(scope="module")
def stated():
    return json.loads((STUDIES / "trust-results.json").read_text(encoding="utf-8"))


def columns(seed, ratio=2.0, unseen=10.0):
    """Errors are a multiple of Δ, a larger one for the unseen motif, which is far."""
    rng = np.random.default_rng(seed)
    delta = rng.uniform(0.02, 0.2, 120)
    motif = np.array(["rattled"] * 80 + ["surfaces"] * 40)
    error = delta * np.where(motif == "surfaces", unseen, ratio)
    away = np.where(motif == "surfaces", 1.0, 0.01)
    atoms = np.repeat(delta[:, None], 4, axis=1), np.repeat(error[:, None], 4, axis=1)
    made = {
        "motif": motif,
        "pool": np.arange(120) >= 20,
        "unseen": motif == "surfaces",
        "tolerances": np.array([0.2, 0.3]),
        "member_rmse": np.array([0.1, 0.2]),
        "delta_atom": atoms[0],
        "error_atom": atoms[1],
        "distance": np.full(120, 0.01),
        "distance_limit": np.full(120, 0.1),
        "atom_distance": away,
        "atom_limit": np.full(120, 0.1),
    }
    for name in ("energy", "forces", "stress"):
        made |= {f"delta_{name}": delta, f"error_{name}": error}
    return made


@pytest.fixture
def case(judging):
    return judging.Case("molybdenum-far-plain-1", columns(1))


def test_the_rank_is_that_of_conformal_prediction(judging):
    ratios = np.arange(1.0, 13.0)
    assert judging.rank_of(ratios, 0.9) == 12.0
    assert judging.rank_of(ratios, 0.68) == 9.0
    assert judging.rank_of(ratios[:3], 0.95) == 3.0


def test_a_poor_fit_falls_back_to_the_tolerance_today_and_to_a_large_ratio_later(judging, rules):
    delta = np.linspace(0.1, 0.2, 20)
    error = delta[::-1] * np.where(np.arange(20) == 7, 5.0, 1.0)
    today = judging.threshold(delta, error, 0.3, rules.TODAY)
    later = judging.threshold(delta, error, 0.3, rules.CONSERVATIVE)
    assert today == 0.3
    assert later == pytest.approx(0.3 / np.sort(error / delta)[19])
    few = judging.threshold(delta[:2], error[:2], 0.3, rules.CONSERVATIVE)
    assert few == pytest.approx(0.3 / (error[:2] / delta[:2]).max())
    assert judging.threshold(delta[:0], error[:0], 0.3, rules.CONSERVATIVE) == 0.3e-4


def test_counts_and_rates_of_known_frames(judging):
    error = np.array([2.0, 1.2, 0.9, 0.1, 0.2, 3.0])
    flagged = np.array([True, True, False, True, False, False])
    found = judging.rates(judging.counts(flagged, error, 1.0))
    assert found == {
        "f1": pytest.approx(4 / 6, abs=1e-4),
        "tpr": pytest.approx(2 / 3, abs=1e-4),
        "ppv": pytest.approx(2 / 3, abs=1e-4),
        "severe_found": 0.5,
        "wrong_unflagged": pytest.approx(1 / 3, abs=1e-4),
        "false_alarms": pytest.approx(1 / 3, abs=1e-4),
        "flagged": 0.5,
        "wrong": 0.5,
    }


def test_an_unseen_motif_is_missed_without_atoms_and_found_with_them(judging, rules, case):
    today = judging.rates(judging.judged(case, rules.TODAY, 0.3))
    local = judging.rates(judging.judged(case, rules.LOCAL, 0.3))
    assert today["tpr"] < 0.95
    assert local["tpr"] == 1.0


def test_bars_of_familiar_frames_do_not_cover_an_unseen_motif(judging, case):
    hits, frames, unseen_hits, unseen = judging.covered(case, "forces", "validation", 0, 0.9)
    assert (frames, unseen) == (100, 40)
    assert unseen_hits / unseen < 0.1
    assert 0.55 < hits / frames < 0.65
    hits, frames, *_ = judging.covered(case, "atom", "audit", 25, 0.9)
    assert frames == 4 * 75
    assert hits / frames > 0.95


def test_the_audit_is_not_scored(judging, rules, case):
    assert judging.judged(case, rules.AUDITED, 0.2)[3] == 88
    assert judging.judged(case, rules.TODAY, 0.2)[3] == 100


def test_only_cases_with_both_committees_are_compared(judging):
    made = {
        "titania-far-plain-1": columns(1),
        "titania-far-bagged-1": columns(2),
        "titania-far-plain-2": columns(3),
    }
    assert [case.seed for case in judging.complete(made)] == [1, 1]


def test_each_training_frame_is_left_out_by_one_bagged_member(study):
    trust = study("trust")
    frames = io.read(STUDIES / "trust-data" / "molybdenum.extxyz.xz")
    setup = next(s for s in trust.setups(["molybdenum"], [1]) if s.bagging)
    dataset = trust.assigned(frames, setup)
    assert {trust.trust_pairs.motif(f) for f in dataset.subset("train")} == set(setup.known)
    counts = (len(dataset.subset("train")), len(dataset.subset("validation")))
    assert counts == (32, 20)
    bags = [trust.bag(dataset, setup, member) for member in range(4)]
    left_out = [set(dataset.ids) - set(bag.ids) for bag in bags]
    assert [len(ids) for ids in left_out] == [8, 8, 8, 8]
    assert set().union(*left_out) == set(dataset.subset("train").ids)


def test_frames_are_those_that_were_labelled(study):
    systems = study("trust_systems")
    for file in sorted((STUDIES / "trust-data").glob("*.extxyz.xz")):
        made = {Frame.from_atoms(atoms).id for atoms in systems.frames(file.name.split(".")[0])}
        labelled = set(io.read(file).ids)
        assert labelled <= made
        assert len(labelled) > 0.95 * len(made)


def test_what_is_stated_is_what_the_pairs_give(study, judging, rules, stated):
    pairs = study("trust_pairs")
    cases = judging.complete(pairs.read(pairs.FILE))
    assert json.loads(json.dumps(judging.facts(cases))) == stated["mace"]["cases"]
    for name in ("paper", "today"):
        made = judging.summary(cases, rules.RULES[name])
        assert {key: made[key] for key in judging.RATES} == {
            key: stated["mace"]["rules"][name][key] for key in judging.RATES
        }


def test_the_tables_of_the_page_are_those_of_the_results(study, stated):
    tables = study("trust_tables")
    page = (DOCS / "explanation" / "trust-study.md").read_text(encoding="utf-8")
    assert tables.filled(page, tables.tables(stated)) == page


def test_the_figures_are_drawn(study, judging, tmp_path, monkeypatch):
    monkeypatch.setattr(judging, "DRAWS", 2)
    monkeypatch.setattr(judging, "RESAMPLES", 5)
    made = {f"{s}-far-{b}-1": columns(len(s + b)) for s in ("titania", "silicon", "molecules")
            for b in ("plain", "bagged")}  # fmt: skip
    cases = judging.complete(made)
    study("trust_figures").draw(cases, judging.results(cases), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "trust-bars.png",
        "trust-pairs.png",
        "trust-rules.png",
    ]
