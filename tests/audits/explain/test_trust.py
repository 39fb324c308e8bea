"""How usual the rows behind a prediction are, next to ranks and distances made one by one."""

import io
import json

import numpy as np
import polars as pl
import pytest
from rich.console import Console

import dataaudit
from dataaudit.errors import SettingError
from dataaudit.findings import sentences
from dataaudit.findings.redact import redact
from dataaudit.report import explain as report_of
from dataaudit.writers import console, get, html

CENTRES = np.array([[0.0, 4.0, 0.0], [4.0, 0.0, 0.0], [-4.0, -4.0, 0.0]])


def table(n, seed):
    random = np.random.default_rng(seed)
    kind = np.arange(n) % 3
    X = CENTRES[kind] + random.normal(size=(n, 3))
    return pl.DataFrame(dict(zip("abc", X.T, strict=True)) | {"y": [str(k) for k in kind]})


def explained(tests, row=0, **asked):
    return dataaudit.explain(table(150, 0), tests, label="y", row=row, l2=1e-2, trust=True, **asked)


def test_the_measures_are_those_made_one_by_one():
    train, tests = table(150, 0), table(40, 1)
    why = explained(tests, 3, top=5)
    found = {one["measure"]: one for one in why.tables.trust.iter_rows(named=True)}
    X, t = (frame.select("a", "b", "c").to_numpy() for frame in (train, tests[3]))
    X, t = (X - X.mean(0)) / X.std(0), (t - X.mean(0)) / X.std(0)
    distances = np.linalg.norm(X - t, axis=1)
    place = np.argsort(np.argsort(distances)) + 1
    # The row is predicted as its label, so its influences are those of the explanation.
    order = why.tables.influences
    assert why.tables.provenance.predicted_label == tests["y"][3]
    for kind in ("helpful", "harmful"):
        some = order.filter(kind=kind).sort(pl.col("influence").abs(), descending=True).head(5)
        mean = np.exp(np.log(place[some["train_row"].to_numpy()]).mean())
        assert found[kind]["value"] == pytest.approx(mean)
    assert found["nearest"]["value"] == pytest.approx(np.sort(distances)[:5].mean())
    assert {one["n_others"] for one in found.values()} == {39}
    for one in found.values():
        assert one["p_value"] == (one["n_as_far"] + 1) / 40


@pytest.mark.parametrize("model", ["logistic", "svm"])
def test_a_foreign_row_is_unusual_and_a_usual_one_is_not(model):
    tests = pl.concat([table(120, 1), pl.DataFrame({"a": [30.0], "b": [30.0], "c": [-40.0], "y": ["0"]})])
    kept = pl.col("y") != "2"
    train, tests = (frame.filter(kept) if model == "svm" else frame for frame in (table(150, 0), tests))
    asked = {"label": "y", "l2": 1e-2, "trust": True, "model": model}
    foreign, usual = (dataaudit.explain(train, tests, row=row, **asked) for row in (len(tests) - 1, 4))
    assert foreign.tables.provenance.trust["unusual"]
    assert "Look before you trust it: the prediction" in foreign.tables.provenance.trust["sentence"]
    assert not usual.tables.provenance.trust["unusual"]
    assert "rests on its neighbours as is usual" in usual.tables.provenance.trust["sentence"]


def test_few_rows_cannot_call_one_unusual_and_none_are_refused():
    foreign = pl.DataFrame({"a": [30.0], "b": [30.0], "c": [-40.0], "y": ["0"]})
    few = explained(pl.concat([table(30, 1), foreign]), 30)
    assert not few.tables.provenance.trust["unusual"]
    assert f"{sentences.ENOUGH} would be enough" in few.tables.provenance.trust["sentence"]
    with pytest.raises(SettingError, match="compares the row with other test rows: there are none"):
        explained(table(1, 1))


def test_it_is_on_every_output():
    found = explained(table(70, 1))
    said = found.tables.provenance.trust["sentence"]
    report = report_of.report(found.tables)
    assert said in report.sentences
    assert "as far or farther" in html.page(report)
    out = io.StringIO()
    console.show(report, Console(file=out, width=80))
    assert "as far or farther" in out.getvalue()
    out = io.StringIO()
    get("json", "explanation").write(found.tables, report, out)
    read = json.loads(out.getvalue())
    assert [one["measure"] for one in read["trust"]] == ["helpful", "harmful", "nearest"]
    hidden = redact(found.tables)
    assert hidden.trust.equals(found.tables.trust)
    assert hidden.provenance.trust["sentence"] == said
    assert not dataaudit.explain(
        table(150, 0), table(9, 1), label="y", row=0, l2=0.01
    ).tables.provenance.trust
