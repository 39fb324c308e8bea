"""One configuration, from whichever of four places, with the place named and every typing error answered."""

import copy
import json
import tomllib
from dataclasses import fields

import jsonschema
import pytest

from dataaudit.errors import SettingError
from dataaudit.gate.config import Asked, find_config, load_config
from dataaudit.gate.settings import (
    DATASET_FIELDS,
    FIELDS,
    CheckSettings,
    DatasetSettings,
    checked,
    default,
    example,
    schema,
)

PROJECT = """\
[project]
name = "x"

[tool.dataaudit]
fail-on = "warning"
packs = ["rules/mine.toml"]
limits = { DA101 = 0.02 }

[tool.dataaudit.datasets.train]
path = "data/train.csv"
label = "y"
base = "origin/main:./data/train.csv"

[tool.dataaudit.datasets.train.limits]
DA102 = 3

[[tool.dataaudit.dataset]]
name = "shop"
path = ["shop/*.parquet", "postgresql://host/db"]
select = ["DA1"]
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    (tmp_path / "sub" / "deep").mkdir(parents=True)
    return tmp_path


def settings(cwd, asked=None, **env):
    return load_config(asked or Asked(), env=env, cwd=cwd).settings()


def test_the_file_gives_values_places_and_lines(project):
    config = load_config(Asked(), env={}, cwd=project)
    assert config.file == "pyproject.toml"
    assert config.values["fail-on"].origin == "pyproject.toml:5"
    assert config.values["limits"]["DA101"].origin == "pyproject.toml:7"
    assert config.values["seed"].origin == "default"
    assert config.datasets["train"]["limits"]["DA102"].origin == "pyproject.toml:15"
    assert config.datasets["shop"]["select"].origin == "pyproject.toml:20"
    made = config.settings()
    assert made.fail_on == "warning"
    assert [dataset.name for dataset in made.datasets] == ["train", "shop"]
    assert made.datasets[0] == DatasetSettings(
        name="train",
        paths=("data/train.csv",),
        label="y",
        base="origin/main:./data/train.csv",
        limits={"DA102": 3},
        declared="pyproject.toml",
        declared_line=9,
    )


def test_paths_are_relative_to_the_file(project):
    made = settings(project / "sub")
    assert made.packs == ("../rules/mine.toml",)
    assert made.datasets[0].paths == ("../data/train.csv",)
    assert made.datasets[0].base == "origin/main:../data/train.csv"
    assert made.datasets[1].paths == ("../shop/*.parquet", "postgresql://host/db")
    assert made.cache_folder == "../.dataaudit-cache"


def test_the_nearest_file_with_the_table_holds_and_its_own_file_goes_first(project):
    deep = project / "sub" / "deep"
    (deep / "pyproject.toml").write_text("[tool.other]\n")
    assert find_config(deep) == project / "pyproject.toml"
    (project / "dataaudit.toml").write_text("seed = 3\n")
    assert find_config(deep) == project / "dataaudit.toml"
    (project / "sub" / "pyproject.toml").write_text("[tool.dataaudit]\n")
    assert find_config(deep) == project / "sub" / "pyproject.toml"
    (deep / "dataaudit.toml").touch()
    assert find_config(deep) == deep / "dataaudit.toml"


def test_command_line_before_environment_before_file_before_default(project):
    env = {"DATAAUDIT_FAIL_ON": "note", "DATAAUDIT_SEED": "4", "DATAAUDIT_CACHE": "no"}
    asked = Asked(values={"seed": 5})
    config = load_config(asked, env=env, cwd=project)
    origins = {key: told.origin for key, told in config.values.items() if key in ("seed", "fail-on", "top")}
    assert origins == {"seed": "--seed", "fail-on": "DATAAUDIT_FAIL_ON", "top": "default"}
    made = config.settings()
    assert (made.seed, made.fail_on, made.cache) == (5, "note", False)


def test_what_the_command_line_says_of_a_rule_holds_for_every_dataset(project):
    asked = Asked(values={"limits": {"DA102": 7}, "select": ["DA102"]})
    made = settings(project, asked)
    assert made.limits == {"DA101": 0.02, "DA102": 7}
    assert made.datasets[0].limits == {}
    assert made.datasets[1].select == ()
    assert settings(project, DATAAUDIT_SELECT="DA1, DA3").select == ("DA1", "DA3")


@pytest.mark.parametrize("source", ["train", "data/train.csv", "./data/train.csv"])
def test_a_configured_dataset_is_named_by_name_or_path(project, source):
    made = settings(project, Asked(sources=(source,), dataset={"label": "z"}))
    assert [(d.name, d.label, d.limits) for d in made.datasets] == [("train", "z", {"DA102": 3})]


def test_other_files_are_one_dataset_of_their_own(project):
    made = settings(
        project, Asked(sources=("new/q.csv.gz", "r.csv"), dataset={"label": "z", "test": "t.csv"})
    )
    assert made.datasets == (
        DatasetSettings(name="q", paths=("new/q.csv.gz", "r.csv"), label="z", test=("t.csv",)),
    )
    assert made.fail_on == "warning"
    for source, name in (("-", "stdin"), ("a/*.csv", "data"), ("postgresql://u:p@h/shop?x=1", "shop")):
        assert settings(project, Asked(sources=(source,))).datasets[0].name == name


def test_an_option_for_one_dataset_does_not_fall_on_two(project):
    with pytest.raises(SettingError, match=r"--label is for one dataset.*shop, train"):
        load_config(Asked(dataset={"label": "z"}), env={}, cwd=project)


def test_isolated_and_a_named_file(project, tmp_path):
    other = tmp_path / "other.toml"
    other.write_text("seed = 9\n[datasets.a]\npath = 'a.csv'\n")
    assert settings(project, Asked(config="other.toml")).seed == 9
    assert settings(project, DATAAUDIT_CONFIG="other.toml").seed == 9
    isolated = load_config(Asked(isolated=True, sources=("a.csv",)), env={}, cwd=project)
    assert (isolated.file, isolated.settings().fail_on) == ("", "error")
    with pytest.raises(SettingError, match="leave out one"):
        load_config(Asked(isolated=True, config="other.toml"), env={}, cwd=project)
    with pytest.raises(SettingError, match=r"nothing to check.*audit init"):
        load_config(Asked(isolated=True), env={}, cwd=project).settings()


def test_extend_lays_one_file_over_another(project):
    (project / "sub" / "dataaudit.toml").write_text(
        'extend = "../pyproject.toml"\nseed = 2\nlimits = { DA103 = 1 }\n[datasets.train]\nid = "k"\n'
    )
    made = settings(project / "sub")
    assert (made.seed, made.fail_on, made.limits) == (2, "warning", {"DA101": 0.02, "DA103": 1})
    assert (made.datasets[0].id, made.datasets[0].paths) == ("k", ("../data/train.csv",))
    assert made.datasets[0].declared == "dataaudit.toml"
    assert len(made.datasets) == 2


def test_extend_that_goes_round_or_nowhere(project):
    (project / "a.toml").write_text('extend = "b.toml"\n')
    (project / "b.toml").write_text('\nextend = "a.toml"\n')
    with pytest.raises(SettingError, match="extends itself"):
        settings(project, Asked(config="a.toml"))
    (project / "b.toml").write_text('\nextend = "c.toml"\n')
    with pytest.raises(SettingError, match=r"b.toml:2: extend names no file"):
        settings(project, Asked(config="a.toml"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "fail-on",
            "fail_on",
            r"pyproject.toml:5: there is no key 'fail_on'\. Hint: did you mean 'fail-on'\?",
        ),
        ('"warning"', '"warn"', r"pyproject.toml:5: .*got 'warn'\. Hint: did you mean 'warning'\?"),
        ("label", "lable", r"pyproject.toml:11: there is no key 'lable' of a dataset.*'label'\?"),
        ("DA102 = 3", 'DA102 = "3"', "pyproject.toml:15: DA102 takes a number: got '3'"),
        ("DA102 = 3", "DA102 = inf", "pyproject.toml:15: DA102 takes a number: got inf"),
        ("0.02", "true", "pyproject.toml:7: DA101 takes a number: got True"),
        ("{ DA101 = 0.02 }", "0.02", "pyproject.toml:7: limits takes a table of numbers by rule"),
        ('"y"', '["y"]', r"pyproject.toml:11: label takes a text: got \['y'\]"),
        ('["DA1"]', "[1]", "pyproject.toml:20: select takes a text or a list of texts"),
        ('name = "shop"\n', "", "pyproject.toml:17: the dataset has no name"),
        ('name = "shop"', 'name = "train"', "pyproject.toml:17: two datasets are called 'train'"),
        ("label", "baseline-key", "pyproject.toml:11: .*set the variable DATAAUDIT_BASELINE_KEY"),
        (
            "[[tool.dataaudit.dataset]]",
            "[tool.dataaudit.dataset]",
            r"pyproject.toml:17.*\[\[tool.dataaudit.dataset\]\]",
        ),
        ("label =", "label", "not TOML.*line 11"),
    ],
)
def test_a_mistake_is_named_with_its_line(project, old, new, message):
    assert old in PROJECT
    (project / "pyproject.toml").write_text(PROJECT.replace(old, new, 1))
    with pytest.raises(SettingError, match=message):
        load_config(Asked(), env={}, cwd=project)


def test_lines_are_found_below_texts_that_look_like_tables(tmp_path):
    (tmp_path / "dataaudit.toml").write_text(
        '[datasets."my data"]\npath = "a.csv"\nquery = """\n[datasets.x]\nlabel = 1\n"""\nlabel = 1\n'
    )
    with pytest.raises(SettingError, match=r"dataaudit.toml:7: label takes a text"):
        settings(tmp_path)


def test_variables_are_checked_too(project):
    with pytest.raises(SettingError, match="DATAAUDIT_SEED: seed takes a whole number from 0: got 'x'"):
        settings(project, DATAAUDIT_SEED="x")
    with pytest.raises(
        SettingError, match=r"no variable DATAAUDIT_FAILON. Hint: did you mean DATAAUDIT_FAIL_ON\?"
    ):
        settings(project, DATAAUDIT_FAILON="note")
    settings(project, DATAAUDIT_DATA="somebody else's")


def test_the_secret_is_taken_from_the_environment_and_not_shown(project):
    config = load_config(Asked(), env={"DATAAUDIT_BASELINE_KEY": "hush"}, cwd=project)
    assert config.settings().secret == "hush"
    assert "hush" not in repr(config)


def test_auto_means_the_usual_baseline_if_it_is_there(project):
    assert settings(project / "sub").baseline == ""
    (project / "dataaudit-baseline.jsonl").touch()
    assert settings(project / "sub").baseline == "../dataaudit-baseline.jsonl"
    assert settings(project, Asked(values={"baseline": "none"})).baseline == ""
    assert settings(project, Asked(values={"baseline": "x.jsonl"})).baseline == "x.jsonl"


def test_what_holds_where_nothing_is_said_is_the_default_of_the_field():
    made = CheckSettings(datasets=())
    for key, option in FIELDS.items():
        assert key == "baseline" or default(option) == getattr(made, option.name)
    one = DatasetSettings(name="a", paths=("a",))
    for key, option in DATASET_FIELDS.items():
        assert key == "path" or default(option) == getattr(one, option.name)


def test_every_setting_has_a_key():
    names = {option.name for option in FIELDS.values()} | {"datasets", "secret"}
    assert names == {field.name for field in fields(CheckSettings)}
    names = {option.name for option in DATASET_FIELDS.values()} | {"name", "declared", "declared_line"}
    assert names == {field.name for field in fields(DatasetSettings)}


def _ours(project):
    return tomllib.loads((project / "pyproject.toml").read_text())["tool"]["dataaudit"]


def test_the_schema_takes_what_is_read(project):
    made = schema()
    jsonschema.Draft202012Validator.check_schema(made)
    jsonschema.validate(_ours(project), made)
    json.dumps(made)


WRONG = [
    ("seed", -1),
    ("seed", True),
    ("seed", 1.5),
    ("hysteresis", "a"),
    ("cache", 1),
    ("select", [1]),
    ("fail-on", "warn"),
    ("limits", {"DA101": "x"}),
    ("severity", {"DA101": "x"}),
    ("nothing", 1),
    ("datasets", {"a": {"lable": "y"}}),
    ("datasets", {"a": 1}),
    ("dataset", [{"path": "a.csv"}]),
]


@pytest.mark.parametrize(("key", "value"), WRONG, ids=[f"{k}={v}" for k, v in WRONG])
def test_the_schema_and_the_reader_refuse_the_same(tmp_path, key, value):
    document = {key: value}
    assert list(jsonschema.Draft202012Validator(schema()).iter_errors(document))
    from dataaudit.gate.config import _Lines, _Reader

    reader = _Reader(tmp_path / "dataaudit.toml", tmp_path, prefix=(), lines=_Lines.of(""))
    with pytest.raises(SettingError):
        reader.read(copy.deepcopy(document))


@pytest.mark.parametrize("option", (DATASET_FIELDS | FIELDS).values(), ids=lambda one: one.key)
def test_the_example_of_an_error_is_taken(option):
    [value] = tomllib.loads(f"x = {example(option)}").values()
    checked(option, value, where="here")


@pytest.mark.parametrize("value", ["1" * 5000, "[" * 3000])
def test_what_toml_cannot_hold_is_said_in_one_line(value, tmp_path):
    (tmp_path / "dataaudit.toml").write_text(f"seed = {value}\n")
    with pytest.raises(SettingError, match=r"dataaudit.toml is not TOML") as caught:
        load_config(Asked(), env={}, cwd=tmp_path)
    assert "\n" not in str(caught.value)
