"""Hyper-parameters of MACE: the important ones with types and descriptions, others as ``extra``.

Defaults are those of MACE 0.3.16; a description gives the reason for each exception.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from trainspot.common.elements import check_symbols

# Options that the trainer sets from the dataset, the seed and the folder.
OWN_KEYS: Final = frozenset(
    {
        *("name", "seed", "config", "work_dir", "log_dir", "model_dir", "checkpoints_dir"),
        *("results_dir", "train_file", "valid_file", "valid_fraction", "test_file", "test_dir"),
        *("E0s", "energy_key", "forces_key", "stress_key", "hidden_irreps", "restart_latest"),
    }
)


class MaceSettings(BaseModel):
    """Settings of ``mace_run_train``; names are MACE's own."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    # model
    r_max: float = Field(5.0, gt=1.0, description="cutoff radius of one layer, Å")
    num_channels: int = Field(128, ge=1, description="channels of the hidden features")
    max_L: int = Field(  # noqa: N815  (its name in MACE)
        1, ge=0, description="highest order of the messages between layers"
    )
    max_ell: int = Field(3, ge=1, description="highest order of the spherical harmonics")
    correlation: int = Field(3, ge=1, description="body order minus one, in each layer")
    num_interactions: int = Field(2, ge=1, description="number of layers")
    num_radial_basis: int = Field(8, ge=1, description="number of Bessel functions of the distance")
    MLP_irreps: str = Field("16x0e", description="hidden features of the last readout")
    pair_repulsion: bool = Field(
        default=False, description="add the ZBL repulsion between close atoms"
    )

    # loss
    loss: Literal["weighted", "stress", "huber", "universal"] = Field(
        "stress",
        description="'stress' includes the stress, 'weighted' ignores it; the default of "
        "MACE is 'weighted'",
    )
    energy_weight: float = Field(1.0, ge=0, description="weight of the energies in the loss")
    forces_weight: float = Field(100.0, ge=0, description="weight of the forces in the loss")
    stress_weight: float = Field(1.0, ge=0, description="weight of the stresses in the loss")
    e0s: dict[str, float] | None = Field(
        None,
        description="energy of an isolated atom by element symbol, eV; null: from the "
        "labelled isolated atoms, else fitted by least squares, with a warning",
    )

    # optimisation
    max_num_epochs: int = Field(2048, ge=1, description="largest number of epochs")
    patience: int = Field(
        2048,
        ge=1,
        description="training stops after this number of epochs without improvement (some "
        "versions of MACE ignore it on one device)",
    )
    batch_size: int = Field(
        10, ge=1, description="frames per training step; at most the number of training frames"
    )
    valid_batch_size: int = Field(10, ge=1, description="frames per validation batch")
    lr: float = Field(0.01, gt=0, description="learning rate")
    weight_decay: float = Field(5e-7, ge=0, description="weight decay")
    scheduler: Literal["ReduceLROnPlateau", "ExponentialLR"] = Field(
        "ReduceLROnPlateau", description="schedule of the learning rate"
    )
    lr_factor: float = Field(
        0.8, gt=0, lt=1, description="factor of the learning rate at a plateau"
    )
    scheduler_patience: int = Field(
        50, ge=1, description="epochs without improvement that count as a plateau"
    )
    lr_scheduler_gamma: float = Field(
        0.9993, gt=0, le=1, description="factor per epoch of 'ExponentialLR'"
    )
    ema_decay: float | None = Field(
        None, gt=0, lt=1, description="decay of the moving average of the weights; null: none"
    )
    stage_two: int | None = Field(
        None, ge=1, description="epoch from which energies have a higher weight; null: never"
    )

    # machine
    device: Literal["cpu", "cuda", "mps", "xpu"] = Field("cpu", description="cpu or cuda")
    default_dtype: Literal["float32", "float64"] = Field(
        "float64", description="precision of the training"
    )
    extra: dict[str, Any] = Field(
        default_factory=dict, description="other options of mace_run_train"
    )

    @model_validator(mode="before")
    @classmethod
    def _by_parts(cls, values: Any) -> Any:
        if isinstance(values, dict) and "hidden_irreps" in values:
            raise ValueError("hidden_irreps is written as its parts: num_channels and max_L")
        return values

    @field_validator("e0s")
    @classmethod
    def _of_elements(cls, e0s: dict[str, float] | None) -> dict[str, float] | None:
        check_symbols(e0s or ())
        return e0s

    @field_validator("extra")
    @classmethod
    def _not_ours(cls, extra: dict[str, Any]) -> dict[str, Any]:
        typed = {*cls.model_fields, "ema", "start_stage_two", "swa", "start_swa"} - {"extra"}
        for key in extra:
            if key in OWN_KEYS:
                raise ValueError(f"'{key}' is decided by trainspot")
            if key in typed:
                raise ValueError(f"'{key}' has a setting of its own, leave it out of 'extra'")
        return extra

    @model_validator(mode="after")
    def _orders_agree(self) -> MaceSettings:
        if self.max_L > self.max_ell:
            raise ValueError("max_L must not exceed max_ell")
        return self

    @model_validator(mode="after")
    def _stage_two_in_time(self) -> MaceSettings:
        if self.stage_two is not None and self.stage_two >= self.max_num_epochs:
            raise ValueError("stage_two must begin before max_num_epochs")
        return self
