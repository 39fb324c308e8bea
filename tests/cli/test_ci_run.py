"""The hook, the workflows and the action are run: real Git, pre-commit and shells, a project that breaks."""

import json
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest
import yaml

import dataaudit
from dataaudit import cli

ROOT = Path(__file__).resolve().parents[2]
HEADER, GOOD, BAD = "id,x,y\n", [f"{i},{i % 7},{'ab'[i % 2]}\n" for i in range(60)], "59,5,a\n"
pytestmark = pytest.mark.slow
BROKEN = "DA411"  # an id is there twice


@pytest.fixture
def env(tmp_path):
    """Nobody's settings of Git, pip or CI; the command of this environment; rules that need no model."""
    scripts = sysconfig.get_path("scripts")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("GIT", "CI", "DATAAUDIT", "PRE_COMMIT", "VIRTUAL_ENV"))
    }
    names = [f"GIT_{who}_{what}" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")]
    people = dict.fromkeys(names, "t@example.org")
    return (
        kept
        | people
        | {
            "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "PRE_COMMIT_HOME": str(tmp_path / "pre-commit"),
            "DATAAUDIT_SELECT": "DA4",
            "OMP_NUM_THREADS": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }
    )


@pytest.fixture
def project(tmp_path, env, monkeypatch):
    """A repository with what ``audit init`` writes, pushed to a remote."""
    folder = tmp_path / "project"
    (folder / ".github").mkdir(parents=True)
    write(folder, GOOD)
    git(folder, env, "init", "-q", "-b", "main")
    git(tmp_path, env, "init", "-q", "--bare", "remote.git")
    git(folder, env, "remote", "add", "origin", "../remote.git")
    monkeypatch.chdir(folder)
    assert cli.main(["init", "-qq"]) == 0
    commit(folder, env)
    git(folder, env, "push", "-q", "origin", "main")
    return folder


def write(folder, lines):
    (folder / "data").mkdir(exist_ok=True)
    (folder / "data/mail.csv").write_text(HEADER + "".join(lines))


def run(command, cwd, env, **more):
    return subprocess.run(
        command, cwd=cwd, env=env | more, capture_output=True, text=True, check=False, timeout=300
    )


def git(folder, env, *arguments):
    done = run(["git", *arguments], folder, env)
    assert done.returncode == 0, done.stderr
    return done.stdout


def commit(folder, env):
    git(folder, env, "add", "-A")
    git(folder, env, "commit", "-q", "-m", "data")


def shell(script, cwd, env, **more):
    """Run a script as a runner does: in bash that stops at the first error."""
    return run(["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script], cwd, env, **more)


def test_the_hook_that_init_writes_stops_a_push(project, env, tmp_path):
    installed = run(["pre-commit", "install", "--hook-type", "pre-push"], project, env)
    assert installed.returncode == 0, installed.stderr
    config = (project / "dataaudit.toml").read_text()
    (project / "dataaudit.toml").write_text(config.replace("# base =", "base ="))  # as the comment offers
    write(project, [*GOOD, "60,1,a\n"])
    commit(project, env)
    git(project, env, "push", "-q", "origin", "main")
    accepted = git(tmp_path / "remote.git", env, "rev-parse", "main")
    write(project, [*GOOD, BAD])
    commit(project, env)
    done = run(["git", "push", "origin", "main"], project, env)
    assert done.returncode != 0
    assert "dataaudit check" in done.stdout + done.stderr
    assert BROKEN in done.stdout + done.stderr
    assert git(tmp_path / "remote.git", env, "rev-parse", "main") == accepted
    (project / "notes.md").write_text("no table: the hook has nothing to do\n")
    write(project, GOOD)
    commit(project, env)
    git(project, env, "push", "-q", "origin", "main")


def test_pre_commit_builds_the_hook_from_this_repository(project, env, tmp_path):
    """As for a user's ``repo:``; the dependencies are those that are here, as torch alone takes a minute."""
    ours = tmp_path / "dataaudit"
    for name in ("dataaudit", "rules", "reports"):
        shutil.copytree(ROOT / name, ours / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (".pre-commit-hooks.yaml", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, ours / name)
    git(ours, env, "init", "-q", "-b", "main")
    commit(ours, env)
    revision = git(ours, env, "rev-parse", "HEAD").strip()
    hooks = [{"id": "dataaudit-check"}]
    config = {"repos": [{"repo": ours.as_posix(), "rev": revision, "hooks": hooks}]}
    (project / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config))
    there = {"PIP_NO_DEPS": "1", "PYTHONPATH": sysconfig.get_path("purelib")}
    command = ["pre-commit", "run", "--all-files", "--hook-stage", "manual", "--verbose"]
    for lines, code in ((GOOD, 0), ([*GOOD, BAD], 1)):
        write(project, lines)
        commit(project, env)
        done = run(command, project, env, **there)
        assert done.returncode == code, done.stdout + done.stderr
        assert (BROKEN in done.stdout) == bool(code)
    [python] = (tmp_path / "pre-commit").glob("repo*/py_env-*/bin/audit")
    assert python.is_file()


def scripts(name):
    """Return the shell lines of an example, one string a step."""
    document = yaml.safe_load((ROOT / "examples/ci" / name).read_text())
    if "dataaudit" in document:
        return document["dataaudit"]["script"]
    [job] = document["jobs"].values()
    return [step["run"] for step in job["steps"] if "run" in step]


@pytest.mark.parametrize(
    ("name", "service", "files"),
    [
        ("github.yml", {"GITHUB_ACTIONS": "true"}, ["audit.sarif", "audit.html"]),
        ("gitlab-ci.yml", {"GITLAB_CI": "true"}, ["gl-code-quality.json", "audit.xml", "audit.html"]),
    ],
)
def test_the_steps_of_a_workflow_run_and_fail_on_what_is_wrong(project, env, tmp_path, name, service, files):
    summary = tmp_path / "summary.md"
    more = service | {"CI": "true", "GITHUB_STEP_SUMMARY": str(summary), "CI_PROJECT_DIR": str(project)}
    *before, check = scripts(name)
    for step in before:  # this version is installed already, so that pip has nothing to fetch
        done = shell(step, project, env, **more)
        assert done.returncode == 0, done.stderr
    assert shell(check, project, env, **more).returncode == 0
    write(project, [*GOOD, BAD])
    done = shell(check, project, env, **more)
    assert done.returncode == 1, done.stderr
    assert [file for file in files if not (project / file).stat().st_size] == []
    if name == "github.yml":
        assert f"::error file=data/mail.csv,line=1,endLine=1,title={BROKEN}" in done.stdout
        assert "::error file=data/mail.csv,line=62," in done.stdout
        assert BROKEN in summary.read_text()
    write(project, ["1,2\n"])
    assert shell(check, project, env, **more).returncode == 2


def test_the_script_for_any_other_service_gives_back_the_exit_code(project, env):
    script = ROOT / "examples/ci/check.sh"
    for lines, code in ((GOOD, 0), ([*GOOD, BAD], 1), (["1,2\n"], 2)):
        write(project, lines)
        done = run([str(script)], project, env, CI="true")
        assert done.returncode == code, done.stderr
    assert json.loads((project / "audit.json").read_text())["exit_code"] == 2


def act(project, env, tmp_path, **given):
    """Run the steps of the action with these inputs; return exit code, stdout and outputs."""
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    inputs = {name: entry["default"] for name, entry in action["inputs"].items()} | given
    told = tmp_path / "outputs"
    told.write_text("")
    for step in (step for step in action["runs"]["steps"] if "run" in step):
        if step["name"].startswith("Install") and inputs["version"] == "installed":
            continue
        more = {name: _filled(value, inputs) for name, value in step["env"].items()}
        folder = project / _filled(step.get("working-directory", "."), inputs)
        done = shell(step["run"], folder, env, GITHUB_OUTPUT=str(told), CI="true", **more)
        if done.returncode:
            break
    outputs = dict(line.split("=", 1) for line in told.read_text().splitlines())
    assert outputs == {} or outputs.keys() == action["outputs"].keys()
    return done, outputs


def _filled(expression, inputs):
    inner = expression.removeprefix("${{ ").removesuffix(" }}")
    if inner == "github.action_path":
        return str(ROOT)
    return inputs[inner.removeprefix("inputs.")] if inner.startswith("inputs.") else expression


def test_the_action_tells_what_it_found(project, env, tmp_path):
    done, outputs = act(project, env, tmp_path, version=dataaudit.__version__)
    assert done.returncode == 0, done.stderr
    assert outputs == {
        "exit-code": "0",
        "findings": "0",
        "new-findings": "0",
        "sarif-file": "audit.sarif",
        "html-file": "audit.html",
    }
    write(project, [*GOOD, BAD])
    done, outputs = act(project, env, tmp_path, version="installed", html="")
    assert done.returncode == 1
    assert f"title={BROKEN}" in done.stdout
    assert (outputs["exit-code"], outputs["html-file"]) == ("1", "")
    assert int(outputs["new-findings"]) == int(outputs["findings"]) > 0


def test_the_action_takes_a_base_a_baseline_and_arguments(project, env, tmp_path):
    write(project, [*GOOD, BAD])
    commit(project, env)
    (project / "notes.md").write_text("a push is held against the commit before it\n")
    commit(project, env)
    git(project, env, "push", "-q", "origin", "main")
    given = {"version": "installed", "annotations": "false"}
    done, outputs = act(project, env, tmp_path, **given, base="origin/main:")
    assert done.returncode == 0, done.stdout + done.stderr
    assert outputs["new-findings"] == "0"
    created = run(["audit", "baseline", "create", "-q", "--baseline", "known.jsonl"], project, env)
    assert created.returncode == 0, created.stderr
    assert act(project, env, tmp_path, **given)[0].returncode == 1
    assert act(project, env, tmp_path, **given, baseline="known.jsonl")[0].returncode == 0
    assert act(project, env, tmp_path, **given, args="--ignore 'DA411' --limit DA404=9")[0].returncode == 0


def test_what_is_given_to_the_action_is_never_run(project, env, tmp_path):
    trap = "\"; touch trapped; $(touch trapped) `touch trapped` '"
    for name in ("args", "config", "base", "baseline", "fail-on", "sarif", "html"):
        done, _ = act(project, env, tmp_path, version="installed", **{name: trap})
        assert done.returncode == (0 if name in ("sarif", "html") else 2), name  # a file may be called so
        assert not list(project.rglob("trapped")), name


def test_the_action_runs_in_a_folder(project, env, tmp_path):
    git(project, env, "mv", "data", "dataaudit.toml", str(_made(project / "part")))
    done, outputs = act(project, env, tmp_path, version="installed", **{"working-directory": "part"})
    assert done.returncode == 0, done.stderr
    assert outputs["sarif-file"] == "part/audit.sarif"
    assert (project / outputs["sarif-file"]).is_file()


def _made(folder):
    folder.mkdir()
    return folder
