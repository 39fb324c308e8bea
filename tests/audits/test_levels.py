"""Who mislabels, on tables in which one source has the wrong labels."""

import numpy as np
import polars as pl
import pytest

import dataaudit
from dataaudit.audits.levels import others_loss
from dataaudit.errors import AuditError, MissingColumn
from dataaudit.findings.redact import redact
from dataaudit.findings.schemas import Findings
from dataaudit.options import LabelOptions
from dataaudit.report.blocks import plain
from dataaudit.report.labels import report
from dataaudit.training.encoded import encode_training, read_labelled
from dataaudit.training.train import train

N, BAD = 400, "eve"


@pytest.fixture(scope="module")
def frame():
    """Two classes that a number decides; of eve's labels half are wrong, of the others' one in fifty."""
    random = np.random.default_rng(0)
    who = random.choice(["ann", "bob", "cyd", "dan", BAD], N, p=[0.25, 0.2, 0.2, 0.2, 0.15])
    truth = random.random(N) < 0.5
    wrong = random.random(N) < np.where(who == BAD, 0.5, 0.02)
    return pl.DataFrame(
        {
            "size": random.normal(size=N) + 3.0 * truth,
            "weight": random.normal(size=N),
            "who": who,
            "day": [f"2026-{m:02}-{d:02}" for m, d in random.integers(1, 9, (N, 2))],
            "y": np.where(truth ^ wrong, "yes", "no"),
            "wrong": wrong,
        }
    )


ASKED = {"label": "y", "exclude": ["wrong", "who", "day"], "verify": 0, "top": 3, "basis": "linear"}


@pytest.fixture(scope="module")
def audit(frame):
    return dataaudit.audit_labels(frame, by=["who", "day"], **ASKED)


def test_the_source_of_the_mistakes_comes_first(audit, frame):
    by = audit.by
    first = by.row(0, named=True)
    eve = frame.filter(who=BAD)
    assert (first["column"], first["level"], first["n"]) == ("who", BAD, eve.height)
    assert first["low"] <= eve["wrong"].sum() <= first["high"]
    assert first["share"] == pytest.approx(first["expected_wrong"] / first["n"])
    assert first["times_average"] > 2
    assert first["p_value"] < 1e-6
    assert by.filter("significant").height == 1
    for column in ("who", "day"):
        own = by.filter(column=column)
        assert own["n"].sum() == N
        assert own["expected_wrong"].sum() == pytest.approx(audit.labels["p_wrong"].sum())
    assert set(by.filter(column="day")["kind"]) == {"dates"}


def test_columns_that_were_left_out_are_no_features(audit, frame):
    without = dataaudit.audit_labels(frame, **ASKED)
    assert audit.labels.equals(without.labels)
    assert "who" not in {role["column"] for role in audit.findings.provenance.roles}
    kept = dataaudit.audit_labels(frame, by=["who"], **ASKED | {"exclude": ["wrong", "day"]})
    roles = {role["column"]: role["role"] for role in kept.findings.provenance.roles}
    assert roles["who"] == "categorical"
    named = dataaudit.audit_labels(frame, by="who", features=["size"], **ASKED | {"exclude": []})
    assert [role["column"] for role in named.findings.provenance.roles] == ["size"]
    assert named.by["level"][0] == BAD


def test_the_others_loss_without_a_level_is_that_of_an_audit_without_it(frame):
    options = LabelOptions(**ASKED | {"l2": 0.01})
    dataset, target = read_labelled(frame, options)
    trained = train(encode_training(dataset, target, options), options)
    rows = np.flatnonzero((frame["who"] == BAD).to_numpy())
    predicted, measured = others_loss(trained, rows)
    labels = dataaudit.audit_labels(frame, **ASKED | {"l2": 0.01}).labels
    others = frame.with_row_index().filter(pl.col("who") != BAD)["index"]
    now = labels.filter(pl.col("row").is_in(others.implode()))["loo_loss"].mean()
    rest = frame.filter(pl.col("who") != BAD)
    again = dataaudit.audit_labels(rest, **ASKED | {"l2": 0.01 * N / rest.height}).labels["loo_loss"].mean()
    # The audit without the level scales its columns anew, which the ridge feels a little.
    assert measured == pytest.approx(again - now, abs=0.003)
    assert measured < -0.01
    assert predicted == pytest.approx(measured, rel=0.3)


