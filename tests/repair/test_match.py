"""Decisions on a file that has changed since its audit: applied where the row is surely the same."""

import polars as pl
import pytest
from repair.audited import findings_of

from dataaudit.data.blob import open_blob
from dataaudit.data.load import load
from dataaudit.errors import DataError
from dataaudit.repair.apply import repair
from dataaudit.repair.decisions import Decision, Decisions
from dataaudit.repair.match import CHANGED, COPIES, GONE, LOST
from dataaudit.repair.plan import make_plan

ROWS = pl.DataFrame(
    {
        "id": ["a", "b", "c", "d", "e", "f"],
        "x": [1.5, 2.5, 3.5, 4.5, 4.5, 6.5],
        "n": [1, 2, 3, 4, 4, None],
        "t": ["one", "two", "three", "four", "four", None],
        "v": [[1.0, 2.0], [0.0, None], None, [], [], [5.0]],
        "label": ["spam", "ham", "ham", "spam", "spam", "ham"],
    }
)
FORMATS = {
    "csv": pl.DataFrame.write_csv,
    "ndjson": pl.DataFrame.write_ndjson,
    "parquet": pl.DataFrame.write_parquet,
}


def written(rows, path):
    """Write a table; CSV has no vectors."""
    FORMATS[path.suffix[1:]](rows.drop("v") if path.suffix == ".csv" else rows, path)
    return path


def planned(folder, after, *, ids=False, decide="abcdef", kind="csv"):
    """Audit `ROWS`, decide to flip some labels, and plan that for what the file is `after`wards."""
    rows = ROWS if ids else ROWS.drop("id")
    after = after if ids or "id" not in after.columns else after.drop("id")
    path = written(rows, folder / f"rows.{kind}")
    findings = findings_of(path, hashed=True, id_column="id" if ids else None)
    names = findings.labels.sort("row").select("row_id", "label").rows()
    flip = {"spam": "ham", "ham": "spam"}
    chosen = [names["abcdef".index(letter)] for letter in decide]
    decisions = tuple(Decision(row_id=name, action="relabel", label=flip[label]) for name, label in chosen)
    written(after, path)
    plan = make_plan(
        findings,
        Decisions(decisions, findings.provenance.run_id),
        blob=open_blob(str(path)),
        read=lambda: load(path, target="label", id_column="id" if ids else None),
    )
    letters = {name: letter for letter, (name, _) in zip("abcdef", names, strict=True)}
    return plan, {letters[name]: reason for name, reason in plan.missed.items()}


def repaired(folder, plan, kind="csv"):
    """Carry the plan out and return the table that comes of it."""
    done = repair(open_blob(str(folder / f"rows.{kind}")), plan)
    path = folder / f"fixed.{kind}"
    path.write_bytes(done.data)
    return {"csv": pl.read_csv, "ndjson": pl.read_ndjson, "parquet": pl.read_parquet}[kind](path)


ONE_MORE = ROWS.head(1).with_columns(id=pl.lit("g"), t=pl.lit("more"))


@pytest.mark.parametrize("ids", [True, False])
@pytest.mark.parametrize("kind", FORMATS)
def test_rows_were_appended(tmp_path, kind, ids):
    after = pl.concat([ROWS, ONE_MORE])
    plan, missed = planned(tmp_path, after, ids=ids, kind=kind)
    assert (missed, plan.new, plan.rows) == ({}, 1, 7)
    new = repaired(tmp_path, plan, kind)
    assert new["label"].to_list() == ["ham", "spam", "spam", "ham", "ham", "spam", "spam"]
    assert new["x"].to_list() == after["x"].to_list()


@pytest.mark.parametrize("kind", FORMATS)
def test_rows_were_put_in_another_order(tmp_path, kind):
    after = pl.concat([ONE_MORE, ROWS.reverse()])
    plan, missed = planned(tmp_path, after, ids=True, kind=kind)
    assert (missed, plan.new) == ({}, 1)
    assert repaired(tmp_path, plan, kind)["label"].to_list() == [
        "spam", "spam", "ham", "ham", "spam", "spam", "ham"
    ]  # fmt: skip


def test_without_ids_copies_are_not_told_apart(tmp_path):
    plan, missed = planned(tmp_path, pl.concat([ONE_MORE, ROWS.reverse()]))
    assert missed == {"d": COPIES, "e": COPIES}
    assert repaired(tmp_path, plan)["label"].to_list() == [
        "spam", "spam", "spam", "spam", "spam", "spam", "ham"
    ]  # fmt: skip


@pytest.mark.parametrize("ids", [True, False])
def test_rows_were_changed_dropped_and_relabelled(tmp_path, ids):
    after = ROWS.filter(pl.col("id") != "c").with_columns(
        n=pl.when(pl.col("id") == "b").then(9).otherwise("n"),
        label=pl.when(pl.col("id") == "a").then(pl.lit("ham")).otherwise("label"),
    )
    plan, missed = planned(tmp_path, after, ids=ids, decide="abcf")
    assert missed == ({"b": CHANGED, "c": GONE} if ids else {"b": LOST, "c": LOST})
    assert plan.same == 1  # the label of a is what was decided already
    assert [(change.row, change.label) for change in plan.changes] == [(4, "spam")]
    assert plan.new == 1


def test_a_label_that_became_another_one_is_left(tmp_path):
    after = ROWS.with_columns(label=pl.when(pl.col("id") == "a").then(pl.lit("eggs")).otherwise("label"))
    plan, missed = planned(tmp_path, after, decide="ab")
    assert missed == {"a": "its label is 'eggs' now"}
    assert len(plan.changes) == 1


def test_a_column_that_is_new_matters_to_nobody(tmp_path):
    after = ROWS.reverse().with_columns(x=pl.col("x"), label="label")
    plan, _ = planned(tmp_path, after, ids=True, decide="a")
    assert [change.row for change in plan.changes] == [5]


def test_another_file_is_refused(tmp_path):
    with pytest.raises(
        DataError, match="is not the data that were audited: of row 'a', no labelled row has its id"
    ):
        planned(tmp_path, ROWS.with_columns(id=pl.col("id") + "x"), ids=True)


def test_findings_without_hashes_need_the_file_as_it_was(tmp_path):
    path = written(ROWS, tmp_path / "rows.csv")
    findings = findings_of(path)
    decisions = Decisions((Decision(row_id=findings.labels["row_id"][0], action="drop"),))
    written(pl.concat([ROWS, ONE_MORE]), path)
    with pytest.raises(DataError, match="its content hash differs"):
        make_plan(findings, decisions, blob=open_blob(str(path)))
