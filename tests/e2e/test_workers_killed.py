"""Workers killed with -9 at the worst moments: nothing lost, nothing twice, same choice."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.engine, pytest.mark.slow]

MOMENTS = (  # see saboteur.py
    "stored-DatasetAugmentationWorkChain",
    "deciding-merge_steps",
    "unqueued-AseLabelCalculation",
    "queued-ToyTrainWorkChain",
    "unqueued-ToyTrainCalculation",
    "stored-EvaluationCalculation",
    "deciding-judge",
)


def finished(status: dict) -> bool:
    return status["state"] not in ("created", "waiting", "running")


def test_killed_workers_lose_nothing_and_change_nothing(home):
    hurt = home("hurt", MOMENTS)
    hurt.until(lambda s: s["stage"] == "label" and "AseLabel" in hurt.verdi("process", "list"))
    victims = hurt.workers()
    assert victims
    for process in victims:
        process.kill()
    ended = hurt.until(finished)
    calm = home("calm")
    reference = calm.until(finished)
    assert ended["exit"]["label"] == reference["exit"]["label"] == "max_iterations"

    answers = [home.answers() for home in (hurt, calm)]
    for answer in answers:
        assert len(answer["labelled"]) == len(set(answer["labelled"]))
        assert not any(answer["from_cache"])
        assert answer["never_ended"] == answer["failed"] == []
        assert answer["concurrent"] <= answer["may_be_concurrent"]
    assert list((hurt.folder / "moments").iterdir()) == []  # all of them came
    # Each left the process it struck, but for the child whose task was sent: a worker may have
    # taken that up before the repeated step looked. The calm campaign left none.
    assert answers[0]["replaced"] >= sum(not moment.startswith("queued") for moment in MOMENTS)
    assert answers[1]["replaced"] == 0
    assert answers[0]["members"] == answers[1]["members"]
    assert answers[0]["chosen"] == answers[1]["chosen"]
    assert sum(map(len, answers[0]["chosen"][0])) > 0
    assert sorted(answers[0]["labelled"]) == sorted(answers[1]["labelled"])
    totals = [r["labelled_total"] for r in ended["iterations"]]
    assert totals == [r["labelled_total"] for r in reference["iterations"]]