def test_several_levels_are_left_out_at_once(frame):
    random = np.random.default_rng(1)
    pairs = frame.with_columns(
        who=pl.when(pl.col("who") == BAD).then(pl.Series(random.choice(["eve", "eva"], N))).otherwise("who")
    )
    audit = dataaudit.audit_labels(pairs, by=["who"], **ASKED)
    together = audit.by.filter("together")
    assert set(together["level"]) == {"eve", "eva"}
    assert audit.findings.without["n"].to_list() == [together["n"].sum()]
    said = " ".join(map(plain, report(audit.findings).sentences))
    assert "labels look wrong" in said
    assert (
        f"Without {together['level'][0]} and {together['level'][1]} the left-out loss of the other rows"
        in said
    )


def test_nothing_is_left_out_where_a_class_would_go(frame):
    options = LabelOptions(**ASKED)
    dataset, target = read_labelled(frame, options)
    trained = train(encode_training(dataset, target, options), options)
    assert others_loss(trained, np.flatnonzero(target.y == 1)) == (None, None)


def test_verdict_page_and_redaction(audit, tmp_path):
    said = " ".join(map(plain, report(audit.findings).sentences))
    assert "By who, eve: " in said
    assert "times the average." in said
    assert "Without eve the left-out loss of the other rows falls by" in said
    page = audit.write(tmp_path / "found").joinpath("report.html").read_text(encoding="utf-8")
    assert "Who mislabels" in page
    assert "Wrong labels by who" in page
    again = Findings.read(tmp_path / "found")
    assert again.by.equals(audit.by)
    for level in ("cells", "all"):
        hidden = redact(audit.findings, level)
        assert BAD not in hidden.by["level"].to_list()
        assert hidden.by["expected_wrong"].equals(audit.by["expected_wrong"])
        assert f" {BAD}" not in " ".join(map(plain, report(hidden).sentences))
    assert "who" not in redact(audit.findings, "all").by["column"].to_list()


def test_decisions_renew_the_table(audit, frame):
    rows = audit.sample(60)
    wrong = frame["wrong"][rows["row"].to_list()]
    other = frame["y"][rows["row"].to_list()].replace({"yes": "no", "no": "yes"})
    decisions = rows.select("row_id").with_columns(
        action=pl.Series(["relabel" if one else "keep" for one in wrong]),
        label=pl.Series([name if one else None for name, one in zip(other, wrong, strict=True)]),
    )
    learned = audit.learn(decisions)
    assert learned.by["expected_wrong"].sum() == pytest.approx(2 * learned.expected, rel=1e-6)
    assert learned.by["level"][0] == BAD
    assert learned.by["others_measured"][0] == audit.by["others_measured"][0]
    assert learned.by.schema == audit.by.schema


def test_without_by_the_tables_are_empty(frame):
    found = dataaudit.audit_labels(frame, **ASKED).findings
    assert found.by.is_empty()
    assert found.levels.is_empty()
    assert found.without.is_empty()


@pytest.mark.parametrize(
    ("by", "said", "hint"),
    [
        (["whoo"], "column 'whoo' is not in", "did you mean 'who'?"),
        (["y"], "column 'y' is the label", "such as an annotator"),
        (["key"], "column 'key' nearly names the rows: 400 values in 400 rows", "such as an annotator"),
        (["one"], "column 'one' has one value in all rows", "such as an annotator"),
    ],
)
def test_columns_that_nothing_can_be_counted_by(frame, by, said, hint):
    table = frame.with_columns(key=pl.int_range(N).cast(pl.String) + " k", one=pl.lit("x"))
    with pytest.raises(AuditError) as refused:
        dataaudit.audit_labels(table, by=by, **ASKED | {"exclude": ["wrong", "key"]})
    assert said in refused.value.what
    assert hint in refused.value.hint
    if by == ["whoo"]:
        assert isinstance(refused.value, MissingColumn)
    with pytest.raises(AuditError, match="names the rows"):
        dataaudit.audit_labels(table, by=["key"], id="key", **ASKED)
