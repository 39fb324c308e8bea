"""Mismatches of labels that are numbers: a slice whose training labels are off, and the proofs."""

import numpy as np
import polars as pl
import pytest

import dataaudit
from dataaudit.api.verify import verify
from dataaudit.errors import BadTarget, DataError
from dataaudit.report import shown

N, SPLIT = 600, 400


def rows(task, *, off=True):
    """Labels by two numbers and a site; those of one site's training rows are too low."""
    random = np.random.default_rng(0)
    x, z, site = random.normal(size=N), random.normal(size=N), random.choice(list("abcdef"), N)
    bad = (site == "c") & (np.arange(N) < SPLIT) & off
    if task == "count":
        y = random.poisson(np.exp(1.5 + 0.5 * x + 0.3 * z - 1.5 * bad)).astype(float)
    else:
        y = np.round(20 + 3 * x - 2 * z + random.normal(size=N) - 8 * bad, 2)
    frame = pl.DataFrame({"x": x, "z": z, "site": site, "y": y})
    return frame[:SPLIT], frame[SPLIT:]


@pytest.fixture(scope="module", params=["regression", "count"])
def audit(request):
    train, test = rows(request.param)
    return dataaudit.audit_mismatch(train, test, label="y", task=request.param)


def test_the_slice_is_the_first_finding_and_a_refit_proves_it(audit):
    first = audit.findings.row(0, named=True)
    assert (first["kind"], first["slice"], first["severity"]) == ("slice", "site = c", "high")
    assert first["errors_after"] < first["errors_before"]
    assert "labels of" in first["title"]
    refits = audit.tables.verification
    assert refits.height == 12
    assert (refits["predicted"] - refits["measured"]).abs().max() < 0.1 * refits["measured"].abs().max()
    assert audit.tables.health["ok"].all()


def test_rows_behind_bad_predictions_are_of_the_slice(audit):
    train = rows(audit.tables.provenance.task)[0]
    harmful = audit.tables.harmful.head(5)
    assert set(train["site"].gather(harmful["train_row"])) == {"c"}
    assert harmful["label"].to_list() == [
        f"{value:.12g}" if audit.tables.provenance.task == "count" else f"{value:.2f}"
        for value in train["y"].gather(harmful["train_row"])
    ]
    slices = audit.slices.filter(column="site", level="c").row(0, named=True)
    assert slices["rate_class"] is None
    assert slices["rate_train"] == pytest.approx(train.filter(site="c")["y"].mean())


def test_the_page_speaks_of_numbers(audit):
    report = shown(audit.tables)[1]
    assert "predicted unusually badly" in report.headline


def test_where_nothing_is_off_nothing_is_found():
    train, test = rows("regression", off=False)
    audit = dataaudit.audit_mismatch(train, test, label="y", task="regression", prove=0, verify=0)
    assert set(audit.findings["severity"]) <= {"note"}
    assert audit.tables.provenance.n_errors < 0.1 * (N - SPLIT)


def test_higher_labels_everywhere_are_one_cause():
    train, test = rows("regression", off=False)
    audit = dataaudit.audit_mismatch(
        train, test.with_columns(pl.col("y") + 5), label="y", task="regression", verify=0
    )
    first = audit.findings.row(0, named=True)
    assert (first["kind"], first["cause"]) == ("rates", "level")
    assert "by +5" in first["title"] or "by +4.9" in first["title"]


def test_test_rows_without_numbers_are_not_judged_and_words_are_refused():
    train, test = rows("regression")
    gaps = test.with_columns(y=pl.when(pl.int_range(pl.len()) < 50).then(None).otherwise("y"))
    audit = dataaudit.audit_mismatch(train, gaps, label="y", task="regression", prove=0, verify=0)
    assert audit.tables.provenance.n_test == N - SPLIT - 50
    with pytest.raises(BadTarget, match="holds no numbers"):
        dataaudit.audit_mismatch(train, test.with_columns(y=pl.lit("a")), label="y", task="regression")
    with pytest.raises(DataError, match=r"no counts: .* got"):
        dataaudit.audit_mismatch(
            rows("count")[0], test.with_columns(y=pl.lit(1.5)), label="y", task="count", verify=0
        )


def test_inputs_alone_are_compared_where_no_test_row_has_a_label():
    train, test = rows("regression")
    audit = dataaudit.audit_mismatch(train, test.drop("y"), label="y", task="regression")
    assert audit.findings.is_empty()
    assert audit.expected.is_empty()
    assert not audit.shift.is_empty()


def test_verify_makes_the_same_predictions_again(tmp_path):
    train, test = rows("regression")
    names = [tmp_path / f"{name}.csv" for name in ("train", "test")]
    for frame, name in zip((train, test), names, strict=True):
        frame.write_csv(name)
    audit = dataaudit.audit_mismatch(*names, label="y", task="regression", prove=1, verify=2)
    done = verify(audit.write(tmp_path / "found"), top=3)
    assert done.reproduced
    assert abs(done.agreement.slope - 1) < 0.01
