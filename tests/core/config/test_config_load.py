"""Campaign files: protocols, engines, sources, inputs, schema, template."""

from __future__ import annotations

import json

import pytest
import yaml
from ase import Atoms
from ase.build import bulk
from ase.io import write
from click.testing import CliRunner

from trainspot.cli import main
from trainspot.common.errors import InputError
from trainspot.config.load import leaves, load, merged, protocols, read_inputs
from trainspot.config.models import Campaign
from trainspot.config.schema import schema
from trainspot.config.stages import LabelSection
from trainspot.config.template import template
from trainspot.data import hdf5
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Labels


# ── engines ───────────────────────────────────────────────────────────────────
def test_engine_settings_may_stand_beside_the_stage_keys_or_under_settings(campaign_file):
    flat = load(campaign_file("label: {engine: ase, calculator: emt, min_success: 0.5}\n"))
    nested = load(
        campaign_file("label: {engine: ase, settings: {calculator: emt}, min_success: 0.5}")
    )
    assert flat.campaign == nested.campaign
    assert flat.campaign.label.settings.calculator == "emt"
    assert flat.campaign.label.min_success == 0.5


def test_each_engine_has_its_own_default_code(campaign_file):
    campaign = load(campaign_file()).campaign
    codes = [campaign.label.code, campaign.train.code, campaign.explore.code]
    assert codes == ["pw@localhost", "mace@localhost", "lmp@localhost"]
    text = "label: {engine: ase, calculator: emt}\ntrain: {engine: toy, code: mine@cluster}\n"
    campaign = load(campaign_file(text)).campaign
    assert [campaign.label.code, campaign.train.code] == ["trainspot@localhost", "mine@cluster"]


def test_a_resolved_campaign_survives_json(campaign_file):
    campaign = load(
        campaign_file("label: {engine: ase, calculator: emt}\nprotocol: fast\n")
    ).campaign
    text = json.dumps(campaign.model_dump(mode="json"))
    assert Campaign.model_validate(json.loads(text)) == campaign


def test_the_plan_of_the_exploration_is_without_the_engine(campaign_file):
    plan = load(campaign_file("explore: {starts: 3, time: 2.0}\n")).campaign.explore.plan
    assert (plan.starts, plan.time) == (3, 2.0)
    assert "engine" not in plan.model_dump()


def test_an_empty_section_is_one_left_out(campaign_file):
    campaign = load(campaign_file("train:\nlabel:\nbudget:\n")).campaign
    assert campaign == load(campaign_file()).campaign


def test_numbers_may_be_written_without_a_point(campaign_file):
    assert load(campaign_file("tolerance: {energy: 2e-3}\n")).campaign.tolerance.energy == 0.002


# ── augmentation ──────────────────────────────────────────────────────────────
def test_augmentation_is_written_out_in_full(campaign_file):
    campaign = load(campaign_file("augment: [{kind: rattle, copies: 7}]\n")).campaign
    (rattle,) = campaign.augment
    assert rattle["kind"] == "rattle"
    assert rattle["copies"] == 7
    assert rattle["fraction"] == 0.3


def test_augmentation_defaults_to_the_list_for_structures_and_to_none_for_a_dataset(campaign_file):
    assert [item["kind"] for item in load(campaign_file()).campaign.augment] == [
        *("supercell", "rattle", "cluster", "slab", "swap", "isolated", "input"),
    ]
    assert load(campaign_file("augment: []\n")).campaign.augment == ()
    assert load(campaign_file("dataset: a.h5\n", head="")).campaign.augment == ()


# ── protocols ─────────────────────────────────────────────────────────────────
def test_the_protocols_are_known_and_described():
    found = protocols()
    assert list(found) == ["default", "fast", "frugal", "paper", "stringent"]
    assert all(found.values())


@pytest.mark.parametrize("name", ["fast", "frugal", "paper", "stringent"])
def test_a_protocol_holds_differences_only(name, campaign_file):
    default = dict(leaves(load(campaign_file()).campaign.model_dump(mode="json")))
    found = load(campaign_file(f"protocol: {name}\n"))
    changed = dict(leaves(found.campaign.model_dump(mode="json")))
    # "select.method: random", "protocol: stringent" of pw.x and others are stated although they are
    # defaults, because the protocol means them whatever the default becomes.
    stated = {("select", "method"), ("select", "novelty"), ("label", "settings", "protocol")}
    stated |= {("train", "bagging")}
    for location in found.protocol:
        assert location in stated or changed[location] != default[location], location


