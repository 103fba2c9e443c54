"""Mean and 95th percentile of absolute errors, against numpy on all components."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from trainspot.predictions.absolute import AbsoluteSum, absolute_errors


def components(dataset, predictions):
    """Absolute errors of every component of the committee mean, one by one."""
    frames = dataset.select(predictions.ids)
    energy = (predictions.energy.mean(axis=0) - frames.column("energy")) / frames.n_atoms
    forces = predictions.forces.mean(axis=0) - frames.column("forces")
    stress = predictions.stress.mean(axis=0) - frames.column("stress")
    return {"energy": np.abs(energy), "forces": np.abs(forces).ravel(), "stress": np.abs(stress)}


def test_both_figures_are_those_of_all_components(make_dataset, predict):
    dataset = make_dataset(60, sizes=[4] * 60)
    predictions = predict(dataset, noise=np.geomspace(0.01, 3.0, 60))
    errors = absolute_errors(predictions, dataset)
    for name, values in components(dataset, predictions).items():
        assert errors[name].mae == pytest.approx(values.mean())
        # A bin is 1 % wide; between two values any number is a percentile.
        low, high = np.quantile(values, [0.945, 0.955], method="nearest")
        assert 0.99 * low <= errors[name].p95 <= 1.01 * high


def test_sums_of_chunks_are_those_of_all(make_dataset, predict):
    dataset = make_dataset(30)
    predictions = predict(dataset)
    parts = [AbsoluteSum.of(predictions.take(np.arange(k, 30, 3)), dataset) for k in range(3)]
    together = (parts[0] + parts[1] + parts[2]).errors()
    for name, error in absolute_errors(predictions, dataset).items():
        assert together[name].mae == pytest.approx(error.mae)
        assert together[name].p95 == error.p95


def test_a_few_bad_frames_do_not_dominate(make_dataset, predict):
    dataset = make_dataset(100, sizes=[3] * 100)
    calm = predict(dataset, noise=0.1)
    bad = predict(dataset, noise=[100.0] + [0.1] * 99)
    assert bad.rmse(dataset)["forces"] > 20 * calm.rmse(dataset)["forces"]
    ratio = (
        absolute_errors(bad, dataset)["forces"].p95 / absolute_errors(calm, dataset)["forces"].p95
    )
    assert 0.8 < ratio < 1.3


def test_the_stress_of_a_slab_has_four_components(make_dataset, predict):
    dataset = make_dataset(40, pbc=(True, True, False), sizes=[2] * 40)
    predictions = predict(dataset)
    frames = dataset.select(predictions.ids)
    off = (predictions.stress.mean(axis=0) - frames.column("stress"))[:, :2, :2]
    errors = absolute_errors(predictions, dataset)["stress"]
    assert errors.mae == pytest.approx(np.abs(off).mean(), rel=1e-6)
    low, high = np.quantile(np.abs(off), [0.94, 0.96])
    assert 0.99 * low <= errors.p95 <= 1.01 * high


def test_frames_without_labels_or_with_broken_predictions_do_not_count(make_dataset, predict):
    dataset = make_dataset(12)
    predictions = predict(dataset)
    whole = absolute_errors(predictions.take(np.arange(6)), dataset)
    energy = predictions.energy.copy()
    energy[0, 6:] = np.nan
    broken = absolute_errors(replace(predictions, energy=energy), dataset)
    assert broken["forces"].mae == pytest.approx(whole["forces"].mae)
    assert absolute_errors(predictions, dataset.without_labels()) == {}
