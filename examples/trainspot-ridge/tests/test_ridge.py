"""The trainer keeps trainspot's contract, and it learns what a pair potential can learn."""

import numpy as np
import pytest

from trainspot import Frame
from trainspot.common.errors import InputError
from trainspot.testing import check_trainer, check_workchain_ports, tiny_dataset
from trainspot_ridge.trainer import RidgeSettings, fit


def test_contract(tmp_path):
    check_trainer("ridge", tmp_path)


def test_work_chain():
    check_workchain_ports("train", "ridge")


def test_an_element_that_the_model_does_not_know_is_named():
    model, _, _ = fit(tiny_dataset(), RidgeSettings(), seed=1)
    with pytest.raises(InputError, match="the model does not know Au; it knows Al, Cu; "):
        model.prepare([Frame.make([79], [[0.0, 0.0, 0.0]])])


def test_more_functions_fit_better_and_members_differ():
    dataset = tiny_dataset()
    _, coarse, _ = fit(dataset, RidgeSettings(n_radial=2), seed=1)
    first, fine, _ = fit(dataset, RidgeSettings(n_radial=12), seed=1)
    second, _, _ = fit(dataset, RidgeSettings(n_radial=12), seed=2)
    assert fine["train_forces"] < coarse["train_forces"]
    assert not np.allclose(first.coefficients, second.coefficients)
