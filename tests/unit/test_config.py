import json
from datetime import date
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from mfal.compare import load_comparison, runs_of
from mfal.config import config_schema, load_config, parse_config
from mfal.errors import ConfigError
from mfal.sections import Component
from tests.support import ROOT, motif_settings


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "campaign.yaml"
    path.write_text(text)
    return path


COMPARISONS = sorted(ROOT.glob("configs/compare/*.yaml"))
CAMPAIGNS = sorted(set(ROOT.glob("configs/**/*.yaml")) - set(COMPARISONS))


@pytest.mark.parametrize("path", CAMPAIGNS, ids=lambda p: p.stem)
def test_shipped_configurations_are_valid(path: Path) -> None:
    assert load_config(path).problem.name


@pytest.mark.parametrize("path", COMPARISONS, ids=lambda p: p.stem)
def test_shipped_comparisons_are_valid(path: Path) -> None:
    runs = runs_of(load_comparison(path))
    assert len({run.name for run in runs}) == len(runs)
    assert {run.config.top_k for run in runs} == {runs[0].config.top_k}


def test_a_component_may_be_a_bare_name(tmp_path: Path) -> None:
    config = parse_config(motif_settings(tmp_path, surrogate="gp"))
    assert config.surrogate is not None
    assert config.surrogate.name == "gp" and config.surrogate.options == {}


def test_overrides_reach_nested_fields_and_short_components(tmp_path: Path) -> None:
    config = load_config(
        ROOT / "configs/dna.yaml", ["budget.total=500", "problem.options.backend=viennarna"]
    )
    assert config.budget.total == 500
    assert config.problem.name == "dna"
    assert config.problem.options == {"backend": "viennarna"}


def test_options_without_a_name_are_of_the_default_part(tmp_path: Path) -> None:
    settings = motif_settings(tmp_path, surrogate=None)
    del settings["sampler"]
    path = write(tmp_path, json.dumps(settings))
    config = load_config(path, ["sampler.options.n_policy=3", "acquisition={options: {}}"])
    assert (config.sampler.name, config.sampler.options) == ("gflownet", {"n_policy": 3})
    assert config.acquisition.name == "gibbon" and config.surrogate is None
    with pytest.raises(ConfigError, match=r"problem\.name: is missing"):
        load_config(path, ["problem={options: {}}"])


@pytest.mark.parametrize(
    ("change", "said", "hinted"),
    [
        ({"budjet": 3}, "budjet: there is no such field", "budget"),
        ({"budget__totl": 3}, "budget.totl: there is no such field", "total, charge_failures"),
        ({"budget__total": "much"}, "budget.total: Input should be a valid number", "Campaign"),
        ({"budget__total": True}, "budget.total: Input should be a valid number", "Campaign"),
        ({"budget__total": float("inf")}, "budget.total", "Campaign units"),
        ({"costs": {"half": -1}}, "costs.half: Input should be greater than 0, got -1", "Cost"),
        ({"seed": 1.5}, "seed: Input should be a valid integer", "Seed"),
        ({"name": "Not A Slug"}, "name: String should match pattern", "lower case"),
        ({"fidelities": ["whole", "whole"]}, "fidelities: names", "Names of"),
        ({"batch": {}}, "batch: give a limit", ""),
        ({"features": []}, "features: Input should have one entry or more, got []", "by side"),
        ({"features": "kmers"}, "features: Input should be a list, such as", "write [kmers]"),
        ({"budget": 200}, "budget: Input should be a mapping, such as", "{total: 500}"),
        ({"costs": [1, 3]}, "costs: Input should be a mapping, such as", "Cost per query"),
        ({"name": 12}, "name: Input should be a valid string, got 12", "number: put it in quotes"),
        ({"name": False}, "name: Input should be", "for a truth value: put it in quotes"),
        ({"batch__target_share": 1.2}, "batch.target_share", "Floor"),
        (
            {"problem__options": {"limits": [0, float("-inf")]}},
            "problem.options: limits holds what no ledger can keep: Out of range float",
            "",
        ),
        ({"threads": 10**11}, "threads: Input should be less than or equal to 1024", "Threads"),
    ],
)
def test_bad_fields_are_named_with_what_would_be_right(
    tmp_path: Path, change: dict[str, Any], said: str, hinted: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_config(motif_settings(tmp_path, **change), source="here.yaml")
    assert raised.value.message.startswith("here.yaml: ")
    assert said in raised.value.message
    assert hinted in raised.value.hint


def test_a_list_with_a_wrong_entry_is_not_called_too_short(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_config(motif_settings(tmp_path, features=[{"name": "kmers", "k": 2}]), "here.yaml")
    assert raised.value.message == "here.yaml: features.0.k: there is no such field"
    assert raised.value.hint == "features.0 has the fields name, options"


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    settings = motif_settings(tmp_path)
    del settings["budget"]["total"]
    with pytest.raises(ConfigError, match=r"budget\.total: is missing"):
        parse_config(settings)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: a\nname: b\n", "the key 'name' stands twice"),
        ("budget: {total: 3, total: 4}\n", "the key 'total' stands twice"),
        ("name: [a\n", "not valid YAML"),
        ("", "holds no fields"),
        ("name: !!python/object/apply:os.system ['true']\n", "not valid YAML"),
        ("name: !!timestamp 2024-05-01\n", "not valid YAML"),
        ("name: !!int a\n", "not valid YAML"),
        ("name: &a [*a]\n", "an alias (*) stands inside the value that it repeats"),
        ("2020-01-01: 3\n", "2020-01-01: there is no such field"),
        ("initial: {queries: {2024-05-01: many}}\n", "initial.queries.2024-05-01: Input should"),
        ("budget: {2024-13-45: 3}\n", "budget.2024-13-45: there is no such field"),
        ("a: &a {b: 1}\nbudget: {<<: *a}\n", "<< merges mappings, which is not supported"),
        ("a: " + "[" * 3000 + "]" * 3000, "is nested too deep to be read"),
    ],
)
def test_bad_yaml_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load_config(write(tmp_path, text))
    assert said in raised.value.message and "campaign.yaml" in raised.value.message
    assert "<unicode string>" not in raised.value.message