def test_the_paper_protocol_is_the_paper(campaign_file):
    campaign = load(campaign_file("protocol: paper\n")).campaign
    assert campaign.calibrate.method == "regression"
    assert campaign.select.method == "random"
    assert (campaign.select.audit, campaign.select.novelty, campaign.stop.final_audit) == (
        0,
        None,
        0,
    )
    assert campaign.train.bagging == 0


def test_the_user_wins_over_the_protocol(campaign_file):
    text = "protocol: fast\ntrain: {committee_size: 5}\nlabel: {protocol: balanced}\n"
    campaign = load(campaign_file(text)).campaign
    assert campaign.train.committee_size == 5
    assert campaign.label.settings.protocol == "balanced"
    assert campaign.explore.starts == load(campaign_file("protocol: fast")).campaign.explore.starts


def test_a_protocol_says_nothing_to_an_engine_it_does_not_know(campaign_file):
    text = "protocol: fast\nlabel: {engine: ase, calculator: emt}\n"
    assert "protocol" not in load(campaign_file(text)).campaign.label.settings.model_dump()


def test_merging_keeps_what_only_one_side_has():
    below = {"a": {"x": 1, "y": 2}, "b": [1]}
    assert merged(below, {"a": {"y": 3}, "b": [2], "c": 4}) == {
        "a": {"x": 1, "y": 3},
        "b": [2],
        "c": 4,
    }
    assert below == {"a": {"x": 1, "y": 2}, "b": [1]}


# ── sources ───────────────────────────────────────────────────────────────────
def test_every_value_says_where_it_comes_from(campaign_file):
    path = campaign_file(
        "protocol: fast\nlabel:\n  protocol: balanced\ntrain: {settings: {r_max: 4.5}}\n"
        "augment:\n  - kind: rattle\n    copies: 3\nstop: {max_iterations: 7}\n"
    )
    found = {".".join(map(str, place)): source for place, _, source in load(path).values()}
    assert found["name"] == f"{path}:1"
    assert found["label.settings.protocol"] == f"{path}:5"
    assert found["train.settings.r_max"] == f"{path}:6"
    assert found["augment.0.copies"] == f"{path}:9"
    assert found["augment.0.fraction"] == "default"
    assert found["stop.max_iterations"] == f"{path}:10"
    assert found["train.committee_size"] == "protocol fast"
    assert found["train.start"] == "default"


def test_config_show_prints_values_and_sources(campaign_file):
    path = campaign_file("protocol: fast\n")
    text = CliRunner().invoke(main, ["config", "show", str(path)]).output
    rows = {line.split()[0]: line for line in text.splitlines()}
    assert rows["train.committee_size"].split()[1:] == ["3", "protocol", "fast"]
    found = json.loads(CliRunner().invoke(main, ["config", "show", "--json", str(path)]).output)
    assert found["campaign"]["train"]["committee_size"] == 3
    assert {"key": "seed", "value": 42, "source": "default"} in found["values"]


# ── inputs ────────────────────────────────────────────────────────────────────
def test_structures_are_found_beside_the_file_and_read_once(campaign_file, folder, monkeypatch):
    write(folder / "c.xyz", Atoms("C2", [[0, 0, 0], [0, 0, 1.5]], cell=[9, 9, 9], pbc=True))
    path = campaign_file(head="structures: ['*.cif', si.cif, c.xyz]\n")
    monkeypatch.chdir("/")
    frames = read_inputs(load(path))
    assert [len(frame) for frame in frames] == [8, 2]


def test_labels_of_structures_are_not_taken_for_references(campaign_file, folder, silicon):
    labelled = silicon.with_(labels=Labels(1.0, silicon.positions * 0, None, "somebody's"))
    hdf5.write(Dataset.from_frames([labelled]), folder / "si.h5")
    assert not read_inputs(load(campaign_file(head="structures: [si.h5]\n"))).is_labelled.any()
    given = "dataset: si.h5\n"
    with pytest.raises(InputError, match=r"has labels, .* 'train: \{mix_theories: true\}'"):
        read_inputs(load(campaign_file(head=given)))
    for last in ("train: {mix_theories: true}\n", "stop: {max_iterations: 1}\n"):
        assert read_inputs(load(campaign_file(head=given + last))).is_labelled.all()


