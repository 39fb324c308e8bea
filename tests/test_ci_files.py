"""The hook, the action and the workflows have the shape that is documented, and are what init writes."""

import itertools
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from pre_commit.clientlib import load_config, load_manifest

from dataaudit.gate.init import HOOK, KINDS, Place, Survey, github_workflow
from dataaudit.gate.install import REPOSITORY, UNKNOWN, VARIABLE

ROOT = Path(__file__).resolve().parents[1]
CI = ROOT / "examples" / "ci"
WORKFLOWS = ["github.yml", "github-action.yml"]
PLAIN = Survey((), 0, True, "", frozenset(), (), "github", "main")
BARE = re.compile(  # an installer, and our name without a place after it
    r"\b(?:pipx?|pip3|uvx?|conda|mamba|poetry|pdm|npx)\s(?:[^\n#]*\s)?(?:install|add|inject|run)?\b[^\n#]*?"
    r"[\s'\"]dataaudit(?:\[[\w,]*\])?(?![\w\[./-]|\s*@)(?!\s(?:check|init|labels))"
)
# docs.gitlab.com/ci/yaml: the keywords of a job that ours may use
JOB = {"stage", "image", "variables", "cache", "script", "artifacts"}
ARTIFACTS = {"when", "paths", "reports"}


def read(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps_of(name):
    [job] = read(CI / name)["jobs"].values()
    return job["steps"]


def uses():
    for name in WORKFLOWS:
        yield from (step["uses"] for step in steps_of(name) if "uses" in step)
    yield from (step["uses"] for step in read(ROOT / "action.yml")["runs"]["steps"] if "uses" in step)


def test_the_examples_are_what_init_writes():
    place = Place(PLAIN, UNKNOWN, "")
    assert (CI / "github.yml").read_text() == github_workflow(place)
    for name in ("gitlab-ci.yml", "pre-commit-config.yaml"):
        assert (CI / name).read_text() == place.template(name)


def test_a_hook_is_for_everything_that_is_a_table_or_stands_for_one():
    [manifest] = read(ROOT / ".pre-commit-hooks.yaml")
    for kind, packed, pointer in itertools.product(KINDS, ("", ".gz", ".zst"), ("", ".dvc")):
        assert re.search(manifest["files"], f"d/a{kind}{packed}{pointer}"), kind
    assert re.search(manifest["files"], "pipeline/dvc.lock")
    assert not re.search(manifest["files"], "a.md.dvc")


def shipped():
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for name in (name for name in names.split("\0") if name and not name.startswith("tests/")):
        yield name, (ROOT / name).read_text(encoding="utf-8", errors="replace")


def test_nothing_installs_us_by_a_bare_name():
    assert [(name, m[0]) for name, text in shipped() for m in BARE.finditer(text)] == []
    for bad in (
        "pip install dataaudit",
        "  python -m pip install -U 'dataaudit[sql]'",
        "uv add dataaudit==1",
    ):
        assert BARE.search(bad), bad
    for good in ('pip install "dataaudit @ git+https://h"', "pip install .", "pip install ./dataaudit"):
        assert not BARE.search(good), good


def test_where_we_come_from_is_said_in_one_place():
    named = {
        m[0] for _, text in shipped() for m in re.finditer(r"dataaudit @ git\+https://[^\s\"'}`]+", text)
    }
    assert named == {UNKNOWN}
    assert {m[0] for _, text in shipped() for m in re.finditer(r"<owner>/\S+?@<commit>", text)} == {
        REPOSITORY
    }
    for name in ("github.yml", "gitlab-ci.yml", "check.sh"):
        text = (CI / name).read_text()
        assert f'python -m pip install "${VARIABLE}"' in text
        assert text.count("pip install") == 1


def test_pre_commit_takes_the_hook_and_its_example():
    [manifest] = load_manifest(ROOT / ".pre-commit-hooks.yaml")
    [repo] = load_config(CI / "pre-commit-config.yaml")["repos"]
    [local] = repo["hooks"]
    same = ("id", "name", "entry", "files", "pass_filenames", "require_serial", "stages")
    assert {key: manifest[key] for key in same} == {key: local[key] for key in same}
    assert (manifest["id"], manifest["language"]) == (HOOK, "python")


@pytest.mark.parametrize(("path", "hit"), [("a.csv", True), ("d/b.jsonl.gz", True), ("a.csv.md", False)])
def test_the_hook_is_for_tables(path, hit):
    [manifest] = read(ROOT / ".pre-commit-hooks.yaml")
    assert bool(re.search(manifest["files"], path)) == hit


def test_actions_of_others_are_pinned_by_commit_with_their_version():
    text = "".join((CI / name).read_text() for name in WORKFLOWS) + (ROOT / "action.yml").read_text()
    found = [action for action in uses() if action != REPOSITORY]
    assert len(found) >= 7
    for action in found:
        assert re.fullmatch(r"[\w-]+/[\w/-]+@[0-9a-f]{40}", action), action
        assert re.search(re.escape(action) + r" # v\d+\.\d+\.\d+\n", text), f"{action}: say its version"
    versions = {}
    for action in found:
        versions.setdefault(action.split("@")[0], set()).add(action)
    assert [pins for pins in versions.values() if len(pins) > 1] == []


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_has_the_shape_that_github_documents(name):
    workflow = read(CI / name)
    assert set(workflow) - {"env"} == {"name", True, "permissions", "jobs"}  # YAML 1.1 reads "on" as true
    assert workflow["permissions"] == {"contents": "read"}
    for step in steps_of(name):
        assert ("uses" in step) != ("run" in step)
        assert set(step) <= {"uses", "run", "name", "id", "if", "with", "env"}
        assert "${{" not in step.get("run", ""), "what an expression brings would be run"
    checkout = steps_of(name)[0]["with"]
    assert checkout == {"fetch-depth": 0, "persist-credentials": False}


def test_the_action_has_the_shape_that_github_documents():
    action = read(ROOT / "action.yml")
    assert set(action) == {"name", "description", "author", "branding", "inputs", "outputs", "runs"}
    assert len(action["description"]) <= 125
    assert set(action["outputs"]) == {"findings", "new-findings", "sarif-file", "html-file", "exit-code"}
    assert all(set(entry) == {"description", "default"} for entry in action["inputs"].values())
    assert all(isinstance(entry["default"], str) for entry in action["inputs"].values())
    assert all(set(entry) == {"description", "value"} for entry in action["outputs"].values())
    assert action["runs"]["using"] == "composite"
    for step in action["runs"]["steps"]:
        if "run" in step:
            assert step["shell"] == "bash"
            assert "${{" not in step["run"], "what an expression brings would be run"
    named = set(re.findall(r"inputs\.([\w-]+)", (ROOT / "action.yml").read_text()))
    assert named == set(action["inputs"])


def test_a_gitlab_job_has_the_shape_that_gitlab_documents():
    [(name, job)] = read(CI / "gitlab-ci.yml").items()
    assert name == "dataaudit"
    assert set(job) <= JOB
    assert set(job["artifacts"]) == ARTIFACTS
    assert all(isinstance(line, str) for line in job["script"])
    written = re.findall(r"--output \w+=(\S+)", " ".join(job["script"]))
    kept = [*job["artifacts"]["paths"], *job["artifacts"]["reports"].values()]
    assert sorted(written) == sorted(kept)
