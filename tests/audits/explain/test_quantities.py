"""Explanations of a predicted number: what its row's cells add, and the training rows behind it."""

import numpy as np
import polars as pl
import pytest

import dataaudit
from dataaudit.errors import DataError, SettingError
from dataaudit.report import shown


@pytest.fixture(scope="module", params=["regression", "count"])
def case(request):
    random = np.random.default_rng(1)
    x, z = random.normal(size=200), random.normal(size=200)
    mean = 1.0 + 0.6 * x - 0.3 * z
    y = (
        random.poisson(np.exp(mean)).astype(float)
        if request.param == "count"
        else 5 * mean + random.normal(size=200)
    )
    frame = pl.DataFrame({"x": x, "z": z, "y": np.round(y, 2)})
    return request.param, frame[:180], frame[180:]


def test_removals_are_those_of_refits(case):
    """Of two training rows, by training again on the others with the same features and λ."""
    task, train, test = case
    why = dataaudit.explain(train, test, label="y", task=task, row=3, l2=0.01)
    p = why.tables.provenance
    assert p.label == f"{test['y'][3]:.12g}"
    assert why.tables.probabilities.is_empty()
    for row in why.influences.head(2).iter_rows(named=True):
        rest = train.with_row_index().filter(pl.col("index") != row["train_row"]).drop("index")
        kept = rest.with_columns(w=pl.lit(1.0))
        again = dataaudit.explain(kept.drop("w"), test, label="y", task=task, row=3, l2=0.01)
        other = again.tables.provenance
        assert np.sign(other.loss - p.loss) == np.sign(row["delta_loss_if_removed"])


def test_cells_add_up_to_the_prediction_and_are_in_the_unit_of_the_label(case):
    task, train, test = case
    why = dataaudit.explain(train, test, label="y", task=task, row=0)
    x, z = (why.contributions.filter(column=name)["contribution"][0] for name in ("x", "z"))
    factor = 1.0 if task == "count" else 5.0
    assert x == pytest.approx(0.6 * factor * test["x"][0], abs=0.35 * factor)
    assert z == pytest.approx(-0.3 * factor * test["z"][0], abs=0.35 * factor)
    assert (
        "prediction" in why.contributions["effect"][0] or "predicted count" in why.contributions["effect"][0]
    )
    assert shown(why.tables)[1].headline == f"Test row 0 is predicted {why.tables.provenance.predicted_label}"


def test_a_row_without_a_number_and_what_is_of_classes_are_refused(case):
    task, train, test = case
    with pytest.raises(DataError, match="the test row has no 'y', and a number is explained"):
        dataaudit.explain(train, test.drop("y"), label="y", task=task, row=0)
    for asked in ({"flip": "prediction"}, {"versus": "svm"}, {"without": "x > 0"}, {"model": "svm"}):
        with pytest.raises(
            SettingError, match=rf"{next(iter(asked))} is for classes, and the task is {task}"
        ):
            dataaudit.explain(train, test, label="y", task=task, row=0, **asked)
