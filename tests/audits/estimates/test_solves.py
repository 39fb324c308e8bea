"""Audits where no factor fits: the list, the values that are shown and the marks, against the exact ones."""

import json
import re

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import average_precision_score

import dataaudit
from dataaudit.audits.estimates import solves
from dataaudit.audits.estimates.solves import Shown, agreement, candidates, intervals, standard_errors
from dataaudit.memory import limited
from dataaudit.model import costs
from dataaudit.statistics import Z95

SOLVED = ("self_influence", "loo_loss", "delta_loss_if_removed", "delta_loss_if_relabelled")
VALUES = ("self_influence", "leverage", "loo_loss", "delta_loss_if_removed", "delta_loss_if_relabelled")


def texts(n=900, seed=0, copies=0, words=2000, tail=0.8):
    """Two topics in words of which most are rare; a tenth of the labels flipped, the last rows copied."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    terms = (rng.pareto(tail, (n, 14)) * 3).astype(int) if tail else rng.integers(0, words, (n, 14))
    terms = np.minimum(terms, words - 1)
    topic = rng.random((n, 14)) < 0.3
    body = [
        " ".join(
            f"{'ab'[label] if own else 'w'}{word % 40 if own else word}"
            for own, word in zip(*row, strict=True)
        )
        for label, *row in zip(y, topic, terms, strict=True)
    ]
    flip = rng.random(n) < 0.1
    label = np.where(flip, 1 - y, y)
    for i in range(copies):
        body[n - 1 - i] = body[i // 2]
    return pl.DataFrame({"text": body, "label": np.array(["no", "yes"])[label]}), flip


@pytest.fixture
def projected(monkeypatch):
    """As if a factor were always too much work."""
    monkeypatch.setattr(costs, "WORK", 0.0)


def audit(frame, **options):
    return dataaudit.audit_labels(frame, label="label", text="text", l2=1e-3, **{"verify": 4, **options})


def compared(frame, monkeypatch, **options):
    """Return the exact and the estimated findings."""
    exact = audit(frame, **options).findings
    monkeypatch.setattr(costs, "WORK", 0.0)
    found = audit(frame, **options).findings
    assert found.provenance.solver == "conjugate gradients"
    return exact, found


@pytest.mark.parametrize("rank", ["auto", "leave-one-out", "self-influence"])
def test_the_first_rows_are_those_of_exact_forms_and_so_are_their_values(monkeypatch, rank):
    frame, flip = texts()
    exact, found = compared(frame, monkeypatch, top=30, rank=rank)
    first, same = exact.labels.head(30), found.labels.head(30)
    # Probabilities rest on all rows: where two are nearly equal they may change places.
    assert len(set(first["row"]) & set(same["row"])) >= 29
    both = exact.labels.join(found.labels.filter(~pl.col("estimated")), on="row", suffix="_found")
    assert both.height >= 500
    for name in VALUES:
        np.testing.assert_allclose(both[f"{name}_found"], both[name], rtol=1e-6, atol=1e-9)
    precision = [
        average_precision_score(flip[one.labels["row"].to_numpy()], -one.labels["rank"].to_numpy())
        for one in (exact, found)
    ]
    assert precision[1] == pytest.approx(precision[0], abs=0.002)


def test_what_is_estimated_is_marked_and_said(projected):
    frame, _ = texts()
    found = audit(frame, top=30).findings
    marked = found.labels["estimated"]
    assert marked.dtype == pl.Boolean
    assert not marked.head(500).any()
    assert 0 < marked.sum() <= 400
    check = found.health.row(by_predicate=pl.col("check") == "estimates", named=True)
    assert check["ok"]
    assert "64 random projections" in check["message"]
    note = next(
        note for note in found.provenance.notes[: found.provenance.leading] if "standard error" in note
    )
    assert f"{marked.sum():,} of 900 rows" in note
    assert found.health["ok"].all()


def test_exact_findings_have_no_mark():
    frame, _ = texts(200)
    found = audit(frame).findings
    assert "estimated" not in found.labels.columns
    assert not any("standard error" in note for note in found.provenance.notes)
    assert "estimates" not in found.health["check"].to_list()


def test_copies_leave_together_by_exact_forms_of_theirs(monkeypatch):
    frame, _ = texts(copies=300)
    exact, found = compared(frame, monkeypatch, top=30)
    assert found.labels["group_rows"].max() > 1
    both = exact.labels.join(found.labels.filter(~pl.col("estimated")), on="row", suffix="_found")
    assert both.filter(pl.col("group_rows") > 1).height > 20
    np.testing.assert_allclose(both["loo_loss_found"], both["loo_loss"], rtol=1e-6, atol=1e-9)


def test_groups_of_rows_are_exact_at_the_top_and_marked_elsewhere(monkeypatch):
    frame, _ = texts()
    frame = frame.with_columns(who=pl.Series([f"p{i // 3}" for i in range(frame.height)]))
    exact, found = compared(frame, monkeypatch, top=30, group="who")
    both = exact.labels.join(found.labels.filter(~pl.col("estimated")), on="row", suffix="_found")
    assert both.height > 30
    np.testing.assert_allclose(both["loo_loss_found"], both["loo_loss"], rtol=1e-6, atol=1e-9)
    assert found.labels["estimated"].any()


def test_a_support_vector_machine_is_estimated_too(monkeypatch):
    frame, _ = texts(600)
    exact, found = compared(frame, monkeypatch, model="svm", top=20)
    assert len(set(exact.labels["row"].head(20)) & set(found.labels["row"].head(20))) >= 19


def test_damping_and_weights_are_heeded(monkeypatch):
    frame, _ = texts(600)
    frame = frame.with_columns(w=pl.Series(np.linspace(0.5, 2.0, frame.height)))
    exact, found = compared(frame, monkeypatch, top=20, damping=1e-3, weight="w")
    both = exact.labels.join(found.labels.filter(~pl.col("estimated")), on="row", suffix="_found")
    for name in VALUES:
        np.testing.assert_allclose(both[f"{name}_found"], both[name], rtol=1e-6, atol=1e-9)


def test_little_memory_leads_there_by_itself(tmp_path):
    frame, _ = texts(2500, words=9000, tail=0.0)
    with limited(165 * 2**20):
        found = audit(frame, top=20, verify=0)
    assert found.findings.provenance.solver == "conjugate gradients"
    assert "a factor would take" in found.findings.provenance.solver_reason
    found.findings.write(tmp_path / "f")
    assert json.loads((tmp_path / "f" / "provenance.json").read_text())["solver"] == "conjugate gradients"


def test_every_interval_is_as_wide_as_the_error():
    h = np.array([0.0, 1e-6, 0.2, 0.5, 0.9, 1.0, 1.2])
    errors = standard_errors(h, 64)
    assert errors[0] == pytest.approx(2**-2.5)
    assert np.all(np.diff(errors) <= 0)
    assert errors[-1] == errors[-2] == 0.0
    exact = np.full(4, 0.2)
    half, estimated = intervals(exact, 64), np.array([1.0, 1.1, 0.2, 0.5]) * exact
    _, within, limit, ok, message = agreement("It", estimated, exact, half=half, probes=64)
    assert (within, ok) == (0.5, False)
    assert within < limit
    assert "50% are within the 95% interval" in message
    assert intervals(h, 64)[0] == pytest.approx(errors[0] * 2.034, rel=1e-3)
    assert intervals(h, 10**9)[0] == pytest.approx(Z95 * standard_errors(h, 10**9)[0])


def test_rows_that_might_belong_to_the_first_are_asked_for(projected, monkeypatch):
    monkeypatch.setattr(solves.Solver, "sampled", 20)
    asked = []

    def watched(*arguments, **options):
        asked.append(candidates(*arguments, **options))
        return asked[-1]

    monkeypatch.setattr(solves, "candidates", watched)
    monkeypatch.setattr("dataaudit.audits.labels.READ", 40)
    frame, _ = texts(700)
    found = audit(frame, top=40, verify=0).findings
    assert len(asked[0]) > 0
    assert len(asked[-1]) == 0
    assert not found.labels["estimated"].head(40).any()
    assert Shown(1, 2) == Shown(first=1, exact=2)


def test_decisions_are_learned_from_and_the_marks_stay(projected, tmp_path):
    frame, _ = texts(600)
    made = audit(frame, top=20, verify=0)
    first = made.findings.labels.head(30)
    decided = first.select("row_id", label="suggested_label").with_columns(action=pl.lit("relabel"))
    learned = made.learn(decided)
    both = made.findings.labels.join(learned.findings.labels, on="row_id", suffix="_learned")
    assert both["estimated"].equals(both["estimated_learned"])
    learned.findings.write(tmp_path / "learned")
    assert pl.read_parquet(tmp_path / "learned" / "labels.parquet")["estimated"].sum() > 0


def topics(n=240, seed=0):
    """Four topics in words of which most are rare; a tenth of the labels changed, some rows twice."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 4, n)
    words = np.minimum((rng.pareto(0.8, (n, 12)) * 3).astype(int), 400)
    own = rng.random((n, 12)) < 0.3
    body = [
        " ".join(f"t{label}x{word % 20}" if mine else f"w{word}" for mine, word in zip(*row, strict=True))
        for label, *row in zip(y, own, words, strict=True)
    ]
    body[-8:] = body[:8]
    label = np.where(rng.random(n) < 0.1, (y + 1) % 4, y)
    label[-8:] = label[:8]
    return pl.DataFrame({"text": body, "label": [f"c{a}" for a in label]})


