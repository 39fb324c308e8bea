"""The hook, the workflows and the action are run: real Git, pre-commit and shells, a project that breaks."""

import json
import os
import shutil
import subprocess
import sysconfig
import venv
from pathlib import Path

import pytest
import yaml

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
    ours, revision = published(tmp_path, env)
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


def published(folder, env):
    """Return a repository of this package, and its one commit."""
    ours = folder / "dataaudit"
    for name in ("dataaudit", "rules", "reports"):
        shutil.copytree(ROOT / name, ours / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (".pre-commit-hooks.yaml", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, ours / name)
    git(ours, env, "init", "-q", "-b", "main")
    commit(ours, env)
    return ours, git(ours, env, "rev-parse", "HEAD").strip()


def elsewhere(env, folder):
    """Install into an environment of its own, without what we need; the command stays that of the tests."""
    if not folder.exists():
        venv.create(folder, with_pip=False)
    return env | {"PIP_NO_DEPS": "1", "PIP_PYTHON": str(folder / "bin/python")}


def installed(folder):
    """Return where what is installed there came from; None for nothing."""
    found = [json.loads(path.read_text()) for path in folder.rglob("dataaudit-*/direct_url.json")]
    return found[0] if found else None


def steps(path, env):
    """Return the shell lines of a workflow, each with its variables, as its service runs them."""
    document = yaml.safe_load(path.read_text())
    if "jobs" not in document:
        [job] = (job for job in document.values() if isinstance(job, dict))
        return [(line, env | job["variables"]) for line in job["script"]]
    [job] = document["jobs"].values()
    made = []
    for step in (step for step in job["steps"] if "run" in step):
        own = {key: "" if "${{" in value else value for key, value in step.get("env", {}).items()}
        made.append((step["run"], env | document["env"] | own))
    return made


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
    ours, revision = published(tmp_path, env)
    words = "init", "--ci", name.partition(".")[0].removesuffix("-ci"), "--force", "-qq", "--install"
    assert cli.main([*words, f"git+{ours.as_uri().replace('///', '//localhost/')}@{revision}"]) == 0
    path = project / {"github.yml": ".github/workflows/dataaudit.yml"}.get(name, f".{name}")
    site = tmp_path / "site"
    (install, variables), (check, _) = steps(path, elsewhere(env, site))
    done = shell(install, project, variables, **more)
    assert done.returncode == 0, done.stderr
    assert installed(site)["vcs_info"]["commit_id"] == revision
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


def test_the_script_for_any_other_service_gives_back_the_exit_code(project, env, tmp_path):
    script = ROOT / "examples/ci/check.sh"
    refused = run([str(script)], project, elsewhere(env, tmp_path / "site"), CI="true")
    assert refused.returncode == 2, "what is installed was not filled in"
    assert not (project / "audit.json").exists()
    ours, revision = published(tmp_path, env)
    source = f"dataaudit @ git+{ours.as_uri().replace('///', '//localhost/')}@{revision}"
    env = elsewhere(env, tmp_path / "site")
    for lines, code in ((GOOD, 0), ([*GOOD, BAD], 1), (["1,2\n"], 2)):
        write(project, lines)
        done = run([str(script)], project, env, CI="true", DATAAUDIT=source)
        assert done.returncode == code, done.stderr
    assert json.loads((project / "audit.json").read_text())["exit_code"] == 2


def act(project, env, tmp_path, **given):
    """Run the steps of the action with these inputs; return exit code, stdout and outputs."""
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    inputs = {name: entry["default"] for name, entry in action["inputs"].items()} | given
    told = tmp_path / "outputs"
    told.write_text("")
    env = elsewhere(env, tmp_path / "site")
    for step in (step for step in action["runs"]["steps"] if "run" in step):
        if step["name"].startswith("Install") and inputs["install"] == "false":
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
    done, outputs = act(project, env, tmp_path)
    assert done.returncode == 0, done.stderr
    assert outputs == {
        "exit-code": "0",
        "findings": "0",
        "new-findings": "0",
        "sarif-file": "audit.sarif",
        "html-file": "audit.html",
    }
    write(project, [*GOOD, BAD])
    done, outputs = act(project, env, tmp_path, install="false", html="")
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
    given = {"install": "false", "annotations": "false"}
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
        done, _ = act(project, env, tmp_path, install="false", **{name: trap})
        assert done.returncode == (0 if name in ("sarif", "html") else 2), name  # a file may be called so
        assert not list(project.rglob("trapped")), name


def test_the_action_runs_in_a_folder(project, env, tmp_path):
    git(project, env, "mv", "data", "dataaudit.toml", str(_made(project / "part")))
    done, outputs = act(project, env, tmp_path, install="false", **{"working-directory": "part"})
    assert done.returncode == 0, done.stderr
    assert outputs["sarif-file"] == "part/audit.sarif"
    assert (project / outputs["sarif-file"]).is_file()


def _made(folder):
    folder.mkdir()
    return folder


def test_a_workflow_that_was_not_filled_in_installs_nothing(project, env, tmp_path):
    site = tmp_path / "site"
    (install, variables), _ = steps(project / ".github/workflows/dataaudit.yml", elsewhere(env, site))
    done = shell(install, project, variables)
    assert done.returncode != 0
    assert installed(site) is None


def test_a_folder_of_a_repository_is_checked_from_its_root(project, env, tmp_path, monkeypatch):
    shutil.rmtree(project / ".github/workflows")
    for name in ("dataaudit.toml", ".pre-commit-config.yaml"):
        (project / name).unlink()
    part = _made(project / "svc") / "the model"
    git(project, env, "mv", "data", str(_made(part)))
    monkeypatch.chdir(part)
    assert cli.main(["init", "-qq"]) == 0
    assert sorted(path.name for path in project.iterdir()) == [
        ".git",
        ".github",
        ".pre-commit-config.yaml",
        "svc",
    ]
    commit(project, env)
    [workflow] = (project / ".github/workflows").iterdir()
    assert workflow.name == "dataaudit-svc-the-model.yml"
    *_, (check, variables) = steps(workflow, env)
    assert shell(check, project, variables).returncode == 0
    (part / "data/mail.csv").write_text(HEADER + "".join([*GOOD, BAD]))
    done = shell(check, project, variables, GITHUB_ACTIONS="true")
    assert done.returncode == 1, done.stderr
    assert "::error file=svc/the model/data/mail.csv,line=62," in done.stdout
    commit(project, env)
    hook = run(["pre-commit", "run", "--all-files", "--hook-stage", "manual", "--verbose"], project, env)
    assert BROKEN in hook.stdout
    before = content(project)
    assert cli.main(["init", "-qq"]) == 0
    assert content(project) == before


def content(folder):
    files = (path for path in folder.rglob("*") if path.is_file() and ".git/" not in path.as_posix())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_data_in_git_lfs_are_fetched_before_they_are_checked(project, env, tmp_path):
    (project / ".gitattributes").write_text("*.csv filter=lfs diff=lfs merge=lfs -text\n")
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'4d' * 32}\nsize 12345\n"
    (project / "data/mail.csv").write_text(pointer)
    for service in ("github", "gitlab"):
        assert cli.main(["init", "-qq", "--force", "--ci", service]) == 0
    workflow = yaml.safe_load((project / ".github/workflows/dataaudit.yml").read_text())
    checkout, fetch, *_ = workflow["jobs"]["audit"]["steps"]
    assert checkout["with"] == {"fetch-depth": 0, "persist-credentials": False, "lfs": True}
    assert "lfs fetch origin" in fetch["run"]
    assert "${{" not in fetch["run"]
    assert "git lfs pull" in yaml.safe_load((project / ".gitlab-ci.yml").read_text())["dataaudit"]["script"]
    *_, (check, variables) = steps(project / ".github/workflows/dataaudit.yml", env)
    done = shell(check, project, variables)
    assert done.returncode == 2
    assert "data/mail.csv is a pointer: Git LFS keeps the data elsewhere" in done.stdout
    assert "git lfs pull --include data/mail.csv" in done.stdout


