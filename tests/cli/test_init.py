"""``audit init`` adds what is missing, once, and takes nothing away."""

import subprocess
import tomllib

import polars as pl
import pytest
import yaml

from dataaudit import cli
from dataaudit.errors import SettingError
from dataaudit.gate.config import Asked, load_config
from dataaudit.gate.init import FileEdit, Proposal, Survey, plan, survey

PYPROJECT = '# ours\n[project]\nname = "p"  # a name\nversion = "1"'
HOOKS = """\
# what runs
repos:
- repo: https://example.org/ruff
  rev: v1
  hooks:
  - id: ruff

# elsewhere
ci:
  skip: [ruff]
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    (tmp_path / "data").mkdir()
    (tmp_path / ".github").mkdir()
    pl.DataFrame({"x": [1, 2], "y": ["a", "b"]}).write_csv(tmp_path / "data/mail.csv")
    pl.DataFrame({"x": [1, 2], "z": ["a", "b"]}).write_csv(tmp_path / "data/other.csv")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def content(folder):
    files = (path for path in folder.rglob("*") if path.is_file() and ".git/" not in path.as_posix())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_it_writes_what_a_new_project_needs(project, capsys):
    assert cli.main(["init"]) == 0
    assert sorted(content(project)) == [
        ".github/workflows/dataaudit.yml",
        ".pre-commit-config.yaml",
        "data/mail.csv",
        "data/other.csv",
        "dataaudit.toml",
    ]
    made = load_config(Asked(), env={}, cwd=project).settings()
    assert [(d.name, d.paths, d.label) for d in made.datasets] == [
        ("mail", ("data/mail.csv",), "y"),
        ("other", ("data/other.csv",), ""),
    ]
    assert '# label = ""  # fill in: one of "x", "z"' in (project / "dataaudit.toml").read_text()
    [repo] = yaml.safe_load((project / ".pre-commit-config.yaml").read_text())["repos"]
    assert repo["hooks"][0]["id"] == "dataaudit-check"
    said = capsys.readouterr()
    assert said.out == ""
    assert "Fill in the label of other in dataaudit.toml" in said.err


def test_a_second_time_nothing_changes(project, capsys):
    (project / "pyproject.toml").write_text(PYPROJECT)
    (project / ".pre-commit-config.yaml").write_text(HOOKS)
    assert cli.main(["init"]) == 0
    before = content(project)
    assert cli.main(["init"]) == 0
    assert cli.main(["init", "--force"]) == 0
    assert content(project) == before
    assert capsys.readouterr().out == ""


def test_files_keep_every_byte_they_had(project):
    (project / "pyproject.toml").write_text(PYPROJECT)
    (project / ".pre-commit-config.yaml").write_text(HOOKS)
    assert cli.main(["init", "-q"]) == 0
    assert (project / "pyproject.toml").read_text().startswith(PYPROJECT + "\n\n# ")
    assert "dataaudit" in tomllib.loads((project / "pyproject.toml").read_text())["tool"]
    hooks = (project / ".pre-commit-config.yaml").read_text()
    start, rest = HOOKS.split("\n\n")
    assert hooks.startswith(start + "\n- repo: local")
    assert hooks.endswith("\n\n" + rest)
    made = yaml.safe_load(hooks)
    assert [repo["repo"] for repo in made["repos"]] == ["https://example.org/ruff", "local"]
    assert made["ci"] == {"skip": ["ruff"]}


def test_line_ends_stay_what_they_are(project):
    (project / "pyproject.toml").write_bytes(b"[project]\r\nname = 'p'\r\nversion = '1'")
    (project / ".pre-commit-config.yaml").write_bytes(b"repos:\r\n- repo: local\r\n  hooks: []\r\n")
    assert cli.main(["init", "-q"]) == 0
    for name in ("pyproject.toml", ".pre-commit-config.yaml"):
        written = (project / name).read_bytes()
        assert written.count(b"\n") == written.count(b"\r\n") > 10


def test_a_dry_run_shows_all_and_writes_nothing(project, capsys):
    (project / "pyproject.toml").write_text(PYPROJECT)
    before = content(project)
    assert cli.main(["init", "--dry-run"]) == 0
    assert content(project) == before
    said = capsys.readouterr()
    assert "+[tool.dataaudit.datasets.mail]\n" in said.out
    assert said.err.endswith("Nothing was written.\n")


def test_a_file_that_differs_is_shown_and_kept_unless_forced(project, capsys):
    workflow = project / ".github/workflows/dataaudit.yml"
    workflow.parent.mkdir()
    workflow.write_text("name: mine\n")
    (project / "dataaudit.toml").write_text("seed = 1\n")
    assert cli.main(["init"]) == 0
    said = capsys.readouterr()
    assert workflow.read_text() == "name: mine\n"
    assert "-name: mine\n" in said.out
    assert "-seed = 1\n" in said.out
    assert said.err.count("--force replaces it") == 2
    assert cli.main(["init", "--force"]) == 0
    assert workflow.read_text().startswith("# Fails on")


def test_a_configuration_above_holds(project, capsys):
    (project / "dataaudit.toml").write_text("seed = 1\n")
    assert cli.main(["init", "data"]) == 0
    assert not (project / "data/dataaudit.toml").exists()
    assert f"{project.as_posix()}/dataaudit.toml has the configuration already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("before", "stage"),
    [
        ("", "test"),
        ("build:\n  script: [make]", "test"),
        ("stages: [build, test]\n", "test"),
        ("stages:\n  - build  # first\n  - check-it\n\nbuild:\n  script: [make]\n", "check-it"),
    ],
)
def test_a_gitlab_job_fits_the_stages(project, before, stage):
    (project / ".gitlab-ci.yml").write_text(before)
    assert cli.main(["init", "-qq"]) == 0
    text = (project / ".gitlab-ci.yml").read_text()
    assert text.startswith(before)
    assert yaml.safe_load(text)["dataaudit"]["stage"] == stage


@pytest.mark.parametrize("before", ["repos: []\n", "- repo: x\n", "repos: &a\n- b\n"])
def test_a_list_that_cannot_be_added_to_is_said(project, before):
    (project / ".pre-commit-config.yaml").write_text(before)
    with pytest.raises(SettingError, match="by hand"):
        plan(project, survey(project), host="")
    assert (project / ".pre-commit-config.yaml").read_text() == before


@pytest.mark.parametrize("indent", ["", "  ", "    "])
def test_a_list_keeps_its_indent(project, indent):
    (project / ".pre-commit-config.yaml").write_text(f"repos:\n{indent}- repo: local\n{indent}  hooks: []")
    assert cli.main(["init", "-qq"]) == 0
    made = yaml.safe_load((project / ".pre-commit-config.yaml").read_text())
    assert [len(repo["hooks"]) for repo in made["repos"]] == [0, 1]


def test_names_of_any_kind_make_a_file_that_is_read(tmp_path):
    nasty = Proposal('a"b', 'd/a"b\\c\x7f.csv', label='l"', columns=('x"', "é"))
    [edit] = plan(
        tmp_path, Survey((nasty, Proposal("é", "e.csv")), 3, False, "", frozenset(), (), "", "main"), host=""
    )
    assert isinstance(edit, FileEdit)
    made = tomllib.loads(edit.after)
    assert made["datasets"]['a"b'] == {"path": 'd/a"b\\c\x7f.csv', "label": 'l"'}


def test_without_tables_there_is_a_line_to_fill_in(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["init"]) == 0
    assert tomllib.loads((tmp_path / "dataaudit.toml").read_text()) == {"fail-on": "error"}
    said = capsys.readouterr().err
    assert "Found no table here" in said
    assert "No workflow" in said
    assert cli.main(["init", "nowhere"]) == 2


def test_what_a_workflow_installs_is_pinned_or_said_to_be_filled_in(project, capsys):
    source = f"git+https://github.com/o/dataaudit@{'4d' * 20}"
    assert cli.main(["init", "--install", source]) == 0
    workflow = yaml.safe_load((project / ".github/workflows/dataaudit.yml").read_text())
    assert workflow["env"] == {"DATAAUDIT": f"dataaudit @ {source}"}
    assert "Fill in where" not in capsys.readouterr().err
    for bad in ("dataaudit", "dataaudit==1.0", "git+https://github.com/o/dataaudit@main"):
        assert cli.main(["init", "--install", bad]) == 2
        assert "what is installed has to be pinned" in capsys.readouterr().err


def test_a_folder_that_yaml_would_misread_is_refused(project, capsys):
    (project / "a: b").mkdir()
    assert cli.main(["init", "a: b"]) == 2
    assert "cannot stand in a hook or a workflow" in capsys.readouterr().err
    assert not (project / "a: b/dataaudit.toml").exists()