def test_rows_that_are_shown_are_exact(monkeypatch):
    def audit():
        return dataaudit.audit_labels(
            topics(), label="label", text="text", l2=1e-3, top=20, verify=2
        ).findings

    exact = audit()
    monkeypatch.setattr(costs, "CLASSES_WORK", 0.0)
    found = audit()
    assert exact.provenance.solver.startswith(("dual", "cholesky"))
    assert found.provenance.solver == "conjugate gradients"
    assert len(set(exact.labels["row"].head(20)) & set(found.labels["row"].head(20))) >= 18
    shown = found.labels.head(20)
    assert not shown["estimated"].any()
    assert found.labels["estimated"].any()
    both = exact.labels.join(shown, on="row", suffix="_found")
    for name in SOLVED:
        # Rows of high leverage are refined by a few steps, from where their estimated forms lead.
        near = 1e-5 if name == "self_influence" else 0.01
        np.testing.assert_allclose(both[f"{name}_found"], both[name], rtol=near, atol=1e-3)
    check = found.health.filter(pl.col("check") == "estimates").row(0, named=True)
    assert check["ok"]
    assert "random projections" in check["message"]
    measured = (one.verification["measured"].sort().to_numpy() for one in (found, exact))
    np.testing.assert_allclose(*measured, atol=1e-6)