@pytest.mark.skipif(shutil.which("dvc") is None, reason="install dvc")
@pytest.mark.parametrize("service", ["github", "gitlab"])
def test_data_in_dvc_are_fetched_before_they_are_checked(project, env, tmp_path, service):
    env |= {"DVC_NO_ANALYTICS": "1", "XDG_CACHE_HOME": str(tmp_path)}
    data = project / "data/mail.csv"
    git(project, env, "rm", "-q", "--cached", "data/mail.csv")
    for words in (["init", "-q"], ["remote", "add", "-q", "-d", "kept", str(tmp_path / "kept")]):
        assert run(["dvc", *words], project, env).returncode == 0
    for lines in (GOOD, [*GOOD, BAD]):
        write(project, lines)
        for words in (["add", "-q", "data/mail.csv"], ["push", "-q"]):
            assert run(["dvc", *words], project, env).returncode == 0
        commit(project, env)
    data.unlink()
    shutil.rmtree(project / ".dvc/cache")
    (project / "dataaudit.toml").unlink()
    assert cli.main(["init", "-qq", "--force", "--ci", service]) == 0
    config = project / "dataaudit.toml"
    config.write_text(config.read_text().replace('# base = "origin/main:"', 'base = "HEAD^:"\nid = "id"'))
    path = project / (".github/workflows/dataaudit.yml" if service == "github" else ".gitlab-ci.yml")
    done = [
        (script, shell(script.replace('pip install "dvc', 'pip --version "'), project, variables))
        for script, variables in steps(path, env)
        if "$DATAAUDIT" not in script
    ]
    assert [(script, one.stderr) for script, one in done[:-1] if one.returncode] == []
    assert data.read_text() == HEADER + "".join([*GOOD, BAD])
    assert done[-1][1].returncode == 1, done[-1][1].stdout
    assert not (project / ".base").exists()
