"""What a wheel must carry, and the files that make and CI rely on, agree with each other."""

import re
import tomllib
from importlib import resources
from pathlib import Path

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


def test_every_requirement_has_a_lower_bound_and_a_reason():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    requirements = re.findall(r'^  "[\w-]+[^"]*",.*$', text[: text.index("[project.scripts]")], re.MULTILINE)
    requirements = [line for line in requirements if "::" not in line]
    assert len(requirements) >= 15
    assert [line for line in requirements if ">=" not in line or "  # " not in line] == []
