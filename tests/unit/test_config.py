import json
from pathlib import Path
from typing import Any

import pytest

from mfal.compare import load_comparison, runs_of
from mfal.config import config_schema, load_config, parse_config
from mfal.errors import ConfigError
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
        ({"batch": {}}, "batch: Value error, give a limit", ""),
        ({"features": []}, "features", "side by side"),
        ({"batch__target_share": 1.2}, "batch.target_share", "Floor"),
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
    ],
)
def test_bad_yaml_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load_config(write(tmp_path, text))
    assert said in raised.value.message and "campaign.yaml" in raised.value.message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere.yaml: cannot be read"):
        load_config(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize("override", ["budget.total", "=3", "seed.deeper=3"])
def test_bad_overrides_are_refused(override: str) -> None:
    with pytest.raises(ConfigError, match="override"):
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
        if "description" not in about and "$ref" not in about
    ]
    assert bare == []
    json.dumps(schema)


def test_an_address_is_for_dask(tmp_path: Path) -> None:
    settings = motif_settings(tmp_path, scoring={"address": "tcp://127.0.0.1:8786"})
    with pytest.raises(
        ConfigError, match=r"scoring: .*scoring.address is that of a Dask scheduler"
    ):
        parse_config(settings)
