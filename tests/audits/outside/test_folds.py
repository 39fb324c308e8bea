"""Out-of-fold probabilities: by another hand, for everything that scikit-learn calls a classifier."""

import numpy as np
import polars as pl
import pytest
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold, cross_val_predict
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

from dataaudit.audits.outside.folds import groups_of, out_of_fold
from dataaudit.errors import FitError, SettingError
from dataaudit.options import LabelOptions
from dataaudit.training.encoded import read_labelled

X, Y = load_wine(return_X_y=True)
WINE = pl.DataFrame(X, schema=[f"x{j}" for j in range(13)]).with_columns(y=pl.Series(Y))
SCALED = make_pipeline(StandardScaler(), LogisticRegression())


def made(frame, estimator, **options):
    settings = LabelOptions(label="y", estimator=estimator, **options)
    dataset, target = read_labelled(frame, settings)
    return out_of_fold(dataset, target, settings)[0]


def test_as_scikit_learn_has_it():
    split = StratifiedGroupKFold(5, shuffle=True, random_state=3).split(X, Y, np.arange(len(Y)))
    wanted = cross_val_predict(SCALED, X, Y, cv=list(split), method="predict_proba")
    np.testing.assert_allclose(made(WINE, SCALED, seed=3), wanted, atol=1e-9)


@pytest.mark.parametrize(
    "model",
    [
        RandomForestClassifier(5, random_state=0),
        SCALED,
        GridSearchCV(SCALED, {"logisticregression__C": [0.1, 1.0]}, cv=2),
    ],
    ids=["plain", "pipeline", "search"],
)
def test_weights_go_to_the_last_step(model):
    light = WINE.with_columns(w=pl.when(pl.col("y") == 0).then(1e-9).otherwise(1.0))
    assert made(light, model, weight="w", folds=2)[:, 0].max() < 0.1 < made(WINE, model, folds=2)[:, 0].max()


def test_names_of_columns_and_labels_that_are_texts():
    frame = WINE.head(130).with_columns(y=pl.Series(["no", "yes"]).gather(Y[:130]), c=pl.lit("u"))
    model = make_pipeline(
        make_column_transformer((OneHotEncoder(), ["c"]), (StandardScaler(), ["x0", "x12"])),
        LogisticRegression(),
    )
    found = made(frame, model, folds=3)
    assert (found.argmax(1) == Y[:130]).mean() > 0.9  # columns are in the order no, yes


def test_a_vectoriser_takes_the_one_column_of_texts():
    frame = pl.DataFrame(
        {"t": ["good fine", "bad poor", "fine", "poor", None, "bad"] * 4, "y": list("abab") * 6}
    )
    model = make_pipeline(TfidfVectorizer(), LogisticRegression())
    assert made(frame, model, folds=2, text="t").shape == (24, 2)
    with pytest.raises(SettingError, match=r"TfidfVectorizer takes one column of text: got t, u"):
        made(frame.with_columns(u=pl.lit("x")), model)


def test_copies_and_groups_are_in_one_part():
    frame = pl.DataFrame(
        {"x": [1, 1, 2, 3, 4, 5], "g": ["a", "b", "b", "c", None, None], "y": list("ababab")}
    )
    settings = LabelOptions(label="y", estimator=GaussianNB(), group="g")
    dataset, _ = read_labelled(frame, settings)
    numbers = groups_of(dataset, settings)
    assert numbers[0] == numbers[1] == numbers[2]  # a copy, then a group
    assert len(set(numbers.tolist()) - {numbers[0]}) == 2  # c, and rows without a group
    # A forest knows rows by heart: it would say the label of a copy that is in another part.
    twice = pl.concat([WINE, WINE.with_columns(y=(pl.col("y") + 1) % 3)])
    found = made(twice, RandomForestClassifier(20, max_features=None, random_state=0), folds=3)
    np.testing.assert_allclose(found[:178], found[178:])  # both were left out, so that they are told alike


def test_a_class_that_a_part_lacks_gets_nothing():
    frame = WINE.head(120).with_columns(y=pl.Series(np.r_[Y[:119], 7]))
    found = made(frame, GaussianNB(), folds=3)
    assert found[119, 2] == 0
    np.testing.assert_allclose(found.sum(1), 1)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (LinearSVC(), "LinearSVC has no predict_proba. Hint: wrap it"),
        (GaussianNB, "estimator is no classifier of scikit-learn"),
        (7, "estimator is no classifier of scikit-learn: got 7"),
    ],
)
def test_what_has_no_probabilities_is_refused(model, message):
    with pytest.raises(SettingError, match=message):
        made(WINE, model)


def test_what_cannot_be_fitted_is_said_in_a_line():
    with pytest.raises(FitError, match=r"GaussianNB cannot be fitted on these rows: unsupported operand"):
        made(WINE.with_columns(c=pl.lit("u")), GaussianNB())
    with pytest.raises(SettingError, match="no columns to fit the estimator on"):
        made(WINE.select("y"), GaussianNB())
    with pytest.raises(SettingError, match="folds is 100, the largest class has 71 rows"):
        made(WINE, GaussianNB(), folds=100)
