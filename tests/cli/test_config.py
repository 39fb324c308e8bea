"""``audit config`` as people and editors meet it."""

import json
import tomllib
from dataclasses import replace

import jsonschema
import pytest

from dataaudit import cli
from dataaudit.gate.config import Asked, load_config

FILE = """\
fail-on = "warning"
[limits]
DA101 = 0.02
[datasets."my \\u00e9 data"]
path = ["a\\"b.csv", "c.csv"]
label = "y"
exclude = "\\u007f"
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "dataaudit.toml").write_text(FILE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_show_writes_a_file_that_means_the_same(folder, capsys):
    assert cli.main(["config", "show"]) == 0
    shown = capsys.readouterr().out
    assert 'fail-on = "warning"                       # dataaudit.toml:1\n' in shown
    assert "limits.DA101 = 0.02                       # dataaudit.toml:3\n" in shown
    before = load_config(Asked(), env={}, cwd=folder).settings()
    (folder / "dataaudit.toml").write_text(shown)
    after = load_config(Asked(), env={}, cwd=folder).settings()
    places = {"declared": "", "declared_line": None}
    for one, other in zip(before.datasets, after.datasets, strict=True):
        assert replace(one, **places) == replace(other, **places)
    assert (before.limits, before.fail_on) == (after.limits, after.fail_on)


def test_show_as_json_names_origins_and_keeps_the_key_to_itself(folder, capsys, monkeypatch):
    monkeypatch.setenv("DATAAUDIT_BASELINE_KEY", "hush")
    monkeypatch.setenv("DATAAUDIT_SEED", "7")
    assert cli.main(["config", "show", "--format", "json"]) == 0
    text = capsys.readouterr().out
    told = json.loads(text)
    assert "hush" not in text
    assert told["baseline_key"] is True
    assert told["values"]["seed"] == {"value": 7, "origin": "DATAAUDIT_SEED"}
    [dataset] = told["datasets"].values()
    assert dataset["label"] == {"value": "y", "origin": "dataaudit.toml:6"}


def test_a_mistake_exits_with_2_and_one_line(folder, capsys):
    (folder / "dataaudit.toml").write_text("fail_on = 1\n")
    assert cli.main(["config", "show"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == ("error: dataaudit.toml:1: there is no key 'fail_on'. Hint: did you mean 'fail-on'?\n")


def test_the_schema_is_written(folder, capsys):
    assert cli.main(["config", "schema"]) == 0
    made = json.loads(capsys.readouterr().out)
    jsonschema.validate(tomllib.loads(FILE), made)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"fail_on": "error"}, made)
