"""A user's fitted scikit-learn model: its coefficients as they are, and refusals in words."""

import warnings

import numpy as np
import polars as pl
import pytest
from scipy.sparse import issparse
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

import dataaudit
from dataaudit.errors import FitError, MissingColumn, NotConverged, NotPositiveDefinite, SettingError
from dataaudit.features.target import encode_target
from dataaudit.training.adopt import adopt

COLUMNS = ["radius", "texture", "area", "smoothness"]
AS_IS = "The model is the one given: its coefficients were not changed."


def logistic(**settings):
    """A logistic regression fitted as tightly as float64 allows."""
    return LogisticRegression(**({"tol": 1e-12, "max_iter": 500, "solver": "newton-cholesky"} | settings))


@pytest.fixture(scope="module")
def cancer():
    """200 real rows, 4 numbers of like size, a category, 2 classes; 12 labels are wrong."""
    bunch = load_breast_cancer()
    X = bunch.data[:200, [0, 1, 3, 4]] / [10, 10, 1000, 0.1]
    y = bunch.target[:200].copy()
    y[:12] = 1 - y[:12]
    frame = pl.DataFrame(X, schema=COLUMNS)
    return frame.with_columns(ward=pl.Series(["n", "s", "e", "w", "n"] * 40), y=pl.Series(y))


@pytest.fixture(scope="module")
def wine():
    """178 real rows, 13 numbers, 3 classes."""
    bunch = load_wine()
    names = [name.replace("/", "_") for name in bunch.feature_names]
    frame = pl.DataFrame(bunch.data, schema=names)
    return frame.with_columns(y=pl.Series([str(bunch.target_names[label]) for label in bunch.target]))


@pytest.fixture(scope="module")
def reviews():
    """80 texts, 2 classes."""
    words = {"p": "lovely great warm funny bright", "n": "dull awful flat noisy grim"}
    random, rows = np.random.default_rng(0), []
    for label in "pn" * 40:
        own, other = words[label].split(), words["n" if label == "p" else "p"].split()
        rows.append((" ".join([*random.choice(own, 3), *random.choice(other, 1), "film"]), label))
    return pl.DataFrame(rows, schema=["text", "y"], orient="row")


def audit(model, frame, **settings):
    return dataaudit.audit_labels(frame, label="y", model=model, **({"verify": 2, "top": 3} | settings))