def test_where_solves_are_much_work_the_first_rows_are_exact_all_the_same(monkeypatch):
    monkeypatch.setattr(costs, "CLASSES_WORK", 0.0)
    marked = []
    for work in (solves.WORK, 0.0):
        monkeypatch.setattr(solves, "WORK", work)
        found = dataaudit.audit_labels(
            topics(), label="label", text="text", l2=1e-3, top=10, verify=0
        ).findings
        assert not found.labels.head(10)["estimated"].any()
        marked.append(found.labels["estimated"].sum())
    assert marked[1] > marked[0]


def test_where_solves_are_much_work_some_rows_are_exact_and_the_others_are_marked(monkeypatch):
    monkeypatch.setattr(costs, "CLASSES_WORK", 0.0)
    found = []
    for work, least in ((solves.WORK, 20), (0.0, 4)):
        monkeypatch.setattr(solves, "WORK", work)
        monkeypatch.setattr(solves, "LEAST", least)
        one = dataaudit.audit_labels(topics(), label="label", text="text", l2=1e-3, top=20, verify=0).findings
        found.append(one.labels)
    every, some = found
    assert re.search(r"rows \(1\d of them among the first 20\), marked", " ".join(one.provenance.notes))
    assert some["estimated"].head(4).to_list() == [False] * 4
    assert some["estimated"].head(20).sum() > 10
    both = every.join(some.filter(~pl.col("estimated")), on="row", suffix="_found")
    both = both.filter(~pl.col("estimated"))
    assert len(both) >= 4
    for name in SOLVED:
        np.testing.assert_allclose(both[f"{name}_found"], both[name], rtol=1e-5, atol=1e-5)
