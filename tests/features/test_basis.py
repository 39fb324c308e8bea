import pickle
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy.interpolate import BSpline
from scipy.sparse import csr_array
from scipy.stats import norm, rankdata

from dataaudit.errors import EncodeError, SettingError
from dataaudit.features import BasisSettings, Columns, Feature, fit_basis, fit_encoding
from dataaudit.features.rbf import (
    affordable,
    draw_landmarks,
    fit_kernel,
    gaussian,
    gradient_products,
    learn_metric,
)
from dataaudit.options import EncoderOptions

ALL = [
    BasisSettings(scaling, spline=spline, rbf_width=width)
    for scaling in ("standard", "rank")
    for spline in (False, True)
    for width in (None, 1.5)
]


def columns_of(numeric, levels=None):
    numeric = np.asarray(numeric, dtype=float)
    n, d = numeric.shape
    levels = np.zeros((n, 0)) if levels is None else np.asarray(levels, dtype=float)
    return Columns(
        numeric=numeric,
        numeric_features=tuple(Feature(f"x{j}", f"x{j}", None, "numeric") for j in range(d)),
        vectors=np.zeros((n, 0)),
        vector_features=(),
        levels=csr_array(levels),
        level_features=tuple(Feature(f"c={j}", "c", str(j), "level") for j in range(levels.shape[1])),
        terms=csr_array((n, 0)),
        term_features=(),
    )


def dense(X):
    return X.toarray() if isinstance(X, csr_array) else X


@pytest.fixture
def some():
    random = np.random.default_rng(0)
    levels = np.eye(3)[random.integers(0, 3, 80)]
    return columns_of(np.column_stack([random.normal(3, 2, 80), random.standard_cauchy(80)]), levels)


def test_standard_scaling_and_its_unit(some):
    basis = fit_basis(some, BasisSettings())
    x = basis.transform(some)
    assert x[:, :2].mean(0) == pytest.approx(np.zeros(2), abs=1e-12)
    assert x[:, :2].std(0) == pytest.approx(np.ones(2))
    assert [f.scale for f in basis.features[:2]] == pytest.approx(some.numeric.std(0))


def test_rank_scaling_is_the_normal_score_of_the_mid_rank(some):
    x = fit_basis(some, BasisSettings("rank")).transform(some)
    expected = norm.ppf((rankdata(some.numeric[:, 1]) - 0.5) / 80)
    assert x[:, 1] == pytest.approx(expected)


def test_rank_scaling_shares_ranks_between_ties():
    X = fit_basis(columns_of([[1.0], [1.0], [5.0], [9.0]]), BasisSettings("rank"))
    got = X.transform(columns_of([[1.0], [5.0], [9.0], [100.0]]))[:, 0]
    assert got == pytest.approx(norm.ppf([0.25, 0.625, 0.875, 0.875]))


def test_splines_are_cubic_b_splines_on_quartiles(some):
    basis = fit_basis(some, BasisSettings(spline=True))
    z = (some.numeric[:, 0] - some.numeric[:, 0].mean()) / some.numeric[:, 0].std()
    knots = np.quantile(z, [0, 0.25, 0.5, 0.75, 1])
    t = np.r_[[knots[0]] * 3, knots, [knots[-1]] * 3]
    expected = np.column_stack([BSpline(t, np.eye(7)[i], 3)(z) for i in range(6)])
    at = [i for i, f in enumerate(basis.features) if f.kind == "spline" and f.column == "x0"]
    assert dense(basis.transform(some))[:, at] == pytest.approx(expected)


def test_rbf_features_reproduce_the_kernel_where_every_row_is_a_landmark(some):
    basis = fit_basis(some, BasisSettings(rbf_width=2.0, landmarks=80))
    X = basis.transform(some)
    inputs = X[:, :5]  # two scaled numbers, three levels
    F = X[:, 5:]
    gamma = 2.0 / inputs.var(0).sum()
    squared = ((inputs[:, None, :] - inputs[None]) ** 2).sum(2)
    gram = F @ F.T
    assert gram == pytest.approx(np.exp(-gamma * squared), abs=2e-4)  # up to the flat directions


def test_matched_numbers_vary_by_one_in_all_and_the_rest_is_as_it_was(some):
    settings = BasisSettings(rbf_width=1.5, spline=True, landmarks=20)
    plain, matched = (fit_basis(some, replace(settings, matched=m)) for m in (False, True))
    X, Z = plain.transform(some), matched.transform(some)
    ours = np.array([f.kind in ("numeric", "vector", "spline") for f in matched.features])
    assert Z[:, ours].var(0).sum() == pytest.approx(1.0)
    assert Z[:, ours] == pytest.approx(matched.share * X[:, ours])
    assert np.array_equal(Z[:, ~ours], X[:, ~ours])
    assert matched.features[0].scale == pytest.approx(plain.features[0].scale / matched.share)


