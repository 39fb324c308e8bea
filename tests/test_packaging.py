"""What a wheel must carry, and the files that make and CI rely on, agree with each other."""

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib import resources
from pathlib import Path

import yaml
from release import build, oldest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def _name(requirement):
    return re.match(r"[A-Za-z0-9-]+", requirement)[0].lower()


def test_every_folder_of_modules_is_shipped():
    folders = {path.parent for path in (ROOT / "dataaudit").rglob("*.py")}
    names = {folder.relative_to(ROOT).as_posix().replace("/", ".") for folder in folders}
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == names | {"dataaudit.rules", "dataaudit.reports"}
    assert all((folder / "__init__.py").is_file() for folder in folders)


def test_every_file_beside_the_modules_is_shipped():
    patterns = PROJECT["tool"]["setuptools"]["package-data"]
    for package, folder in (("dataaudit.reports", ROOT / "reports"), ("dataaudit.rules", ROOT / "rules")):
        data = [path for path in folder.iterdir() if path.is_file() and path.suffix != ".py"]
        assert not [
            path.name for path in data if not any(path.match(pattern) for pattern in patterns[package])
        ]
        assert not [path.name for path in folder.iterdir() if path.is_dir() and path.name != "__pycache__"]
        assert resources.files(package).joinpath("__init__.py").is_file()
    written = (ROOT / "dataaudit/gate/ci").iterdir()  # by audit init
    assert not [path.name for path in written if not any(path.match(p) for p in patterns["dataaudit.gate"])]


def test_every_requirement_is_pinned_for_make():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    project = PROJECT["project"]
    wanted = [
        *project["dependencies"],
        *(r for extra in project["optional-dependencies"].values() for r in extra),
    ]
    assert {_name(requirement) for requirement in wanted} <= pins.keys()
    assert all("+" not in version for version in pins.values()), "a local build is nowhere to be had"
    assert list(pins) == sorted(pins)


def test_wheel_and_sdist_run_outside_the_repository(tmp_path):
    """As `make release-check` builds them; that one installs what they need as well, oldest and newest."""
    wheel, sdist = build(tmp_path)
    with tarfile.open(sdist) as packed:
        names = packed.getnames()
    assert {"pyproject.toml", "LICENSE"} <= {Path(name).name for name in names}
    assert any(name.endswith("reports/page.html.j2") for name in names)
    there = tmp_path / "there"
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(there)
    (tmp_path / "rows.csv").write_text("u,y\n" + "1,a\n2,a\n8,b\n9,b\n" * 30, encoding="utf-8")
    code = "import sys, dataaudit.cli as c; print(c.__file__); sys.exit(c.main(sys.argv[1:]))"
    typed = [sys.executable, "-c", code, "labels", "rows.csv", "--label", "y", "--out", "found"]
    environment = os.environ | {"PYTHONPATH": str(there), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(typed, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(there))
    assert (tmp_path / "found" / "report.html").is_file()


def test_the_oldest_versions_are_those_of_the_project():
    bounds = oldest()
    assert "numpy==1.26.0" in bounds
    assert len(bounds) == len(PROJECT["project"]["dependencies"])


def test_the_citation_is_of_this_version():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["version"] == PROJECT["project"]["version"]
    assert cited["cff-version"] == "1.2.0"
    assert {"message", "title", "authors", "license", "type", "abstract", "references"} <= cited.keys()
    assert cited["license"] == PROJECT["project"]["license"]
    for one in (cited, *cited["references"]):
        assert all(author.get("name") or author.get("family-names") for author in one["authors"])
    log = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{cited['version']}] - {cited['date-released']}" in log


def test_every_requirement_has_a_lower_bound_and_a_reason():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    requirements = re.findall(r'^  "[\w-]+[^"]*",.*$', text[: text.index("[project.scripts]")], re.MULTILINE)
    requirements = [line for line in requirements if "::" not in line]
    assert len(requirements) >= 15
    assert [line for line in requirements if ">=" not in line or "  # " not in line] == []