def dense_self_influence(X, y, model, weight=None):
    """Return gᵀ H⁻¹ g of every row from scikit-learn's coefficients, all K classes as they are.

    With K sets of coefficients H is singular where all intercepts shift alike, and there every gradient is
    nought; hence the pseudo-inverse. Two classes have one set.
    """
    X1 = np.column_stack([X.toarray() if issparse(X) else X, np.ones(len(y))])
    n, width = X1.shape
    weight = np.ones(n) if weight is None else weight
    table = np.column_stack([model.coef_, model.intercept_])
    k = len(table)
    scores = X1 @ table.T
    if k == 1:
        p = 1.0 / (1.0 + np.exp(-scores))
        own = (np.asarray(y) == model.classes_[1])[:, None].astype(float)
    else:
        p = np.exp(scores - scores.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        own = np.asarray(y)[:, None] == model.classes_[None]
    H = np.kron(np.eye(k), np.diag(np.append(np.ones(width - 1), 0.0))) / (n * model.C)
    gradients = []
    for i in range(n):
        W = np.diag(p[i]) - np.outer(p[i], p[i]) if k > 1 else np.array([[p[i, 0] * (1 - p[i, 0])]])
        H += weight[i] * np.kron(W, np.outer(X1[i], X1[i])) / n
        gradients.append(np.kron(p[i] - own[i], X1[i]))
    inverse = np.linalg.pinv(H, rcond=1e-13, hermitian=True)
    return np.array([g @ inverse @ g for g in gradients])


NUMBERS = {
    "pandas": lambda f: logistic().fit(f.select(COLUMNS).to_pandas(), f["y"].to_numpy()),
    "polars": lambda f: logistic().fit(f.select(COLUMNS), f["y"].to_numpy()),
    "numpy": lambda f: logistic().fit(f.select(COLUMNS).to_numpy(), f["y"].to_numpy()),
    "two columns, in another order": lambda f: logistic().fit(f.select("area", "radius"), f["y"].to_numpy()),
    "lbfgs": lambda f: logistic(solver="lbfgs", tol=1e-10, max_iter=50_000).fit(
        f.select(COLUMNS), f["y"].to_numpy()
    ),
    "weights by class": lambda f: logistic(class_weight={0: 0.3, 1: 2.5}).fit(
        f.select(COLUMNS), f["y"].to_numpy()
    ),
    "balanced": lambda f: logistic(class_weight="balanced").fit(f.select(COLUMNS), f["y"].to_numpy()),
    "strong ridge": lambda f: logistic(C=1e-3).fit(f.select(COLUMNS), f["y"].to_numpy()),
    "no ridge": lambda f: logistic(C=np.inf).fit(f.select(COLUMNS), f["y"].to_numpy()),
}


@pytest.mark.parametrize("given", ["polars", "pandas"])
@pytest.mark.parametrize("name", NUMBERS)
def test_a_model_of_numbers(cancer, name, given):
    model = NUMBERS[name](cancer)
    frame = cancer.drop("ward")
    before = model.coef_.copy(), model.intercept_.copy()
    result = audit(model, frame if given == "polars" else frame.to_pandas())
    assert (model.coef_ == before[0]).all()
    assert (model.intercept_ == before[1]).all()
    provenance, labels = result.findings.provenance, result.labels.sort("row")
    assert provenance.gradient_norm < 1e-8, "λ, weights and coefficients are those of its objective"
    assert provenance.notes == (AS_IS,)
    assert result.health.filter(pl.col("check") == "gradient norm")["ok"].item()
    used = getattr(model, "feature_names_in_", COLUMNS)
    p = model.predict_proba(frame.select(used).to_numpy() if name == "numpy" else frame.select(used))
    np.testing.assert_allclose(labels["p_label"], p[np.arange(200), frame["y"]], rtol=1e-9)
    slow = dense_self_influence(
        frame.select(used).to_numpy(), frame["y"].to_numpy(), model, weights_of(model, frame)
    )
    np.testing.assert_allclose(labels["self_influence"], slow, rtol=1e-7)
    assert set(result.findings.evidence["column"]) <= set(used)


def weights_of(model, frame):
    from sklearn.utils.class_weight import compute_sample_weight

    return compute_sample_weight(model.class_weight, frame["y"].to_numpy())


def test_no_penalty_in_the_older_spelling(cancer):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # scikit-learn 1.8 asks for C=inf instead
        model = logistic(penalty=None).fit(cancer.select(COLUMNS), cancer["y"].to_numpy())
    result = audit(model, cancer.drop("ward"))
    assert result.findings.provenance.l2 == 0.0
    assert result.findings.provenance.gradient_norm < 1e-8


@pytest.mark.parametrize(
    "weight",
    [None, "balanced", {"class_0": 3.0, "class_1": 0.5, "class_2": 1.0}],
    ids=["none", "balanced", "dict"],
)
def test_several_classes(wine, weight):
    X, y = wine.drop("y").to_numpy() / wine.drop("y").to_numpy().std(0), wine["y"].to_numpy()
    model = logistic(C=0.3, class_weight=weight).fit(X, y)
    frame = pl.DataFrame(X, schema=wine.columns[:-1]).with_columns(wine["y"])
    result = audit(model, frame)
    labels = result.labels.sort("row")
    assert result.findings.provenance.gradient_norm < 1e-8
    p = model.predict_proba(X)[np.arange(178), [list(model.classes_).index(label) for label in y]]
    np.testing.assert_allclose(labels["p_label"], p, rtol=1e-9)
    slow = dense_self_influence(X, y, model, weights_of(model, frame))
    np.testing.assert_allclose(labels["self_influence"], slow, rtol=1e-6, atol=1e-12)


def test_wrong_labels_come_first(cancer):
    model = make_pipeline(StandardScaler(), logistic(C=0.1)).fit(
        cancer.select(COLUMNS), cancer["y"].to_numpy()
    )
    first = audit(model, cancer).labels["row"].head(30).to_list()
    assert len(set(first) & set(range(12))) >= 9


PIPELINES = {
    "scaled, from pandas": lambda f: make_pipeline(StandardScaler(), logistic()).fit(
        f.select(COLUMNS).to_pandas(), f["y"].to_numpy()
    ),
    "scaled, from Polars": lambda f: make_pipeline(StandardScaler(), logistic()).fit(
        f.select(COLUMNS), f["y"].to_numpy()
    ),
    "columns, from pandas": lambda f: make_pipeline(
        make_column_transformer((OneHotEncoder(), ["ward"]), (StandardScaler(), COLUMNS)), logistic()
    ).fit(f.drop("y").to_pandas(), f["y"].to_numpy()),
    "columns, from Polars, sparse": lambda f: make_pipeline(
        make_column_transformer((OneHotEncoder(), ["ward"]), sparse_threshold=1.0), logistic()
    ).fit(f.drop("y"), f["y"].to_numpy()),
}


@pytest.mark.parametrize("given", ["polars", "pandas"])
@pytest.mark.parametrize("name", PIPELINES)
def test_pipelines(cancer, name, given):
    model = PIPELINES[name](cancer)
    frame = cancer if given == "polars" else cancer.to_pandas()
    result = audit(model, frame)
    labels, provenance = result.labels.sort("row"), result.findings.provenance
    assert provenance.gradient_norm < 1e-8
    first = model.feature_names_in_
    X = model[:-1].transform(frame[list(first)])
    y = cancer["y"].to_numpy()
    np.testing.assert_allclose(labels["self_influence"], dense_self_influence(X, y, model[-1]), rtol=1e-7)
    assert provenance.n_features == X.shape[1]
    assert set(result.findings.evidence["column"]) <= set(model[:-1].get_feature_names_out())


def test_a_pipeline_fitted_on_arrays_knows_the_frames_names_and_does_not_warn(cancer):
    model = make_pipeline(StandardScaler(), logistic()).fit(
        cancer.select(COLUMNS).to_numpy(), cancer["y"].to_numpy()
    )
    result = audit(model, cancer.drop("ward"))
    assert result.findings.provenance.gradient_norm < 1e-8
    assert set(result.findings.evidence["column"]) <= set(COLUMNS)


def test_steps_without_names(cancer):
    model = make_pipeline(FunctionTransformer(np.log1p), logistic()).fit(
        cancer.select(COLUMNS).to_numpy(), cancer["y"].to_numpy()
    )
    result = audit(model, cancer.drop("ward"))
    assert result.findings.provenance.gradient_norm < 1e-8
    assert set(result.findings.evidence["column"]) <= {"x0", "x1", "x2", "x3"}


@pytest.mark.parametrize("vectoriser", [TfidfVectorizer(min_df=2), CountVectorizer()])
@pytest.mark.parametrize("kind", ["list", "pandas"])
def test_texts(reviews, vectoriser, kind):
    texts = reviews["text"].to_list() if kind == "list" else reviews["text"].to_pandas()
    model = make_pipeline(vectoriser, logistic()).fit(texts, reviews["y"].to_numpy())
    result = audit(model, reviews)
    labels = result.labels.sort("row")
    assert result.findings.provenance.gradient_norm < 1e-8
    X = model[0].transform(reviews["text"].to_list())
    slow = dense_self_influence(X, reviews["y"].to_numpy(), model[-1])
    np.testing.assert_allclose(labels["self_influence"], slow, rtol=1e-7)
    assert set(result.findings.evidence["column"]) <= set(model[0].get_feature_names_out())
    assert set(result.findings.cells["column"]) == {"text"}


def test_texts_through_several_steps(reviews):
    model = make_pipeline(TfidfVectorizer(), TruncatedSVD(3, random_state=0), logistic())
    model.fit(reviews["text"].to_list(), reviews["y"].to_numpy())
    result = audit(model, reviews)
    assert result.findings.provenance.gradient_norm < 1e-8
    assert result.findings.provenance.n_features == 3


def test_a_text_column_among_others_is_named_with_features(reviews):
    model = make_pipeline(TfidfVectorizer(), logistic()).fit(
        reviews["text"].to_list(), reviews["y"].to_numpy()
    )
    more = reviews.with_columns(stars=pl.int_range(pl.len()))
    with pytest.raises(FitError, match=r"one column of text: got text, stars\. Hint: name the text column"):
        audit(model, more)
    assert audit(model, more, features=["text"]).findings.provenance.gradient_norm < 1e-8


CLASSES = {
    "strings": (np.array(["no", "yes"]), pl.String),
    "strings whose order is the other": (np.array(["b", "a"]), pl.String),
    "whole numbers": (np.array([9, 10]), pl.Int64),
    "negative numbers": (np.array([1, -1]), pl.Int64),
    "booleans": (np.array([False, True]), pl.Boolean),
    "whole numbers held as floats": (np.array([1.0, 2.0]), pl.Float64),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", CLASSES)
def test_classes_of_any_type(cancer, name, weighted):
    values, dtype = CLASSES[name]
    y = values[cancer["y"].to_numpy()]
    weight = {values[0].item(): 2.0, values[1].item(): 0.7} if weighted else None
    model = logistic(class_weight=weight).fit(cancer.select(COLUMNS), y)
    frame = cancer.drop("ward").with_columns(y=pl.Series(y, dtype=dtype))
    result = audit(model, frame, verify=0)
    assert result.findings.provenance.gradient_norm < 1e-8
    p = model.predict_proba(frame.select(COLUMNS))[np.arange(200), np.searchsorted(model.classes_, y)]
    np.testing.assert_allclose(result.labels.sort("row")["p_label"], p, rtol=1e-9)


def test_a_loose_fit_is_flagged(cancer):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's own warning of the same
        model = LogisticRegression(max_iter=9, solver="lbfgs").fit(
            cancer.select(COLUMNS), cancer["y"].to_numpy()
        )
    result = audit(model, cancer)
    note = result.findings.provenance.notes[-1]
    assert note.startswith("It is not at its minimum (gradient norm ")
    assert "biases influence" in note
    gradient = result.health.row(by_predicate=pl.col("check") == "gradient norm", named=True)
    assert not gradient["ok"]
    assert gradient["value"] > 1e-4


def test_row_weights_at_fit_time_show_as_a_gradient(cancer):
    """The model does not keep them; all that can be seen is that it is off the minimum of what is known."""
    weight = np.linspace(0.5, 2.0, 200)
    model = logistic().fit(cancer.select(COLUMNS), cancer["y"].to_numpy(), sample_weight=weight)
    with pytest.raises(
        NotConverged, match=r"gradient norm \d\.\de-\d\d, .*\. Hint: give the rows that it was fitted on"
    ):
        audit(model, cancer)
    named = cancer.drop("ward").with_columns(w=weight)
    assert audit(model, named, weight="w").findings.provenance.gradient_norm < 1e-8


def test_other_rows_than_those_of_the_fit_show_as_a_gradient(cancer):
    model = logistic().fit(cancer.select(COLUMNS), cancer["y"].to_numpy())
    with pytest.raises(NotConverged, match="not at its minimum"):
        audit(model, cancer.head(150))
    result = audit(model, cancer.head(150), refit=True)
    assert result.findings.provenance.gradient_norm < 1e-8
    assert "fitted further, to its minimum: gradient norm" in result.findings.provenance.notes[-1]


def fitted(cancer, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = LogisticRegression(**settings)
        return model.fit(cancer.select(COLUMNS).to_numpy(), cancer["y"].to_numpy())


REFUSED = {
    "not fitted": (lambda f: LogisticRegression(), SettingError, "is not fitted. Hint: call fit first"),
    "a pipeline not fitted": (
        lambda f: make_pipeline(StandardScaler(), LogisticRegression()), SettingError, "is not fitted"
    ),
    "another classifier": (
        lambda f: GaussianNB().fit(f.select(COLUMNS), f["y"]), SettingError, "got GaussianNB"
    ),
    "cross-validated": (lambda f: LogisticRegressionCV(), SettingError, "got LogisticRegressionCV"),
    "a pipeline that ends otherwise": (
        lambda f: make_pipeline(StandardScaler(), GaussianNB()), SettingError, "got GaussianNB"
    ),
    "the class itself": (lambda f: LogisticRegression, SettingError, "got type"),
    "no model at all": (lambda f: "hello", SettingError, "unknown model: got 'hello'"),
    "a number": (lambda f: 3, SettingError, "got int"),
    "l1": (lambda f: fitted(f, l1_ratio=1.0, solver="saga"), SettingError, "an l1 penalty has no Hessian"),
    "elastic net": (lambda f: fitted(f, l1_ratio=0.5, solver="saga"), SettingError, "an l1 penalty"),
    "another number of columns": (
        lambda f: logistic().fit(f.select(COLUMNS[:2]).to_numpy(), f["y"]),
        FitError, "on 2 features, these rows have 4",
    ),
    "another name": (
        lambda f: logistic().fit(f.select(COLUMNS).rename({"area": "areas"}), f["y"]),
        MissingColumn, "'areas' is not in the rows given with the model. Hint: did you mean 'area'",
    ),
    "other classes": (
        lambda f: logistic().fit(f.select(COLUMNS), f["y"] + 1),
        FitError, "knows the classes 1, 2, the rows have 0, 1",
    ),
    "more classes": (
        lambda f: logistic().fit(f.select(COLUMNS), np.arange(200) % 3),
        FitError, "the classes 0, 1, 2, the rows",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused_in_one_line(cancer, name):
    make, error, match = REFUSED[name]
    model = make(cancer)
    with pytest.raises(error, match=match.replace(".", r"\.")) as caught:
        audit(model, cancer.drop("ward"))
    assert "\n" not in str(caught.value)
    assert "Hint: " in str(caught.value)


def test_one_fit_per_class_is_refused(wine):
    """Older versions of scikit-learn could be asked for it; the attribute is all that tells."""
    model = logistic().fit(wine.drop("y").to_numpy(), wine["y"].to_numpy())
    model.multi_class = "ovr"
    with pytest.raises(SettingError, match="one fit per class"):
        audit(model, wine)


@pytest.mark.parametrize("settings", [{"l2": 0.1}, {"basis": "linear"}])
def test_what_the_model_has_decided_cannot_be_asked_for(cancer, settings):
    with pytest.raises(SettingError, match="has its ridge and its features already"):
        audit(NUMBERS["polars"](cancer), cancer, **settings)


BAD_ROWS = {
    "a word among numbers": (pl.lit("x").alias("area"), r"cannot take these rows: could not convert string"),
    "a missing number": (
        pl.lit(None, dtype=pl.Float64).alias("area"),
        "column 'area' has missing or infinite",
    ),
    "an infinite number": (pl.lit(float("inf")).alias("texture"), "column 'texture' has missing or infinite"),
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_rows_that_the_model_cannot_have_seen(cancer, name):
    change, match = BAD_ROWS[name]
    model = logistic().fit(cancer.select(COLUMNS).to_numpy(), cancer["y"].to_numpy())
    with pytest.raises(FitError, match=match):
        audit(model, cancer.drop("ward").with_columns(change))


def test_steps_that_cannot_take_the_rows(cancer, reviews):
    levels = make_pipeline(make_column_transformer((OneHotEncoder(), ["ward"])), logistic())
    levels.fit(cancer.drop("y"), cancer["y"].to_numpy())
    with pytest.raises(FitError, match=r"cannot take these rows: Found unknown categories \['x'\]"):
        audit(levels, cancer.with_columns(ward=pl.lit("x")))
    words = make_pipeline(TfidfVectorizer(), logistic()).fit(
        reviews["text"].to_list(), reviews["y"].to_numpy()
    )
    holes = reviews.with_columns(text=pl.when(pl.int_range(pl.len()) > 2).then("text"))
    with pytest.raises(FitError, match="cannot take these rows"):
        audit(words, holes)


def test_twin_columns_without_a_ridge_have_no_inverse(cancer):
    X = cancer.select(COLUMNS).to_numpy()
    model = fitted(cancer, C=np.inf, tol=1e-10, max_iter=10_000)
    model.coef_, model.n_features_in_ = np.hstack([model.coef_ / 2] * 2), 8
    twice = pl.DataFrame(np.hstack([X, X]), schema=[f"x{j}" for j in range(8)]).with_columns(cancer["y"])
    with pytest.raises(NotPositiveDefinite, match="not positive definite"):
        audit(model, twice)


def test_adopting_directly_gives_its_objective_and_coefficients(wine):
    X, y = wine.drop("y"), wine["y"]
    model = make_pipeline(StandardScaler(), logistic(C=2.0)).fit(X.to_pandas(), y.to_numpy())
    target = encode_target(y)
    adopted = adopt(model, X, target.y, classes=target.classes)
    assert adopted.objective.l2 == pytest.approx(1 / (178 * 2.0))
    assert adopted.fit.converged
    assert [f.name for f in adopted.features] == X.columns
    Theta = adopted.objective.model.matrix(adopted.fit.theta).numpy()
    np.testing.assert_allclose(Theta[:-1].T, model[-1].coef_[1:] - model[-1].coef_[:1], rtol=1e-12)
    np.testing.assert_allclose(Theta[-1], model[-1].intercept_[1:] - model[-1].intercept_[0], rtol=1e-12)
