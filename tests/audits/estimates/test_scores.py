"""Audits of several classes where no factor fits: what is shown, against the exact values."""

import re

import numpy as np
import polars as pl

import dataaudit
from dataaudit.audits.estimates import scores
from dataaudit.model import costs

VALUES = ("self_influence", "loo_loss", "delta_loss_if_removed", "delta_loss_if_relabelled")


def texts(n=240, seed=0):
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
        return dataaudit.audit_labels(texts(), label="label", text="text", l2=1e-3, top=20, verify=2).findings

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
    for name in VALUES:
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
    for work in (scores.WORK, 0.0):
        monkeypatch.setattr(scores, "WORK", work)
        found = dataaudit.audit_labels(
            texts(), label="label", text="text", l2=1e-3, top=10, verify=0
        ).findings
        assert not found.labels.head(10)["estimated"].any()
        marked.append(found.labels["estimated"].sum())
    assert marked[1] > marked[0]


def test_where_solves_are_much_work_some_rows_are_exact_and_the_others_are_marked(monkeypatch):
    monkeypatch.setattr(costs, "CLASSES_WORK", 0.0)
    found = []
    for work, least in ((scores.WORK, 20), (0.0, 4)):
        monkeypatch.setattr(scores, "WORK", work)
        monkeypatch.setattr(scores, "LEAST", least)
        one = dataaudit.audit_labels(texts(), label="label", text="text", l2=1e-3, top=20, verify=0).findings
        found.append(one.labels)
    every, some = found
    assert re.search(r"rows \(1\d of them among the first 20\), marked", " ".join(one.provenance.notes))
    assert some["estimated"].head(4).to_list() == [False] * 4
    assert some["estimated"].head(20).sum() > 10
    both = every.join(some.filter(~pl.col("estimated")), on="row", suffix="_found")
    both = both.filter(~pl.col("estimated"))
    assert len(both) >= 4
    for name in VALUES:
        np.testing.assert_allclose(both[f"{name}_found"], both[name], rtol=1e-5, atol=1e-5)
