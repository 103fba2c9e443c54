"""The trainers' CalcJobs: what they write, what the parser makes of what they left."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest
from aiida import orm
from aiida.common.folders import SandboxFolder
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from aiida.plugins import CalculationFactory, ParserFactory

from trainspot.train.toy import ToySettings, ToyTrainer

REAL = Path(__file__).parents[2] / "core" / "training" / "mace_restarted"
MACE = {"num_channels": 8, "max_L": 0, "batch_size": 100}


def archive():
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr("data.pkl", b"")
    return content.getvalue()


def real_results():
    """Files of a real MACE training, with archives for model and checkpoint."""
    names = ("results/mace_run-11_train.txt", "logs/mace_run-11.log", "notes.json")
    files = {name: (REAL / name).read_bytes() for name in names}
    return files | {"mace.model": archive(), "checkpoints/mace_run-11_epoch-4.pt": archive()}


def written(engine, folder, **inputs):
    calculation = CalculationFactory(f"trainspot.{engine}_train")
    process = instantiate_process(get_manager().get_runner(), calculation, **inputs)
    return process, process.prepare_for_submission(folder)


def parse(node):
    return ParserFactory("trainspot.train").parse_from_node(node, store_provenance=False)


# ── what is written ───────────────────────────────────────────────────────────
def test_input_files_of_mace(program, pes, file_regression):
    """If this changes, a cached result may not be what the job would give: bump CACHE_VERSION."""
    with SandboxFolder() as folder:
        process, info = written(
            "mace",
            folder,
            code=program("mace_run_train"),
            dataset=pes,
            settings=orm.Dict(MACE),
            seed=orm.Int(7),
        )
        names = sorted(folder.get_content_list())
        texts = {name: (Path(folder.abspath) / name).read_text() for name in names}
    assert process.CACHE_VERSION == 1
    assert names == ["config.yaml", "notes.json", "train.extxyz", "validation.extxyz"]
    assert info.codes_info[0].cmdline_params == ["--config", "config.yaml"]
    assert ("checkpoints/*.pt", ".", 2) in info.retrieve_list
    variables = process.node.get_option("environment_variables")
    assert (variables["OMP_NUM_THREADS"], variables["THP_MEM_ALLOC_ENABLE"]) == ("1", "1")
    file_regression.check("\n".join(f"### {n}\n{t}" for n, t in texts.items()))


def test_input_files_of_toy(program, pes):
    with SandboxFolder() as folder:
        _, info = written("toy", folder, code=program("trainspot"), dataset=pes, seed=orm.Int(7))
        assert sorted(folder.get_content_list()) == ["dataset.h5", "toy.json"]
        assert json.loads((Path(folder.abspath) / "toy.json").read_text())["seed"] == 7
    assert info.codes_info[0].cmdline_params == ["train-member", "toy"]


def test_start_and_checkpoint_are_brought_along(program, pes):
    start = orm.SinglefileData(io.BytesIO(b"weights"), filename="model.mace")
    checkpoint = orm.SinglefileData(io.BytesIO(b"state"), filename="mace_run-7_epoch-3.pt")
    with SandboxFolder() as folder:
        written(
            "mace",
            folder,
            code=program("mace_run_train"),
            dataset=pes,
            seed=orm.Int(7),
            start=start,
            checkpoint=checkpoint,
        )
        here = Path(folder.abspath)
        assert (here / "start.model").read_bytes() == b"weights"
        assert (here / "checkpoints" / "mace_run-7_epoch-3.pt").read_bytes() == b"state"


@pytest.mark.parametrize("engine", ["mace", "toy"])
def test_unknown_settings_are_refused_before_anything_runs(engine, program, pes):
    message = r"train\.settings: unknown setting 'cutof'"
    with SandboxFolder() as folder, pytest.raises(ValueError, match=message):
        written(
            engine,
            folder,
            code=program("trainspot"),
            dataset=pes,
            seed=orm.Int(7),
            settings=orm.Dict({"cutof": 3.0}),
        )


# ── what is parsed ────────────────────────────────────────────────────────────
def test_real_mace_results(finished):
    outputs, process = parse(finished("mace", real_results()))
    assert process.exit_status == 0
    assert outputs["model"].filename == "model.mace"
    assert outputs["checkpoint"].filename == "mace_run-11_epoch-4.pt"
    metrics = outputs["metrics"].get_dict()
    assert [epoch["epoch"] for epoch in metrics["epochs"]] == [0, 1, 2, 3, 4]
    assert metrics["warnings"] == []


@pytest.mark.parametrize(
    ("name", "content", "status"),
    [
        ("mace.model", None, 303),
        ("results/mace_run-11_train.txt", None, 303),
        ("mace.model", b"PK half", 304),
        ("results/mace_run-11_train.txt", b"{}\noops\n{}\n", 304),
        ("results/mace_run-11_train.txt", b'{"loss": NaN, "mode": "opt", "epoch": 3}\n', 305),
    ],
)
def test_failed_mace_trainings(finished, name, content, status):
    files = {k: v for k, v in real_results().items() if k != name}
    if content is not None:
        files[name] = content
    outputs, process = parse(finished("mace", files))
    assert process.exit_status == status
    assert "model" not in outputs


def test_a_training_cut_off_leaves_its_checkpoint(finished):
    files = real_results()
    del files["mace.model"]
    outputs, process = parse(finished("mace", files, exit_status=120))
    assert process.exit_status == 400
    assert outputs["checkpoint"].filename == "mace_run-11_epoch-4.pt"


def test_the_programs_last_words_are_the_reason(finished):
    error = b"Traceback\ntorch.OutOfMemoryError: CUDA out of memory.\n"
    assert parse(finished("mace", {"trainspot.err": error}))[1].exit_status == 405
    error = b"Traceback\nAssertionError: no such element\n"
    process = parse(finished("mace", {"trainspot.err": error}))[1]
    assert process.exit_status == 303
    assert "no such element" in process.exit_message


WARNED = b"/x/load.py:9: FutureWarning: weights_only\n  torch.load(f=path),\n"


def test_a_divergence_is_told_from_the_log_and_not_by_the_last_warning(finished):
    name = "results/mace_run-11_train.txt"
    said = b'{"loss": 14.5, "mode": "opt", "epoch": 3}\n{"loss": NaN, "mode": "opt", "epoch": 3}\n'
    files = real_results() | {name: said, "trainspot.err": WARNED}
    process = parse(finished("mace", files))[1]
    assert process.exit_message == (
        "the training diverged: the loss is not finite in epoch 3: nan (before: training 14.5 in "
        "epoch 3)"
    )


def test_an_error_is_told_by_its_own_line_and_not_by_a_warning_after_it(finished):
    error = b"Traceback (most recent call last):\n  File x\nRuntimeError: no such element\n"
    process = parse(finished("mace", {"trainspot.err": error + WARNED}))[1]
    assert process.exit_message.endswith("(trainspot.err: RuntimeError: no such element)")


def test_toy_results(finished, copper, tmp_path):
    ToyTrainer.write_inputs(tmp_path, copper, ToySettings(), 3)
    ToyTrainer.run(tmp_path)
    files = {name: (tmp_path / name).read_bytes() for name in ("model.toy", "metrics.json")}
    outputs, process = parse(finished("toy", files))
    assert process.exit_status == 0
    assert outputs["model"].filename == "model.toy"
    assert outputs["metrics"]["epochs"][0]["train_forces"] < 1.0
    files["metrics.json"] = files["metrics.json"].replace(b'"train_forces": ', b'"x": NaN, "y": ')
    assert parse(finished("toy", files))[1].exit_status == 305
    files["model.toy"] = files["model.toy"][:100]
    assert parse(finished("toy", files))[1].exit_status == 304
