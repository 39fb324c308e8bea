"""make release-check: the wheel and the sdist, installed in clean environments, do what the README says.

Each is built once. The wheel is installed with the newest versions (constraints.txt) and with the oldest that
pyproject.toml allows, the sdist with the newest; then the commands are run outside the repository. Where pip
finds a build of PyTorch without CUDA it takes that: --find-links and PIP_EXTRA_INDEX_URL are pip's own.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHON = """
import dataaudit, polars as pl
frame = pl.read_csv("rows.csv")
audit = dataaudit.audit_labels(frame, label="y", top=2, verify=2)
assert audit.health["ok"].all(), audit.health
audit.write("found")
assert audit._repr_html_().startswith("<iframe")
print(dataaudit.__version__)
"""
COMMANDS = (
    "--help",
    "labels rows.csv --label y --out found-1 --verify 2",
    "mismatch rows.csv more.csv --label y --prove 2 --out found-2",
    "explain rows.csv more.csv --label y --row 3 --out found-3",
    "plan rows.csv --label y",
    "verify found-1 --top 2",
    "report found-1 --out again.html",
    "rule DA101",
)


def oldest():
    """Return the lower bounds of pyproject.toml as constraints, PyTorch as pinned: old builds need CUDA."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = [re.match(r"([A-Za-z0-9-]+)>=(.+)", one) for one in project["dependencies"]]
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    torch = [line for line in lines if line.startswith("torch==")]
    return [f"{one[1]}=={_full(one[2])}" for one in named if one[1] != "torch"] + torch


def _full(version):
    return version + ".0" * (2 - version.count("."))


def build(folder):
    """Build the wheel and the sdist of the tree as it is, without what is left from other builds."""
    tree = folder / "tree"
    kept = shutil.ignore_patterns(".*", "build", "dist", "site", "*.egg-info", "__pycache__", "tests", "docs")
    shutil.copytree(ROOT, tree, ignore=kept)
    for kind in ("sdist", "wheel"):  # each in a process of its own, as pip has it
        code = f"import sys, setuptools.build_meta as b; b.build_{kind}(sys.argv[1])"
        subprocess.run([sys.executable, "-c", code, folder], cwd=tree, check=True, capture_output=True)
    return next(folder.glob("*.whl")), next(folder.glob("*.tar.gz"))


def check(artefact, constraints, folder):
    """Install into a clean environment, and run everything there."""
    home = folder / "venv"
    venv.create(home, with_pip=True, clear=True)
    pip = [home / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    subprocess.run([*pip, "--constraint", constraints, artefact], check=True, cwd=folder)
    for name, first in (("rows.csv", 0), ("more.csv", 300)):
        pairs = ((7 * i % 31, 13 * i % 17, i % 20 == 0) for i in range(first, first + 300))
        rows = (f"{u},{v},{'ab'[(u > 15) != wrong]}" for u, v, wrong in pairs)
        (folder / name).write_text("\n".join(["u,v,y", *rows]) + "\n", encoding="utf-8")
    subprocess.run([home / "bin" / "python", "-c", PYTHON], check=True, cwd=folder)
    for command in COMMANDS:
        print("audit", command, flush=True)
        typed = [home / "bin" / "audit", *command.split()]
        subprocess.run(typed, check=True, cwd=folder, stdout=subprocess.DEVNULL)


def main():
    """Check all three."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        wheel, sdist = build(folder)
        bounds = folder / "oldest.txt"
        bounds.write_text("\n".join(oldest()), encoding="utf-8")
        for name, artefact, constraints in (
            ("newest, wheel", wheel, ROOT / "constraints.txt"),
            ("newest, sdist", sdist, ROOT / "constraints.txt"),
            ("oldest, wheel", wheel, bounds),
        ):
            print(f"== {name}", flush=True)
            here = folder / name.replace(", ", "-")
            here.mkdir()
            check(artefact, constraints, here)
            shutil.rmtree(here)


if __name__ == "__main__":
    main()
