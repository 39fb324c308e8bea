"""What is checked before any model: spellings, restated labels, counters, groups, copies, and who says it."""

import json
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from command import environment

import dataaudit
from dataaudit.errors import BadTarget
from dataaudit.findings.schemas import COPIES, COUNTER, DATA_CHECKS, GROUPS, NO_LABEL, RESTATED
from dataaudit.options import LabelOptions
from dataaudit.report.labels import report
from dataaudit.training.encoded import encode_training, read_labelled

QUICK = {"label": "y", "basis": "linear", "l2": 0.02, "verify": 0, "top": 5}
N = 300


def table(n=N, seed=0, wrong=0.1):
    """Two numbers that tell two classes apart, and a tenth of the labels wrong."""
    random = np.random.default_rng(seed)
    truth = random.permutation(n) % 2
    x = random.normal(size=(n, 2)) + 3 * truth[:, None]
    y = truth ^ (random.random(n) < wrong)
    return pl.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": np.where(y, "yes", "no")})


def checks_of(frame, **options):
    settings = LabelOptions(**{**QUICK, **options})
    training = encode_training(*read_labelled(frame, settings), settings)
    return {name: (value > limit, ok, said) for name, value, limit, ok, said in training.checks}, training


def first(frame, **options):
    """Return headline and first sentence of an audit."""
    audit = dataaudit.audit_labels(frame, **{**QUICK, **options})
    made = report(audit.findings)
    return made.headline, str(made.sentences[0])


def test_nothing_is_found_where_there_is_nothing():
    checks, training = checks_of(table())
    assert set(checks) == set(DATA_CHECKS) - {COUNTER}
    assert not any(leads for leads, _, _ in checks.values())
    assert all(ok for _, ok, _ in checks.values())
    assert [role.role for role in training.encoding.roles] == ["numeric", "numeric"]


def test_a_restated_label_is_left_out_unless_asked_and_said_first():
    frame = table().with_columns(status=pl.col("y").replace({"yes": "closed", "no": "open"}))
    headline, said = first(frame)
    assert headline.startswith("About ")
    assert said.startswith("Column 'status' restates the label (each of its 2 values goes with one class)")
    asked = {"features": ["a", "b", "status"]}
    leads, ok, _ = checks_of(frame, **asked)[0][RESTATED]
    assert leads
    assert not ok
    headline, said = first(frame, **asked)
    assert headline == "Wrong labels may look right in these 300 rows"
    assert said.startswith("Column 'status' may restate the label")


def test_a_column_that_restates_the_label_stays_where_there_is_no_other():
    frame = table().select("y", status=pl.col("y").replace({"yes": "closed", "no": "open"}))
    checks, training = checks_of(frame)
    assert not checks[RESTATED][1]
    assert [role.role for role in training.encoding.roles] == ["categorical"]


def test_a_counter_is_said_first_only_in_a_table_that_is_sorted_by_label():
    numbers = pl.Series("n", np.cumsum(np.random.default_rng(0).integers(1, 4, N)))
    leads, ok, said = checks_of(table().sort("y").with_columns(numbers))[0][COUNTER]
    assert leads
    assert ok
    assert "counts the rows" in said
    assert "sorted by label" in said
    assert not checks_of(table().with_columns(numbers))[0][COUNTER][0]


def visits(names):
    """Five near-copies of each of sixty rows; each tenth is wholly wrong."""
    few, random = table(60, wrong=0.1), np.random.default_rng(1)
    rows = few[np.repeat(np.arange(60), 5)].with_columns(
        pl.col("a", "b") + pl.Series(random.normal(0, 0.02, N))
    )
    return rows.with_columns(who=names)


def test_groups_that_vouch_for_each_other_are_said_first_until_they_are_named():
    frame = visits(pl.Series([f"p{i // 5}" for i in range(N)]))
    headline, said = first(frame)
    assert headline == "Wrong labels may look right in these 300 rows"
    assert said.startswith("Rows of one 'who' carry the same label in 100% of pairs")
    leads, ok, _ = checks_of(frame, group="who")[0][GROUPS]
    assert ok
    assert not leads


def test_numbers_of_groups_are_known_from_quantities():
    random, of = np.random.default_rng(2), np.repeat(np.arange(60), 5)
    frame = visits(pl.Series(random.permutation(60)[of]))
    assert not checks_of(frame)[0][GROUPS][1]
    years = (table()["a"] * 10).round().cast(pl.Int64)
    assert checks_of(table().with_columns(year=years))[0][GROUPS][1]  # like numbers agree as well


def test_copies_are_counted_by_whether_they_agree():
    random = np.random.default_rng(4)
    frame = table().with_columns(pl.Series(name, random.normal(size=N)) for name in "cdefg")
    doubled = pl.concat(
        [frame, frame[:6], frame[6:8].with_columns(y=pl.col("y").replace({"yes": "no", "no": "yes"}))]
    )
    leads, ok, said = checks_of(doubled)[0][COPIES]
    assert leads
    assert ok
    assert said == (
        "12 rows in 6 sets are copies with one label: they leave training together; "
        "4 rows in 2 sets are copies with different labels."
    )
    assert first(doubled)[1] == said


def spelled():
    """Labels in four spellings."""
    random = np.random.default_rng(3)
    way = random.choice(4, N, p=[0.7, 0.1, 0.1, 0.1])
    ways = [pl.col("y"), pl.col("y").str.to_titlecase(), pl.col("y") + " ", pl.col("y").str.to_uppercase()]
    chosen = pl.coalesce(pl.when(pl.Series(way) == i).then(one) for i, one in enumerate(ways))
    return table().with_columns(chosen.alias("y"))


