"""The story of each command: the files that a reader opens, in the order in which a real run comes by.

A file stands with the function that it is opened for. At most twelve a command; what else runs is detail, and
how much of it there may be is a budget too.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from cli.test_review import Window
from command import environment

TRACER = Path(__file__).with_name("tracer.py")
MOST = 12
FILES_RUN = {"labels": 84, "mismatch": 101}  # at most

STORIES = {
    "labels": """
        cli/audits.py::labels
        api/audits.py::audit_labels
        data/load.py::load
        training/encoded.py::encode_training
        training/train.py::train
        audits/labels.py::label_findings
        training/trained.py::score_rows
        influence/leave_one_out.py::leave_one_out_scores
        influence/influence.py::self_influence
        noise/model.py::fit_noise
        report/labels.py::report
        writers/html.py::page
    """,
    "mismatch": """
        cli/audits.py::mismatch
        api/audits.py::audit_mismatch
        audits/mismatch/audit.py::find_mismatch
        audits/testset.py::read_pair
        training/train.py::train
        audits/mismatch/tracing.py::concentration
        audits/mismatch/columns.py::column_suspects
        audits/mismatch/rows/slices.py::slice_suspects
        audits/mismatch/worth.py::judge
        audits/shift/audit.py::measure_shift
        report/mismatch.py::report
        writers/html.py::page
    """,
    "explain": """
        cli/audits.py::explain
        api/audits.py::explain
        audits/explain/audit.py::explain_row
        training/train.py::train
        audits/testset.py::predict
        audits/attribution.py::attribute
        audits/explain/tables.py::influence_table
        influence/influence.py::loss_gradients
        audits/explain/flip.py::find_flip
        influence/amip.py::smallest_flip
        report/explain.py::report
        writers/html.py::page
    """,
    "vulnerability": """
        cli/audits.py::vulnerability
        api/audits.py::vulnerability
        audits/vulnerability/audit.py::audit_vulnerability
        training/train.py::train
        audits/vulnerability/domain.py::fit_domain
        audits/vulnerability/gain.py::number_gains
        audits/vulnerability/attack.py::attack
        audits/vulnerability/steps.py::advance
        audits/vulnerability/detection.py::detect
        report/vulnerability.py::report
        writers/html.py::page
    """,
    "check": """
        cli/check.py::check
        gate/config.py::load_config
        gate/check.py::check
        gate/rules.py::read_packs
        gate/judge.py::check_rule
        gate/data.py::open_data
        data/load.py::load
        gate/facts/columns.py::columns
        gate/facts/labels.py::ranked_labels
        findings/verdict.py::verdict_record
        report/check.py::report
    """,
    "review": """
        cli/review.py::review
        findings/tables.py::Tables.read
        review/progress.py::queue_of
        review/session.py::begin
        review/loop.py::run_review
        review/rows.py::RowReader._row
        review/screen.py::draw
        review/progress.py::progress_of
        repair/decisions.py::write_decisions
        files.py::write_whole
    """,
    "apply": """
        cli/repair.py::apply
        findings/tables.py::Tables.read
        repair/decisions.py::read_decisions
        repair/plan.py::make_plan
        repair/apply.py::repair
        repair/csv.py::find_edits
        repair/journal.py::Journal.to_bytes
        files.py::write_all
        audits/rerun.py::compare
    """,
}
PAIR = ("train.csv", "test.csv", "--label", "y", "--id", "name")
COMMANDS = {
    "labels": ("labels", "train.csv", "--label", "y", "--id", "name", "--out", "found", "--verify", "2"),
    "mismatch": ("mismatch", *PAIR, "--out", "mismatch"),
    "explain": ("explain", *PAIR, "--row", "3", "--flip", "prediction", "--out", "explain"),
    "vulnerability": ("vulnerability", *PAIR, "--tests", "3", "--out", "vulnerability"),
    "check": ("check", "train.csv", "--test", "test.csv", "--label", "y", "--id", "name"),
    "apply": ("apply", "found", "decisions.jsonl", "train.csv", "-o", "fixed.csv"),
}


def table(n, seed):
    """One number that decides the class, one that does not, a category; a tenth of the labels is wrong."""
    random = np.random.default_rng(seed)
    size = random.normal(size=n) + 2 * (np.arange(n) % 2) - 1
    said = (np.arange(n) % 2 == 1) ^ (random.random(n) < 0.1)
    columns = {"name": [f"{seed}-{i}" for i in range(n)], "size": size, "weight": random.normal(size=n)}
    columns |= {"kind": random.choice(["a", "b", "c"], n), "y": np.where(said, "yes", "no")}
    return pl.DataFrame(columns)


@pytest.fixture(scope="module")
def calls(tmp_path_factory):
    """Return a function that runs a command once and returns the functions that were called, in order."""
    folder, known = tmp_path_factory.mktemp("story"), {}
    table(200, 0).write_csv(folder / "train.csv")
    table(80, 1).write_csv(folder / "test.csv")

    def run(name):
        if name not in known:
            known[name] = _review(folder) if name == "review" else _trace(folder, name)
        return known[name]

    def _review(folder):
        run("labels")
        traced = [sys.executable, str(TRACER), "review.json", "review"]
        with Window("found", cwd=folder, command=traced) as window:
            window.until("0 of 200 decided")
            window.press("a", "1 of 200 decided")
            assert window.quit()[0] == 0
        return _read(folder / "review.json")

    def _trace(folder, name):
        if name == "apply":
            run("labels")
            first = pl.read_parquet(folder / "found" / "labels.parquet").sort("rank").row(0, named=True)
            decision = {"row_id": first["row_id"], "action": "drop"}
            (folder / "decisions.jsonl").write_text(json.dumps(decision) + "\n")
        command = [sys.executable, TRACER, f"{name}.json", *COMMANDS[name], "-q"]
        done = subprocess.run(
            command, cwd=folder, env=environment(), capture_output=True, text=True, check=False
        )
        assert done.returncode <= (name == "check"), done.stderr
        return _read(folder / f"{name}.json")

    return run


def _read(path):
    return ["::".join(call) for call in json.loads(path.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("command", STORIES)
def test_a_reader_meets_the_files_in_the_order_of_the_run(calls, command):
    story, called = STORIES[command].split(), calls(command)
    assert len(story) <= MOST
    assert [step for step in story if step not in called] == []
    assert sorted(story, key=called.index) == story


@pytest.mark.parametrize("command", FILES_RUN)
def test_few_files_run(calls, command):
    files = {call.partition("::")[0] for call in calls(command)}
    assert len(files) <= FILES_RUN[command], sorted(files)
