"""Several formats in one run, each file whole or not at all, within time, placed in the repository."""

import dataclasses
import json
import shutil
import subprocess
import time

import pytest
from writers.verdict.example import AROUND, SUSPECT, mixed, outcome, suspects, verdict, written

from dataaudit.errors import SettingError, WriteError
from dataaudit.findings.verdict import Place, Site, Verdict, where
from dataaudit.writers import get, names
from dataaudit.writers.base import check_outputs, write_outputs
from dataaudit.writers.places import Places, Surroundings, service, surroundings, usual_format

FORMATS = names("check")


def test_the_formats_are_registered():
    assert FORMATS[:11] == (
        *(
            "concise",
            "full",
            "github",
            "gitlab",
            "html",
            "json",
            "jsonl",
            "junit",
            "markdown",
            "sarif",
            "text",
        ),
    )
    assert [get(name, "check").name for name in FORMATS] == list(FORMATS)
    with pytest.raises(SettingError, match="did you mean 'sarif'"):
        get("sarf", "check")
    with pytest.raises(SettingError, match="there is no format 'sarif'"):
        get("sarif")


@pytest.mark.parametrize("name", FORMATS)
def test_20000_findings_are_written_in_two_seconds(name):
    told = verdict(20_000)
    began = time.process_time()
    written(name, told)
    assert time.process_time() - began < 2.0


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_verdict_gives_the_same_bytes(name):
    assert written(name, mixed()) == written(name, mixed())


def test_all_files_are_written(tmp_path):
    outputs = {name: tmp_path / "made" / f"audit-{name}" for name in FORMATS}
    assert write_outputs(mixed(), AROUND, outputs=outputs) == tuple(outputs.values())
    assert {name: path.read_text(encoding="utf-8") for name, path in outputs.items()} == {
        name: written(name, mixed()) for name in FORMATS
    }
    assert len(list((tmp_path / "made").iterdir())) == len(FORMATS)  # no temporary file is left


def test_what_cannot_be_written_is_said_before_anything_is(tmp_path):
    (tmp_path / "file").write_text("old", encoding="utf-8")
    good = tmp_path / "good.json"
    with pytest.raises(WriteError, match="is a folder"):
        write_outputs(mixed(), AROUND, outputs={"json": good, "sarif": tmp_path})
    with pytest.raises(WriteError, match=r"cannot be made: .*file is a file"):
        write_outputs(mixed(), AROUND, outputs={"json": good, "sarif": tmp_path / "file" / "a.sarif"})
    with pytest.raises(SettingError, match="json and sarif would both be written"):
        write_outputs(mixed(), AROUND, outputs={"json": good, "sarif": good})
    with pytest.raises(SettingError, match="there is no format 'pdf'"):
        check_outputs({"pdf": good})
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_service_is_known_by_its_environment():
    assert service({"GITHUB_ACTIONS": "true"}) == "github"
    assert service({"GITLAB_CI": "true"}) == "gitlab"
    assert service({"GITHUB_ACTIONS": "false", "CI": "true"}) == ""
    assert usual_format({"GITHUB_ACTIONS": "true"}) == "github"
    assert usual_format({"GITLAB_CI": "true"}) == usual_format({}) == "text"


@pytest.fixture
def repository(tmp_path):
    """A repository whose data are ignored, one of them with a pointer."""
    root = tmp_path / "repo"
    (root / "data").mkdir(parents=True)
    (root / ".gitignore").write_text("secret.csv\nbig.csv\n", encoding="utf-8")
    for name in ("train.csv", "secret.csv", "big.csv", "big.csv.dvc"):
        (root / "data" / name).write_text("x\n", encoding="utf-8")
    git = shutil.which("git")
    if git is None:
        pytest.skip("there is no git")
    subprocess.run([git, "init", "-q", root], check=True)
    return root


def places(around, *sources, **facts):
    """Return where rows of line 7 of some sources are shown."""
    found = [outcome(SUSPECT, place=Site(source=source, row=5, line=7)) for source in sources]
    where_to = Places(Verdict(outcomes=tuple(found), datasets={"spam-train": facts}), around)
    return [where_to.of(one) for one in found]


def test_rows_point_to_files_of_the_repository_or_to_what_stands_for_them(repository):
    sources = ("train.csv", "secret.csv", "big.csv")
    told = Verdict(outcomes=tuple(outcome(SUSPECT, place=Site(source=source)) for source in sources))
    around = surroundings(told, {}, folder=repository / "data", config=repository / "dataaudit.toml")
    assert around.root == repository.as_posix()
    assert around.stand_ins == {"secret.csv": "", "big.csv": "big.csv.dvc"}
    assert places(around, *sources) == [
        Place("data/train.csv", 7, own=True),
        Place("dataaudit.toml", 1, own=False),
        Place("data/big.csv.dvc", 1, own=False),
    ]


def test_the_root_is_the_services_or_the_nearest_repository(repository, tmp_path):
    below = repository / "data"
    gitlab = {"GITLAB_CI": "true", "CI_PROJECT_DIR": str(tmp_path)}
    assert surroundings(verdict(1), gitlab, folder=below).root == tmp_path.as_posix()
    github = {"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(tmp_path), "GITHUB_STEP_SUMMARY": "/s"}
    found = surroundings(verdict(1), github, folder=below)
    assert (found.root, found.service, found.job_summary) == (repository.as_posix(), "github", "/s")
    assert surroundings(verdict(1), {}, folder=below).config == f"{repository.as_posix()}/pyproject.toml"


@pytest.mark.parametrize(
    "source",
    [
        "/data/train.csv",
        "../train.csv",
        "s3://bucket/train.csv",
        "-",
        "",
        "a\\b.csv",
        "a\nb.csv",
        "a.csv.gz",
        "a.parquet",
    ],
)
def test_what_is_no_text_of_the_repository_needs_a_stand_in(source):
    if source == "a.parquet":
        around, facts = AROUND, {"declared": "conf/dataaudit.toml", "declared_line": 12}
        binary = outcome(SUSPECT, place=Site(source=source, row=3))
        told = Verdict(outcomes=(binary,), datasets={"spam-train": facts})
        assert Places(told, around).of(binary) == Place("conf/dataaudit.toml", 12, own=False)
    else:
        assert places(AROUND, source) == [Place("pyproject.toml", 1, own=False)]
        assert places(AROUND, source, card="data/README.md") == [Place("data/README.md", 1, own=False)]


def test_a_place_is_named_as_the_audits_name_rows():
    assert where(Site(source="a.csv", row=0, line=2)) == "a.csv:2"
    assert where(Site(source="a.parquet", row=16)) == "a.parquet#16"
    assert where(Site(source="a.csv", column="age")) == "a.csv[age]"
    assert where(Site(source="a.csv")) == "a.csv"


def test_a_folder_that_is_not_known_is_the_root():
    assert places(Surroundings(), "data/train.csv") == [Place("data/train.csv", 7, own=True)]


def test_a_row_with_a_name_of_its_own_is_called_by_it():
    (finding,) = suspects(1)
    named = dataclasses.replace(finding, site=dataclasses.replace(finding.site, row_id="mail-77"))
    told = Verdict(outcomes=(outcome(SUSPECT, findings=(named,)),))
    assert written("text", told).startswith("data/train.csv:2: DA101 [error] mail-77: Labelled “ham”")
    assert json.loads(written("gitlab", told))[1]["description"].startswith("DA101 suspect-labels: mail-77: ")