def test_spellings_of_a_class_are_the_first_line_and_never_suggested():
    audit = dataaudit.audit_labels(spelled(), **QUICK)
    said = str(report(audit.findings).sentences[0])
    assert "'NO' (" in said
    assert "'no␣' (" in said
    assert "--fold-labels" in said
    same = audit.labels.filter(
        pl.col("label").str.strip_chars().str.to_lowercase()
        == pl.col("suggested_label").str.strip_chars().str.to_lowercase()
    )
    assert same.is_empty()
    folded = dataaudit.audit_labels(spelled(), **QUICK, fold_labels=True)
    assert abs(audit.expected - folded.expected) < 15  # another spelling is no wrong label


def test_folded_labels_are_one_class_by_the_commonest_spelling():
    audit = dataaudit.audit_labels(spelled(), **QUICK, fold_labels=True)
    provenance = audit.findings.provenance
    assert provenance.classes == ("no", "yes")
    assert provenance.settings["fold_labels"]
    assert any("are read as 'no', as asked." in note for note in provenance.notes[: provenance.leading])
    plain = dataaudit.audit_labels(table(), **QUICK)
    assert audit.labels["p_wrong"].equals(plain.labels["p_wrong"])
    one = table().with_columns(
        y=pl.when(pl.int_range(N) % 2 == 0).then(pl.lit("no")).otherwise(pl.lit("NO "))
    )
    with pytest.raises(BadTarget, match="one class"):
        dataaudit.audit_labels(one, **QUICK, fold_labels=True)


@pytest.mark.parametrize(("value", "ok"), [("?", False), ("n/a", False), ("Unknown", True)])
def test_labels_that_may_be_none_are_offered_as_none(value, ok):
    frame = table().with_columns(y=pl.when(pl.int_range(N) % 20 == 0).then(pl.lit(value)).otherwise("y"))
    leads, fine, said = checks_of(frame)[0][NO_LABEL]
    assert leads
    assert fine == ok
    assert f"'{value}' (15 rows)" in said
    assert "--no-label=" in said
    checks, training = checks_of(frame, no_label=[value])
    assert not checks[NO_LABEL][0]
    assert training.dataset.n == N - 15
    assert any("is read as no label, as asked." in note for note in training.dataset.notes)


def test_minus_one_next_to_numbers_from_nought_may_be_no_label():
    y = pl.col("y").replace_strict({"yes": 1, "no": 0})
    frame = table().with_columns(y=pl.when(pl.int_range(N) % 20 == 0).then(-1).otherwise(y))
    assert "'-1' (15 rows)" in checks_of(frame)[0][NO_LABEL][2]
    _, training = checks_of(frame, no_label=["-1"])
    assert training.target.classes == ("0", "1")
    signs = table().with_columns(y=pl.col("y").replace_strict({"yes": 1, "no": -1}))
    assert not checks_of(signs)[0][NO_LABEL][0]
    assert (
        "No row has the label '7', which was to be read as none."
        in checks_of(signs, no_label=["7"])[1].dataset.notes
    )


def test_every_format_says_the_cause_first(tmp_path):
    frame = table().with_columns(status=pl.col("y").replace({"yes": "closed", "no": "open"}))
    frame.write_csv(tmp_path / "t.csv")
    command = [sys.executable, "-m", "dataaudit", "labels", "t.csv", "--label", "y", "--verify", "0", "-q"]

    def said(*more, stream="stdout"):
        done = subprocess.run(
            [*command, *more],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            check=True,
        )
        return " ".join(getattr(done, stream).split())

    shown = said("--out", "found", stream="stderr")
    assert "contradict the other rows (" in shown
    assert ". Column 'status' restates the label" in shown
    markdown = said("--format", "markdown")
    assert "Column 'status' restates the label" in markdown.split("If mistakes fall")[0]
    summary = json.loads(said("--format", "json"))["summary"]
    assert "Column 'status' restates the label" in json.dumps(summary)
    page = (tmp_path / "found" / "report.html").read_text(encoding="utf-8")
    assert (
        "Column &#39;status&#39; restates the label" in page or "Column 'status' restates the label" in page
    )


def test_the_gate_reads_labels_as_asked_and_repair_keeps_the_spelling_of_the_file(tmp_path):
    spelled().write_csv(tmp_path / "t.csv")

    def run(*words, codes=(0,)):
        command = [sys.executable, "-m", "dataaudit", *words]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
        )
        assert done.returncode in codes, done.stderr
        return done.stdout

    asked = '[datasets.t]\npath = "t.csv"\nlabel = "y"\nselect = ["DA110"]\n'
    for more, code in (("", 1), ("fold-labels = true\n", 0)):
        (tmp_path / "dataaudit.toml").write_text(asked + more)
        run("check", "--config", "dataaudit.toml", codes=(code,))
    run("labels", "t.csv", "--label", "y", "--fold-labels", "--out", "found", "--verify", "0", "-q")
    labels = pl.read_parquet(tmp_path / "found" / "labels.parquet")
    raw = pl.read_csv(tmp_path / "t.csv")["y"]
    row = next(row for row in labels.iter_rows(named=True) if raw[row["row"]] == "NO")
    decision = {"row_id": row["row_id"], "action": "relabel", "label": row["suggested_label"]}
    (tmp_path / "d.jsonl").write_text(json.dumps(decision) + "\n")
    run("apply", "found", "d.jsonl", "t.csv", "-o", "fixed.csv")
    fixed = pl.read_csv(tmp_path / "fixed.csv")["y"]
    assert fixed[row["row"]] == "yes"
    assert (fixed != raw).sum() == 1