def test_a_section_that_is_null_can_be_filled_in(tmp_path: Path) -> None:
    settings = motif_settings(tmp_path, surrogate=None, sampler="random")
    path = write(tmp_path, yaml.safe_dump(settings))
    surrogate = load_config(path, ["surrogate.name=gp"]).surrogate
    assert surrogate is not None and surrogate.name == "gp"


def test_a_folder_may_begin_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    config = parse_config(motif_settings(tmp_path) | {"data_dir": "~/runs"})
    assert config.data_dir == tmp_path / "runs"
    with pytest.raises(ConfigError, match="data_dir: ~nosuchuser is nobody's home here"):
        parse_config(motif_settings(tmp_path) | {"data_dir": "~nosuchuser/runs"})


def test_options_of_a_program_are_what_json_takes() -> None:
    with pytest.raises(ValidationError, match="x holds what no ledger can keep: keys must be"):
        Component(name="p", options={"x": {(1, 2): 3}})


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere.yaml: cannot be read"):
        load_config(tmp_path / "nowhere.yaml")


def test_plain_values_of_a_program_are_plain_too(tmp_path: Path) -> None:
    for value in ({date(2024, 5, 1): 3}, (endless := {}).setdefault("a", endless)):
        with pytest.raises(ConfigError, match=r"here\.yaml: holds what no YAML file can"):
            parse_config(motif_settings(tmp_path, initial__queries=value), "here.yaml")


