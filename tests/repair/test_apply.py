"""`audit apply` and `audit undo` as processes: bad input, crashes, and whether the model gets better."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import polars as pl
import pytest

from dataaudit import cli
from dataaudit.audits.rerun import compare
from dataaudit.cli.progress import Progress
from dataaudit.findings.schemas import Findings

SEED = 0
FLIPPED, ROWS = 60, 600


def planted(n, flips, seed):
    """Two classes that overlap a little; the first `flips` of a random order have the wrong label."""
    random = np.random.default_rng(seed)
    truth = random.random(n) < 0.5
    columns = {f"x{i}": np.where(truth, 0.8, -0.8) + random.normal(size=n) for i in range(4)}
    wrong = random.permutation(n)[:flips]
    label = truth.copy()
    label[wrong] = ~label[wrong]
    names = np.array(["ham", "spam"])
    return pl.DataFrame(columns).with_columns(label=names[label.astype(int)]), names[truth.astype(int)]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Flipped data, the same rows clean, test rows, findings, and decisions by truth on the first 15 %."""
    folder = tmp_path_factory.mktemp("apply")
    rows, truth = planted(ROWS, FLIPPED, SEED)
    rows.write_csv(folder / "mail.csv")
    rows.with_columns(label=pl.Series(truth)).write_csv(folder / "clean.csv")
    planted(2000, 0, 1)[0].write_csv(folder / "test.csv")
    given = [folder / "mail.csv", "--label", "label", "--verify", 0, "--out", folder / "findings", "-qq"]
    assert cli.main(["labels", *map(str, given)]) == 0
    labels = pl.read_parquet(folder / "findings" / "labels.parquet")
    run_id = json.loads((folder / "findings" / "provenance.json").read_text())["run_id"]
    lines = [{"run_id": run_id}]
    for row_id, row, label in labels.select("row_id", "row", "label").head(ROWS * 15 // 100).iter_rows():
        wrong = label != truth[row]
        lines.append({"row_id": row_id, "action": "relabel" if wrong else "keep"})
        lines[-1] |= {"label": str(truth[row])} if wrong else {}
    (folder / "decisions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def apply(study, *more, decisions="decisions.jsonl", data="mail.csv"):
    given = [study / "findings", study / decisions, study / data, *more]
    return cli.main(["apply", *map(str, given)])


def test_the_model_gets_better_and_the_tool_says_so(study, tmp_path, capsys):
    out = tmp_path / "fixed.csv"
    assert apply(study, "-o", out, "--test", study / "test.csv", "--format", "json") == 0
    said = capsys.readouterr()
    model = json.loads(said.out)["model"]
    before, after = model["before"], model["after"]
    assert after["loo_loss"] < before["loo_loss"] - 0.05
    assert after["expected_wrong"] < before["expected_wrong"] / 2
    assert after["test_loss"] < before["test_loss"] - 0.02
    assert after["test_accuracy"] >= before["test_accuracy"]
    findings = Findings.read(study / "findings")
    files = {"source": str(study / "mail.csv"), "test": str(study / "test.csv")}
    clean = compare(findings, study / "clean.csv", **files)[1]
    assert abs(after["test_accuracy"] - clean.test_accuracy) <= 0.005
    assert abs(after["test_loss"] - clean.test_loss) <= 0.02
    assert f"accuracy {before['test_accuracy']:.2%} → {after['test_accuracy']:.2%}" in said.err
    assert "Mean leave-one-out loss:" in said.err
    assert f"audit undo {out}.journal.jsonl" in said.err
    assert cli.main(["undo", f"{out}.journal.jsonl", "-o", str(tmp_path / "back.csv")]) == 0
    assert (tmp_path / "back.csv").read_bytes() == (study / "mail.csv").read_bytes()


def test_a_dry_run_writes_nothing(study, tmp_path, capsys):
    there = sorted(study.iterdir())
    assert apply(study, "-o", tmp_path / "fixed.csv", "--dry-run", "--format", "json") == 0
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert told["dry_run"]
    assert len(told["changes"]) == sum(move["rows"] for move in told["relabelled"])
    assert "Nothing was written." in said.err
    assert sorted(study.iterdir()) == there
    assert list(tmp_path.iterdir()) == []


def test_rows_of_which_nobody_can_tell_are_left_and_counted_apart(study, tmp_path, capsys):
    first, second, third = pl.read_parquet(study / "findings" / "labels.parquet")["row_id"][:3]
    lines = [{"row_id": first, "action": "unsure"}, {"row_id": second, "action": "keep"}]
    lines.append({"row_id": third, "action": "unsure", "note": "half an offer"})
    (study / "unsure.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    more = "-o", tmp_path / "fixed.csv", "--no-model", "--format", "json"
    assert apply(study, *more, decisions="unsure.jsonl") == 0
    said = capsys.readouterr()
    counts = json.loads(said.out)["decisions"]
    assert counts == {"keep": 1, "relabel": 0, "drop": 0, "weight": 0, "unsure": 2}
    assert "1 rows kept as they are" in said.err
    assert "2 rows unsure, left as they are." in said.err
    assert (tmp_path / "fixed.csv").read_bytes() == (study / "mail.csv").read_bytes()


def test_neither_command_needs_torch(study, tmp_path):
    names = ["findings", "decisions.jsonl", "mail.csv"]
    arguments = ["apply", *(str(study / name) for name in names), "-o", str(tmp_path / "a.csv"), "--no-model"]
    back = ["undo", str(tmp_path / "a.csv.journal.jsonl"), "-o", str(tmp_path / "b.csv")]
    code = f"""
import sys
from dataaudit import cli
assert cli.main({arguments!r}) == 0
assert cli.main({back!r}) == 0
print(sorted({{"torch", "sklearn", "scipy"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"


def test_in_place_keeps_a_backup(study, tmp_path, capsys):
    data = tmp_path / "mail.csv"
    data.write_bytes((study / "mail.csv").read_bytes())
    data.chmod(0o640)
    old = data.read_bytes()
    given = [str(study / "findings"), str(study / "decisions.jsonl"), str(data)]
    assert cli.main(["apply", *given, "-o", str(data), "--no-model"]) == 2
    assert "say --in-place" in capsys.readouterr().err
    assert cli.main(["apply", *given, "--in-place", "--no-model"]) == 0
    assert data.read_bytes() != old
    assert (tmp_path / "mail.csv.bak").read_bytes() == old
    assert data.stat().st_mode & 0o777 == 0o640
    (tmp_path / "mail.csv.bak").unlink()
    assert cli.main(["undo", f"{data}.journal.jsonl", "--in-place"]) == 0
    assert data.read_bytes() == old


def test_nothing_that_is_there_is_replaced(study, tmp_path, capsys):
    out = tmp_path / "fixed.csv"
    out.write_text("mine")
    assert apply(study, "-o", out, "--no-model") == 2
    assert "is there already. Hint: name another --out, or add --force." in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert apply(study, "-o", out, "--no-model", "--force") == 0


def failing(study, capsys, *more, **files):
    assert apply(study, *more, **files) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    return said.err


def test_a_file_that_grew_is_repaired_and_compared_with_itself(study, tmp_path, capsys):
    (study / "changed").mkdir(exist_ok=True)
    changed = study / "changed" / "mail.csv"
    changed.write_bytes((study / "mail.csv").read_bytes() + b"0,0,0,0,ham\n")
    assert apply(study, "-o", tmp_path / "out.csv", "--format", "json", data="changed/mail.csv") == 0
    said = capsys.readouterr()
    assert "1 row is new or changed." in said.err
    done = json.loads(said.out)
    assert (done["new_rows"], done["left_out"]) == (1, [])
    assert done["model"]["before"]["rows"] == done["model"]["after"]["rows"] == ROWS + 1


def test_other_data_are_refused(study, tmp_path, capsys):
    (study / "changed").mkdir(exist_ok=True)
    planted(ROWS, 0, 7)[0].write_csv(study / "changed" / "mail.csv")
    said = failing(study, capsys, "-o", tmp_path / "out.csv", data="changed/mail.csv")
    assert "is not the data that were audited" in said
    assert list(tmp_path.iterdir()) == []


BAD = {
    '{"row_id": "R", "action": "relabel", "label": "\\ud800"}': "label has half a surrogate pair",
    '{"row_id": "nobody:3", "action": "drop"}': "row 'nobody:3' is not in the findings",
    '{"row_id": "R", "action": "delete"}': "line 1: unknown action: got 'delete'",
    '{"row_id": "R", "action": "relable", "label": "ham"}': "did you mean 'relabel'?",
    '{"row_id": "R", "action": "relabel"}': "line 1: relabel has no label",
    '{"row_id": "R", "action": "relabel", "label": "span"}': "did you mean 'spam'? Else add --new-class",
    '{"row_id": "R", "action": "weight", "weight": -1}': "line 1: weight must be 0 or more: got -1.0",
    '{"row_id": "R", "action": "weight", "weight": NaN}': "line 1: weight must be 0 or more: got nan",
    '{"row_id": "R", "action": "weight", "weight": "x"}': "line 1: weight is no number: got 'x'",
    '{"row_id": "R", "action": "drop", "lable": "x"}': "unknown field 'lable'. Hint: did you mean 'label'?",
    '{"row_id": "R", "action": "drop"}\n{"row_id": "R", "action": "keep"}': "twice: drop on line 1, keep",
    '{"row_id": "R", "action": "drop"': "line 1 is not JSON",
    "[" * 100_000: "line 1 is not JSON: nested too deep",
    '\n\n["R"]': "line 3 is no object",
    '{"row_id": 3, "action": "drop"}': "row_id must be text: got 3",
    '{"action": "drop"}': "line 1: a decision has no row_id",
    '{"run_id": "0000", "row_id": "R", "action": "drop"}': "the decisions are of run 0000, the findings",
    '{"run_id": "0000"}': "holds no decisions",
    '{"run_id": "1"}\n{"run_id": "2", "row_id": "R", "action": "drop"}': "line 2 is of run 2",
    "": "holds no decisions",
    '{"row_id": "\\u001b[31m::error\\n", "action": "drop"}': "row '\\\\x1b[31m∷error\\\\n' is not",
}


@pytest.mark.parametrize("text", BAD, ids=lambda text: text[:60])
def test_bad_decisions_are_told_in_one_line(text, study, tmp_path, capsys):
    row = pl.read_parquet(study / "findings" / "labels.parquet")["row_id"][0]
    (study / "bad.jsonl").write_text(text.replace('"R"', json.dumps(row)))
    said = failing(study, capsys, "-o", tmp_path / "out.csv", "--no-model", decisions="bad.jsonl")
    assert BAD[text].replace("\\\\", "\\") in said.replace("\\\\", "\\")
    assert list(tmp_path.iterdir()) == []


def test_what_was_changed_cannot_be_undone(study, tmp_path, capsys):
    out = tmp_path / "fixed.csv"
    assert apply(study, "-o", out, "--no-model", "-qq") == 0
    journal = tmp_path / "fixed.csv.journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    out.write_bytes(out.read_bytes() + b"\n")
    bad = {"changed": lines, "cut": lines[:-1], "not JSON": ["x"], "no journal": ['{"a": 1}\n']}
    words = [
        "has changed since it was repaired",
        "is cut short",
        "is not a journal",
        "is not an undo journal",
    ]
    for text, word in zip(bad.values(), words, strict=True):
        journal.write_text("".join(text))
        assert cli.main(["undo", str(journal), "-o", str(tmp_path / "back.csv")]) == 2
        assert word in capsys.readouterr().err
    assert not (tmp_path / "back.csv").exists()


def test_a_damaged_journal_gives_nothing_back(study, tmp_path, capsys):
    out = tmp_path / "fixed.csv"
    assert apply(study, "-o", out, "--no-model", "-qq") == 0
    journal = tmp_path / "fixed.csv.journal.jsonl"
    journal.write_text(journal.read_text().replace('"old": "ham"', '"old": "jam"', 1))
    assert cli.main(["undo", str(journal), "-o", str(tmp_path / "back.csv")]) == 2
    assert "what undo gives back is not what was" in capsys.readouterr().err
    assert not (tmp_path / "back.csv").exists()


def test_a_kill_leaves_the_source_and_a_whole_target_or_none(study, tmp_path):
    """Ten kills, the first at once, the others at random; the longest waits let it finish."""
    whole = tmp_path / "whole.csv"
    assert apply(study, "-o", whole, "--no-model", "-qq") == 0
    source = (study / "mail.csv").read_bytes()
    names = [str(study / name) for name in ("findings", "decisions.jsonl", "mail.csv")]
    command = [sys.executable, "-m", "dataaudit", "apply", *names, "--no-model", "-qq", "-o"]
    began = time.monotonic()
    subprocess.run([*command, str(tmp_path / "timed.csv")], check=True)
    span, pick, finished = time.monotonic() - began, random.Random(0), 0
    for i in range(10):
        out = tmp_path / f"{i}" / "fixed.csv"
        out.parent.mkdir()
        process = subprocess.Popen([*command, str(out)])
        time.sleep(span * pick.uniform(0.6, 1.05) if i else 0.0)  # before that, Python is still importing
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert (study / "mail.csv").read_bytes() == source
        if out.exists():
            finished += 1
            assert out.read_bytes() == whole.read_bytes()
            back = out.with_name("back.csv")
            assert cli.main(["undo", f"{out}.journal.jsonl", "-o", str(back), "-qq"]) == 0
            assert back.read_bytes() == source
    assert finished < 10


@pytest.mark.parametrize("step", range(6))
def test_a_crash_between_any_two_writes_leaves_a_whole_target_or_none(step, study, tmp_path):
    """The process dies at its n-th fsync or rename: the moments that a kill at random seldom meets."""
    out = tmp_path / "fixed.csv"
    names = [str(study / name) for name in ("findings", "decisions.jsonl", "mail.csv")]
    code = f"""
import os, pathlib
from dataaudit import cli
left = [{step}]
def dying(real):
    def call(*given):
        if not left[0]: os.kill(os.getpid(), 9)
        left[0] -= 1
        return real(*given)
    return call
os.fsync = dying(os.fsync)
pathlib.Path.replace = dying(pathlib.Path.replace)
cli.main(["apply", *{names!r}, "-o", {str(out)!r}, "--no-model", "-qq"])
"""
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    if out.exists():
        assert cli.main(["undo", f"{out}.journal.jsonl", "-o", str(tmp_path / "back.csv"), "-qq"]) == 0
        assert (tmp_path / "back.csv").read_bytes() == (study / "mail.csv").read_bytes()
    assert apply(study, "-o", out, "--no-model", "-qq", *(["--force"] if out.exists() else [])) == 0


def test_names_of_rows_are_no_emoji(capsys):
    with Progress() as progress:
        progress.say("mail.csv:100: ham → spam")
    assert capsys.readouterr().err == "mail.csv:100: ham → spam\n"


@pytest.mark.parametrize("encoding", [None, "cp1251"])
def test_what_was_said_of_a_text_file_holds_in_every_command(encoding, tmp_path, monkeypatch, capsys):
    """No header, and a code page that is guessed or named: apply, undo, verify and check go by it."""
    monkeypatch.chdir(tmp_path)
    rows, _ = planted(120, 10, 0)
    rows = rows.select("x0", "x1", text=pl.lit("привет, мир"), label=pl.col("label").replace("ham", "письмо"))
    data = rows.write_csv(include_header=False).encode("cp1251")
    (tmp_path / "rows.csv").write_bytes(data)
    said = ["--no-header", *(["--encoding", encoding] if encoding else [])]
    assert (
        cli.main(["labels", "rows.csv", *said, "-l", "column_4", "--verify", "0", "--out", "f", "-qq"]) == 0
    )
    labels = pl.read_parquet(tmp_path / "f" / "labels.parquet")
    assert set(labels["label"]) == {"письмо", "spam"}
    first = labels.sort("rank")["row_id"][0]
    decision = {"row_id": first, "action": "relabel", "label": "письмо"}
    (tmp_path / "d.jsonl").write_text(json.dumps(decision))
    assert cli.main(["apply", "f", "d.jsonl", "rows.csv", "-o", "fixed.csv", "-qq"]) == 0
    assert "was not compared" not in capsys.readouterr().err
    assert cli.main(["undo", "fixed.csv.journal.jsonl", "-o", "back.csv", "-qq"]) == 0
    assert (tmp_path / "back.csv").read_bytes() == data != (tmp_path / "fixed.csv").read_bytes()
    assert cli.main(["verify", "f", "--top", "2", "-qq"]) == 0
    named = f'encoding = "{encoding}"\n' if encoding else ""
    config = f'[datasets.rows]\npath = "rows.csv"\nlabel = "column_4"\nno-header = true\n{named}'
    (tmp_path / "dataaudit.toml").write_text(config)
    assert cli.main(["check", "--select", "DA2", "-qq"]) == 0