@pytest.mark.parametrize("settings", ALL, ids=str)
def test_one_feature_per_column_and_the_same_values_row_by_row(some, settings):
    basis = fit_basis(some, settings)
    X = dense(basis.transform(some))
    assert X.shape == (80, len(basis.features))
    assert np.isfinite(X).all()
    part = replace(some, numeric=some.numeric[7:9], vectors=some.vectors[7:9], levels=some.levels[7:9])
    part = replace(part, terms=some.terms[7:9])
    assert dense(basis.transform(part)) == pytest.approx(X[7:9], abs=1e-9)


@pytest.mark.parametrize("settings", ALL, ids=str)
def test_same_seed_same_basis(some, settings):
    first, second = (dense(fit_basis(some, settings).transform(some)) for _ in range(2))
    assert np.array_equal(first, second)


def test_a_basis_can_be_pickled(some):
    basis = fit_basis(some, BasisSettings("rank", spline=True, rbf_width=0.5))
    again = pickle.loads(pickle.dumps(basis))
    assert np.array_equal(again.transform(some), basis.transform(some))


@pytest.mark.parametrize("settings", ALL, ids=str)
@pytest.mark.parametrize(
    "columns",
    [
        columns_of(np.arange(30.0)[:, None] % 2),
        columns_of(np.ones((30, 1)) * 1e9),
        columns_of(np.zeros((30, 0)), np.eye(2)[np.arange(30) % 2]),
        columns_of(np.repeat([[1.0, 2.0]], 30, axis=0)),
        columns_of(10.0 ** np.arange(-30, 30)[:, None]),
        columns_of([[1.0]]),
    ],
    ids=["two values", "constant", "categories only", "all rows alike", "sixty orders", "one row"],
)
def test_odd_columns_give_finite_features(columns, settings):
    basis = fit_basis(columns, settings)
    X = dense(basis.transform(columns))
    assert X.shape == (columns.n, len(basis.features))
    assert np.isfinite(X).all()


def test_values_beyond_the_training_range_stay_finite(some):
    basis = fit_basis(some, BasisSettings("rank", spline=True, rbf_width=1.5))
    far = replace(some, numeric=some.numeric * 1e6)
    X = basis.transform(far)
    assert np.isfinite(X).all()
    assert np.abs(X[:, :2]).max() < 4  # clamped to the outermost normal score


def test_text_stays_sparse_and_equals_its_dense_form():
    frame = pl.DataFrame(
        {"t": [f"word{i % 40} term{i % 31} plain{i % 7}" for i in range(300)], "y": ["a", "b"] * 150}
    )
    columns = fit_encoding(frame, "y", settings=EncoderOptions(text=("t",))).transform(frame)
    x = fit_basis(columns, BasisSettings()).transform(columns)
    assert isinstance(x, csr_array)
    assert (x != columns.terms).nnz == 0


def test_other_columns_are_refused(some):
    basis = fit_basis(some, BasisSettings())
    with pytest.raises(EncodeError, match="differ"):
        basis.transform(columns_of(np.zeros((3, 2))))


@pytest.mark.parametrize(
    "wrong", [{"scaling": "none"}, {"rbf_width": 0.0}, {"landmarks": 0}, {"metric": "x"}]
)
def test_senseless_settings_are_refused(wrong):
    with pytest.raises(SettingError):
        BasisSettings(**wrong)


def test_gradient_products_match_finite_differences():
    random = np.random.default_rng(1)
    Z, S, a = random.normal(size=(20, 3)), random.normal(size=(6, 3)), random.normal(size=(6, 1))
    got = gradient_products(Z, S, 0.7, kernel=gaussian(Z, S, 0.7), weights=a)
    gradient = np.empty((20, 3))
    for j in range(3):
        step = 1e-6 * np.eye(3)[j]
        gradient[:, j] = ((gaussian(Z + step, S, 0.7) - gaussian(Z - step, S, 0.7)) @ a)[:, 0] / 2e-6
    assert got == pytest.approx(gradient.T @ gradient / 20, abs=1e-8)


def test_the_metric_finds_the_direction_that_matters():
    random = np.random.default_rng(2)
    Z = random.normal(size=(1500, 3))
    Y = (Z[:, :1] + Z[:, 1:2] > 0).astype(float)
    kernel = fit_kernel(Z[draw_landmarks(len(Z), 100, 0)], float(Z.var(0).sum()), 1.5)
    turned = learn_metric(Z, Y, kernel, full=True)
    scaled = learn_metric(Z, Y, kernel, full=False)
    lengths = [np.linalg.norm(v @ turned) for v in ([1, 1, 0], [1, -1, 0], [0, 0, 1])]
    assert lengths[0] > 3 * max(lengths[1:])
    assert np.diag(scaled)[2] < 0.5 * np.diag(scaled)[:2].min()


def test_no_metric_from_few_rows():
    assert not affordable(100, 10, full=False)
    assert affordable(1000, 10, full=False)
    assert not affordable(1000, 10, full=True)
    Z = np.random.default_rng(0).normal(size=(40, 5))
    kernel = fit_kernel(Z[draw_landmarks(len(Z), 20, 0)], float(Z.var(0).sum()), 1.5)
    assert learn_metric(Z, np.ones((40, 1)), kernel, full=False) is None