def test_dispersion_is_not_counted_twice(campaign_file):
    text = "label: {dispersion: d3}\nexplore: {dispersion: d3}\n"
    with pytest.raises(InputError, match="count dispersion twice"):
        load(campaign_file(text))


def _bad_inputs(folder):
    (folder / "broken.vasp").write_text("Si\n1.0\n5.4 0.0 nonsense\n")
    close = bulk("Si", a=5.43, cubic=True)
    close.positions[1] = close.positions[0] + 0.3
    write(folder / "close.cif", close)
    return {
        "[nothing*.cif]": "campaign.yaml:2: no structures: no file matches 'nothing*.cif'",
        "[broken.vasp]": "broken.vasp: cannot be read as a structure",
        "[si.cif, close.cif]": "close.cif, structure 1 (Si8): overlapping atoms",
    }


@pytest.mark.parametrize("which", [0, 1, 2])
def test_unusable_structures_are_one_line(which, campaign_file, folder):
    text, message = list(_bad_inputs(folder).items())[which]
    path = campaign_file(head=f"name: silicon\nstructures: {text}\n")
    with pytest.raises(InputError) as caught:
        read_inputs(load(path))
    assert message in str(caught.value)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


def test_a_dataset_of_two_levels_of_theory_is_refused(campaign_file, folder, labelled_frames):
    first, second = labelled_frames[:2]
    other = second.with_(labels=Labels(1.0, second.positions * 0, None, "another"))
    hdf5.write(Dataset.from_frames([first, other]), folder / "mixed.h5")
    with pytest.raises(InputError, match=r"several levels of theory \(another, made-up\)"):
        read_inputs(load(campaign_file(head="dataset: mixed.h5\n")))


# ── schema and template ───────────────────────────────────────────────────────
def test_the_schema_knows_every_engine_and_key():
    found = schema()
    json.dumps(found)
    assert set(found["properties"]) == set(Campaign.model_fields)
    engines = {item["$ref"].rpartition(".")[2] for item in found["$defs"]["LabelSection"]["anyOf"]}
    assert engines == {"ase", "pool", "quantumespresso"}
    ase = found["$defs"]["LabelSection.ase"]
    assert ase["required"] == ["engine"]
    assert {"calculator", "min_success", "settings"} <= ase["properties"].keys()
    assert ase["additionalProperties"] is False


def test_every_reference_in_the_schema_resolves():
    found = schema()

    def references(tree):
        if isinstance(tree, dict):
            if "$ref" in tree:
                yield tree["$ref"]
            for value in tree.values():
                yield from references(value)
        elif isinstance(tree, list):
            for value in tree:
                yield from references(value)

    names = {reference.removeprefix("#/$defs/") for reference in references(found)}
    assert names
    assert names <= found["$defs"].keys()


def test_every_key_of_the_campaign_is_described():
    def undescribed(model, place=""):
        for name, field in model.model_fields.items():
            inner = getattr(field.default_factory, "model_fields", None)
            if inner is not None:
                yield from undescribed(field.default_factory, f"{place}{name}.")
            elif not field.description:
                yield place + name

    assert list(undescribed(Campaign)) == []
    assert LabelSection.model_fields["settings"].description


def test_the_template_is_the_defaults(campaign_file):
    text = template("silicon", ["si.cif"], seed=42, protocol="default")
    assert load(campaign_file(head=text)).campaign == load(campaign_file()).campaign
    uncommented = "\n".join(
        line.replace("# ", "", 1) if line.startswith("  # ") and ": " in line else line
        for line in text.splitlines()
    )
    assert load(campaign_file(head=uncommented)).campaign == load(campaign_file()).campaign


def test_init_points_out_a_sheet_that_is_read_as_a_crystal(folder, monkeypatch):
    monkeypatch.chdir(folder)
    sheet = bulk("Si")
    sheet.cell[2] = [0.0, 0.0, 20.0]
    write("sheet.cif", sheet)
    done = CliRunner().invoke(main, ["init", "sheet.cif"])
    assert done.exit_code == 0, done.output
    assert "without atoms along c, a periodic direction" in done.stderr
    assert "periodic" not in CliRunner().invoke(main, ["init", "si.cif", "-o", "b.yaml"]).stderr


