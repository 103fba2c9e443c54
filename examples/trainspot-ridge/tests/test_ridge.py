"""The trainer keeps trainspot's contract, and it learns what a pair potential can learn."""

import numpy as np

from trainspot.testing import check_trainer, check_workchain_ports, tiny_dataset
from trainspot_ridge.trainer import RidgeSettings, fit


def test_contract(tmp_path):
    check_trainer("ridge", tmp_path)


def test_work_chain():
    check_workchain_ports("train", "ridge")


def test_more_functions_fit_better_and_members_differ():
    dataset = tiny_dataset()
    _, coarse, _ = fit(dataset, RidgeSettings(n_radial=2), seed=1)
    first, fine, _ = fit(dataset, RidgeSettings(n_radial=12), seed=1)
    second, _, _ = fit(dataset, RidgeSettings(n_radial=12), seed=2)
    assert fine["train_forces"] < coarse["train_forces"]
    assert not np.allclose(first.coefficients, second.coefficients)