@pytest.mark.parametrize(
    ("field", "text", "hint"),
    [
        ("budget.total", "1e4", "YAML takes 1e4 for a text: write 10000 or 1.0e+4"),
        ("budget.total", "1.5E4", "write 15000 or 1.5e+4"),
        ("temperature", "2e-3", "write 2.0e-3"),
        ("proposals", "1e3", "write 1000 or 1.0e+3"),
    ],
)
def test_a_number_that_yaml_takes_for_a_text_is_shown_as_one(
    field: str, text: str, hint: str
) -> None:
    with pytest.raises(ConfigError, match=f"{field}: Input should be a valid") as raised:
        load_config(ROOT / "configs/dna.yaml", [f"{field}={text}"])
    assert hint in raised.value.hint
    right = hint.rpartition(" ")[2]
    if field != "proposals":
        config = load_config(ROOT / "configs/dna.yaml", [f"{field}={right}"])
        assert attrgetter(field)(config) == float(text)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("budget.total=much", "--set: budget.total: Input should be a valid number"),
        ("budget={totl: 3}", "--set: budget.totl: there is no such field"),
        ("bugdet=3", "--set: bugdet: there is no such field"),
        ("batch={cost: null}", "--set: batch: give a limit"),
        ("costs={low: 1, low: 2}", "--set costs: not valid YAML: the key 'low' stands twice"),
        ("costs=&a [*a]", "--set costs: an alias"),
        ("initial.queries={2024-05-01: no}", "--set: initial.queries.2024-05-01: Input"),
    ],
)
def test_what_the_command_line_changes_is_not_blamed_on_the_file(override: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load_config(ROOT / "configs/dna.yaml", [override])
    assert said in raised.value.message
    assert "dna.yaml" not in raised.value.message


def test_what_the_file_has_wrong_is_not_blamed_on_the_command_line(tmp_path: Path) -> None:
    settings = motif_settings(tmp_path, batch__target_share=2)
    path = write(tmp_path, json.dumps(settings))
    with pytest.raises(ConfigError) as raised:
        load_config(path, ["batch.cost=-1", "seed=3"])
    at_file, at_line = sorted(raised.value.message.splitlines(), key=lambda s: s.startswith("--"))
    assert at_file.startswith(f"{path}: batch.target_share: ")
    assert at_line.startswith("--set: batch.cost: ")


def test_a_comparison_is_no_campaign() -> None:
    path = COMPARISONS[0]
    with pytest.raises(ConfigError, match=r"yaml: is a comparison, not a campaign") as raised:
        load_config(path)
    assert raised.value.hint == f"run it: mfal compare {path}"
    with pytest.raises(ConfigError, match=r"yaml: is a campaign, not a comparison") as raised:
        load_comparison(CAMPAIGNS[0])
    assert raised.value.hint == f"run it: mfal round {CAMPAIGNS[0]}"


@pytest.mark.parametrize("cron", ["xx", "0 25 * * *", "0 0 31 2 *", "0 0 0 3 * *", ""])
def test_a_time_that_never_comes_is_refused(tmp_path: Path, cron: str) -> None:
    with pytest.raises(ConfigError, match=r"schedule\.cron: .*(no such time|five fields)"):
        parse_config(motif_settings(tmp_path, schedule={"cron": cron}))


def test_a_field_of_a_section_that_may_be_missing_is_described(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_config(motif_settings(tmp_path, schedule={"cron": "xx"}))
    assert raised.value.hint.startswith("cron: Times in cron notation, UTC, e.g. '0 3 * * *'")


@pytest.mark.parametrize("cron", ["0 3 * * *", "*/5 8-17 * jan mon-fri", "0 0 29 2 *"])
def test_a_time_that_comes_is_taken(tmp_path: Path, cron: str) -> None:
    assert parse_config(motif_settings(tmp_path, schedule={"cron": cron})).schedule


@pytest.mark.parametrize("override", ["budget.total", "=3", "seed.deeper=3"])
def test_bad_overrides_are_refused(override: str) -> None:
    with pytest.raises(ConfigError, match="--set"):
        load_config(ROOT / "configs/dna.yaml", [override])


def test_identity_leaves_out_what_may_change(tmp_path: Path) -> None:
    one = parse_config(motif_settings(tmp_path))
    richer = parse_config(motif_settings(tmp_path, budget__total=500, top_k=3))
    other = parse_config(motif_settings(tmp_path, seed=2))
    assert one.identity() == richer.identity() != other.identity()
    # As ledgers hold it from before there was a share.
    assert one.identity()["initial"] == {"queries": {"half": 12, "whole": 6}}
    sized = parse_config(motif_settings(tmp_path, initial={"share": 0.3}))
    assert sized.identity()["initial"] == {"share": 0.3}


def test_every_field_is_described() -> None:
    schema = config_schema()
    sections = {"configuration": schema, **schema["$defs"]}
    bare = [
        f"{name}.{field}"
        for name, section in sections.items()
        for field, about in section.get("properties", {}).items()
        if "description" not in about
    ]
    assert bare == []
    json.dumps(schema)


def test_an_address_is_for_dask(tmp_path: Path) -> None:
    settings = motif_settings(tmp_path, scoring={"address": "tcp://127.0.0.1:8786"})
    with pytest.raises(
        ConfigError, match=r"scoring: .*scoring.address is that of a Dask scheduler"
    ):
        parse_config(settings)