def test_structures_can_be_said_to_be_a_sheet(campaign_file, folder):
    sheet = bulk("Si")
    sheet.cell[2] = [0.0, 0.0, 20.0]
    write(folder / "sheet.cif", sheet)
    entry = "{file: sheet.cif, periodic: [true, true, false]}"
    for text in (f"[{entry}]", entry, f"['*.cif', {entry}]", f"[{entry}, sheet.cif]"):
        loaded = load(campaign_file(head=f"structures: {text}\n"))
        frames = [frame for frame in read_inputs(loaded) if len(frame) == 2]
        assert [frame.pbc.tolist() for frame in frames] == [[True, True, False]]
    dumped = loaded.campaign.model_dump(mode="json")
    assert dumped["structures"] == [
        {"file": "sheet.cif", "periodic": [True, True, False]}, "sheet.cif",
    ]  # fmt: skip
    again = "{file: '*.cif', periodic: [true, false, false]}"
    with pytest.raises(InputError, match=r"'sheet\.cif' is given with two periodicities"):
        read_inputs(load(campaign_file(head=f"structures: [{entry}, {again}]\n")))


NAMES = [
    "Cu3Au[1].cif", "a b.cif", "q\"uo'te.cif", "st*r.cif", "-dash.cif", "ü€.cif", "co:lon.cif",
    "ha #sh.cif", "{brace}.cif", "line\u2028.cif", "tab\t.cif", "new\nline.cif", "del\x7f.cif",
    "???.cif", "!.cif", "%.cif", "back\\slash.cif", "@2.cif", "x@1:2.cif", "~.cif",
    "\U000e0001.cif",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("periodic", [[], ["--periodic", "TTF"]])
def test_what_init_writes_is_found_again(folder, monkeypatch, name, periodic):
    monkeypatch.chdir(folder)
    carbon = Atoms("C2", [[0, 0, 0], [0, 0, 1.5]], cell=[5, 5, 5], pbc=True)
    (folder / "in").mkdir()
    write(folder / "carbon.cif", carbon)
    (folder / "carbon.cif").rename(folder / "in" / name)
    write(folder / "in" / "Cu3Au1.cif", bulk("Si"))  # matches some of the names as patterns
    done = CliRunner().invoke(main, ["init", *periodic, "-o", "c.yaml", "--", f"in/{name}"])
    assert done.exit_code == 0, done.output
    [frame] = read_inputs(load(folder / "c.yaml"))
    assert frame.numbers.tolist() == [6, 6]


def test_a_name_that_a_campaign_file_cannot_have_is_refused(folder, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "si.cif").rename(folder / "si\udcff.cif")
    done = CliRunner().invoke(main, ["init", "si\udcff.cif"])
    assert done.exit_code == 2
    assert "has a name that is not UTF-8; rename it" in done.stderr
    assert not (folder / "campaign.yaml").exists()


def test_init_finds_its_structures_through_links(folder, monkeypatch):
    (folder / "real" / "deep").mkdir(parents=True)
    (folder / "link").symlink_to(folder / "real" / "deep")
    monkeypatch.chdir(folder)
    done = CliRunner().invoke(main, ["init", "si.cif", "-o", "link/c.yaml"])
    assert done.exit_code == 0, done.output
    assert len(read_inputs(load(folder / "link" / "c.yaml"))) == 1


def test_labels_that_a_campaign_does_not_use_are_told(campaign_file, folder, silicon, caplog):
    labelled = silicon.with_(labels=Labels(1.0, silicon.positions * 0))
    hdf5.write(Dataset.from_frames([labelled]), folder / "si.h5")
    read_inputs(load(campaign_file(head="structures: [si.h5]\n")))
    assert (
        "si.h5: labels of structures are not used; to use them, write 'dataset: FILE'"
        in caplog.text
    )


def test_init_writes_a_file_that_loads_and_never_overwrites(folder, monkeypatch):
    monkeypatch.chdir(folder)
    run = CliRunner().invoke
    done = run(main, ["init", "si.cif", "-o", "mine.yaml", "--protocol", "fast", "--seed", "7"])
    assert done.exit_code == 0, done.output
    campaign = load(folder / "mine.yaml").campaign
    assert (campaign.name, campaign.seed, campaign.protocol) == ("Si", 7, "fast")
    assert yaml.safe_load((folder / "mine.yaml").read_text())["structures"] == ["si.cif"]
    again = run(main, ["init", "si.cif", "-o", "mine.yaml"])
    assert again.exit_code == 2
    assert "exists already" in again.stderr
    missing = run(main, ["init", "none.cif", "-o", "other.yaml"])
    assert missing.exit_code == 2
    assert not (folder / "other.yaml").exists()
