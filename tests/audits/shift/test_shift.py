"""Shift: planted differences are found and named, alike samples are left in peace, parts add up to the
whole."""

import itertools

import numpy as np
import polars as pl
import pytest
import scipy.stats

from dataaudit.audits.shift.audit import measure_shift
from dataaudit.audits.shift.comparison import MEASURES, SHIFT
from dataaudit.audits.shift.covariates import OTHER, Strata, cut_levels, cut_numbers, numbers
from dataaudit.audits.shift.duplicates import find_copies
from dataaudit.audits.shift.labels import _breslow_day, compare_given, loss_rows, split_loss
from dataaudit.audits.shift.two_sample import _auc, _permuted, two_sample_test
from dataaudit.errors import EncodeError, SettingError
from dataaudit.features.roles import infer_roles
from dataaudit.options import EncoderOptions

WORDS = [
    "anchor",
    "sail",
    "tide",
    "vessel",
    "dock",
    "mast",
    "cargo",
    "buoy",
    "crew",
    "keel",
    "rudder",
    "pilot",
    "pier",
    "ferry",
    "hull",
    "rope",
]


def table(n, seed, **changes):
    """A table of every kind of column whose label follows `age` and `ward`."""
    random = np.random.default_rng(seed)
    age = random.normal(50.0 + changes.get("older", 0.0), 10.0, n)
    ward = random.choice(["north", "south", "east"], n, p=changes.get("wards", [0.5, 0.3, 0.2]))
    log_odds = 0.08 * (age - 50.0) + 1.0 * (ward == "north") - 0.8
    log_odds = np.where(ward == "east", log_odds + changes.get("east", 0.0), log_odds)
    y = random.random(n) < 1.0 / (1.0 + np.exp(-log_odds))
    words = [
        [*random.choice(WORDS, 7), *(["storm"] if random.random() < changes.get("storm", 0.1) else [])]
        for _ in y
    ]
    return pl.DataFrame(
        {
            "age": age,
            "dose": random.exponential(2.0, n),
            "ward": pl.Series(ward).set(pl.Series(random.random(n) < changes.get("missing", 0.1)), None),
            "smoker": random.random(n) < 0.3,
            "seen": pl.Series(np.datetime64("2020-01-01") + random.integers(0, 900, n)),
            "note": [" ".join(w) for w in words],
            "y": np.where(y, "ill", "well"),
        }
    )


@pytest.fixture(scope="module")
def train():
    return table(900, 0)


def significant(found, measure=None):
    kept = found.filter(pl.col("significant"))
    return kept if measure is None else kept.filter(pl.col("measure") == measure)


def one(found, measure, column=None, level=None):
    return found.filter(
        pl.col("measure").eq(measure), pl.col("column").eq_missing(column), pl.col("level").eq_missing(level)
    ).row(0, named=True)


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_samples_of_one_source_are_left_in_peace(train, seed):
    random = np.random.default_rng(seed)
    losses = random.exponential(1.0, 900), random.exponential(1.0, 700)
    found = measure_shift(train, table(700, seed), target="y", losses=losses, seed=seed)
    assert significant(found).is_empty()
    assert found["message"].str.ends_with(".").all()
    assert abs(one(found, "two-sample")["value"] - 0.5) < 0.08
    assert one(found, "two-sample")["low"] < 0.5 < one(found, "two-sample")["high"]


def test_p_values_are_uniform_where_nothing_differs(train):
    """60 splits of one table: the classifier's raw p-value."""
    roles, p = infer_roles(train, "y", settings=EncoderOptions()), []
    roles = tuple(r for r in roles if r.column in ("age", "dose", "ward", "smoker"))
    for seed in range(60):
        halves = np.random.default_rng(seed).permutation(900)
        parts = train[halves[:450].tolist()], train[halves[450:].tolist()]
        p.append(two_sample_test(*parts, roles, settings=EncoderOptions(), score=0, seed=seed).p)
    assert scipy.stats.kstest(p, "uniform").pvalue > 0.01


def test_a_shifted_number_is_found_by_every_test_that_should(train):
    found = measure_shift(train, table(700, 9, older=8.0), target="y")
    apart = one(found, "two-sample")
    assert apart["significant"]
    assert "most by “age”" in apart["message"]
    assert apart["value"] == pytest.approx(scipy.stats.norm.cdf(8.0 / (10.0 * 2**0.5)), abs=0.05)
    assert significant(found, "covariate")["column"].to_list() == ["age"]
    assert one(found, "two-sample", "age", "share")["value"] > 0.8
    assert one(found, "label", "y", "well")["value"] < -0.05
    assert "distributed differently" in one(found, "covariate", "age")["message"]


def test_levels_words_and_missing_values_are_compared(train):
    found = measure_shift(train, table(700, 9, wards=[0.3, 0.3, 0.4], storm=0.4, missing=0.3), target="y")
    assert set(significant(found, "covariate")["column"]) == {"ward", "note"}
    assert "storm" in one(found, "covariate", "note")["message"]
    assert "east from 2" in one(found, "covariate", "ward")["message"]
    gone = one(found, "missing", "ward")
    assert gone["significant"]
    assert gone["value"] == pytest.approx(0.2, abs=0.05)
    assert gone["low"] < 0.2 < gone["high"]


def test_labels_that_change_in_one_ward_only_are_told_from_inputs(train):
    found = measure_shift(train, table(1500, 9, east=2.5), target="y")
    assert significant(found, "concept")["column"].to_list() == ["ward"]
    assert one(found, "concept", "ward", "east")["significant"]
    assert "ward = east" in significant(found, "concept")["message"][0]
    assert significant(found, "covariate").is_empty()


def test_a_change_of_class_shares_alone_is_no_change_given_the_columns(train):
    test = table(3000, 9)
    ill = test.filter(pl.col("y") == "ill")
    found = measure_shift(
        train, pl.concat([ill.head(200), test.filter(pl.col("y") == "well").head(800)]), target="y"
    )
    assert one(found, "label", "y", "well")["significant"]
    assert significant(found, "concept").is_empty()


def test_unseen_levels_and_values_out_of_range(train):
    test = table(700, 9).with_columns(
        ward=pl.when(pl.int_range(pl.len()) < 30).then(pl.lit("attic")).otherwise("ward"),
        dose=pl.when(pl.int_range(pl.len()) < 25).then(pl.lit(99.0)).otherwise("dose"),
    )
    found = measure_shift(train, test, target="y")
    new = one(found, "unseen", "ward")
    assert (new["n"], new["significant"]) == (30, True)
    assert "attic (30)" in new["message"]
    beyond = one(found, "out-of-range", "dose")
    assert (beyond["n"] >= 25, beyond["significant"]) == (True, True)
    assert "99" not in beyond["message"]


def test_rare_levels_that_a_random_split_hides_are_no_alarm():
    """2,000 codes with a few rows each: dozens are unseen in training, as they must be."""
    random = np.random.default_rng(0)
    codes = random.choice([f"code {i}" for i in range(2000)], 6000)
    frame = pl.DataFrame({"code": codes, "x": random.normal(size=6000), "y": random.integers(0, 2, 6000)})
    found = measure_shift(frame.head(3000), frame.tail(3000), target="y")
    assert one(found, "unseen", "code")["n"] > 100
    assert significant(found).is_empty()
    assert "A random split brings about" in one(found, "unseen", "code")["message"]


def test_copies_and_conflicting_labels(train):
    flipped = train[[5, 6]].with_columns(
        y=pl.when(pl.col("y") == "ill").then(pl.lit("well")).otherwise(pl.lit("ill"))
    )
    test = pl.concat([train[[3, 4]], flipped, table(300, 9)])
    found = measure_shift(train, test, target="y")
    assert one(found, "duplicate")["n"] == 4
    assert "test row 0 = training row 3" in one(found, "duplicate")["message"]
    assert one(found, "conflict", "y")["n"] == 2
    assert "test row 2 = training row 5" in one(found, "conflict", "y")["message"]


def test_copies_against_a_slow_twin():
    random = np.random.default_rng(3)

    def rows(n):
        return pl.DataFrame(
            {
                "a": random.choice([0.0, 1.5, None, -0.0], n),
                "b": pl.Series(random.choice(["x", "y", ""], n), dtype=pl.Categorical),
                "c": [[int(v)] for v in random.integers(0, 3, n)],
                "y": random.choice(["p", "q", "r"], n),
            }
        )

    train, test = rows(40), rows(60)
    found = find_copies(train, test, columns=["a", "b", "c"], target="y")[0]
    slow = []
    for i, row in enumerate(test.iter_rows()):
        same = [j for j, other in enumerate(train.iter_rows()) if other[:3] == row[:3]]
        if same:
            slow.append((i, same[0], row[3] not in {train["y"][j] for j in same}))
    assert found.rows() == slow
    assert 0 < found["conflict"].sum() < len(slow)


@pytest.mark.parametrize("drop", [True, False])
def test_without_labels_the_inputs_alone_are_compared_and_it_says_so(train, drop):
    test = table(500, 9, older=8.0)
    test = test.drop("y") if drop else test.with_columns(y=pl.lit(None, pl.String))
    found = measure_shift(train, test, target="y", losses=(np.ones(900), np.full(500, np.nan)))
    assert one(found, "covariate", "age")["significant"]
    assert "no labels" in one(found, "label", "y")["message"]
    assert not set(found["measure"]) & {"concept", "loss", "conflict"}


def test_the_table_has_its_schema_and_order(train):
    found = measure_shift(train, table(400, 9, older=8.0), target="y", losses=(np.zeros(900), np.ones(400)))
    assert found.schema == SHIFT
    rank = [MEASURES.index(m) for m in found["measure"]]
    assert rank == sorted(rank)
    assert found.equals(
        measure_shift(train, table(400, 9, older=8.0), target="y", losses=(np.zeros(900), np.ones(400)))
    )


def test_errors_are_one_line(train):
    test = table(50, 9)
    with pytest.raises(EncodeError, match="'age' does not fit: numbers in training and List"):
        measure_shift(train, test.with_columns(age=pl.concat_list("dose")), target="y")
    with pytest.raises(SettingError, match="no test rows"):
        measure_shift(train, test.head(0), target="y")
    with pytest.raises(SettingError, match="one loss a row: got 3 and 50"):
        measure_shift(train, test, target="y", losses=(np.ones(3), np.ones(50)))


def test_a_few_rows_and_constant_columns_are_enough_to_say_something():
    train = pl.DataFrame({"a": [1, 2, 3, 4], "b": ["x"] * 4, "y": [0, 1, 0, 1]})
    test = pl.DataFrame({"a": [1.5, 9.0], "b": ["x", "z"], "y": [0, 0]})
    found = measure_shift(train, test, target="y")
    assert significant(found).is_empty()
    assert found["message"].str.len_chars().min() > 10


def test_the_auc_is_the_share_of_pairs():
    random = np.random.default_rng(0)
    scores, member = random.normal(size=40).round(1), np.repeat([0, 1], 20)
    pairs = [(a < b) + 0.5 * (a == b) for a, b in itertools.product(scores[:20], scores[20:])]
    assert _auc(scores, member) == pytest.approx(np.mean(pairs))


def test_permuted_scores_are_leave_one_out_by_refits():
    """The observed separation of the one-step model, against a ridge regression fitted without each row."""
    random = np.random.default_rng(2)
    X = random.normal(size=(30, 4))
    X[15:, 0] += 1.5
    X -= X.mean(0)
    member, sign = np.repeat([0, 1], 15), np.repeat([-1.0, 1.0], 15)
    slow = np.empty(30)
    for i in range(30):
        keep = np.arange(30) != i
        slow[i] = X[i] @ np.linalg.solve(X[keep].T @ X[keep] + 3.0 * np.eye(4), X[keep].T @ sign[keep])
    U = np.linalg.solve(np.linalg.cholesky(X.T @ X + 3.0 * np.eye(4)), X.T).T
    h = (U * U).sum(1)
    assert (U @ (U.T @ sign) - h * sign) / (1 - h) == pytest.approx(slow, abs=1e-10)
    p, spread = _permuted(X, 3.0, member, np.random.default_rng(0))
    assert p < 0.05
    assert 0.05 < spread < 0.2


def test_the_shares_of_columns_add_up(train):
    roles = tuple(r for r in infer_roles(train, "y", settings=EncoderOptions()) if r.role != "left out")
    test = table(700, 9, older=8.0, wards=[0.2, 0.3, 0.5])
    apart = two_sample_test(
        train.drop("y"), test.drop("y"), roles, settings=EncoderOptions(), score=600, seed=0
    )
    assert sum(share for _, share in apart.columns) == pytest.approx(1.0)
    assert [name for name, _ in apart.columns][:2] == ["age", "ward"]
    assert len(apart.scores_train) == 900
    # 700 rows of each are trained on, and 600 drawn ones scored: some of train's 900 are neither.
    assert 700 < np.isfinite(apart.scores_train).sum() < 900
    assert np.isfinite(apart.scores_test).all()


def test_breslow_day_solves_its_equation():
    random = np.random.default_rng(0)
    train, test = random.integers(5, 60, (6, 2)), random.integers(5, 60, (6, 2))
    p, gaps = _breslow_day(train, test, 1)
    a, n, m = test[:, 1], train.sum(1), test.sum(1)
    total = n + m
    odds = (a * train[:, 0] / total).sum() / (test[:, 0] * train[:, 1] / total).sum()
    expected = a - gaps * m
    t = a + train[:, 1]
    assert expected * (n - t + expected) == pytest.approx(odds * (m - expected) * (t - expected))
    assert 0.0 <= p <= 1.0


def test_a_common_odds_ratio_is_rejected_as_often_as_it_should_be():
    random, rejected = np.random.default_rng(4), 0
    for _ in range(300):
        strata = [random.integers(0, 5, size) for size in (400, 300)]
        base = np.array([-1.0, -0.3, 0.2, 0.6, 1.2])
        labels = [
            (random.random(len(s)) < 1 / (1 + np.exp(-base[s] - move))).astype(np.int64)
            for s, move in zip(strata, (0.0, 0.7), strict=True)
        ]
        cut = Strata(*strata, tuple("abcde"))
        found = compare_given("c", cut, ("no", "yes"), train=labels[0], test=labels[1])
        rejected += found.p < 0.05
    assert 3 <= rejected <= 30  # 15 expected, standard deviation 3.8


def test_values_that_rounding_moved_are_no_difference(train):
    moved = table(700, 1).with_columns(pl.col("age") * (1 + 1e-7), pl.col("dose").cast(pl.Float64) + 1e-9)
    found = measure_shift(train, moved, target="y")
    assert significant(found, "covariate").is_empty()
    flat = pl.DataFrame({"x": [3.0, 0.5] * 300, "y": ["a", "b", "b", "a"] * 150})
    near = flat.with_columns(pl.col("x") + 1e-6)
    assert significant(measure_shift(flat, near, target="y")).is_empty()
    apart = flat.with_columns(pl.col("x") + 0.1)
    assert one(measure_shift(flat, apart, target="y"), "covariate", "x")["significant"]


def loss_case(n, seed, *, q, move):
    """Losses with mean 1 in stratum 0 and 3 in stratum 1 (+ `move` in test); test has `q` of stratum 1."""
    random = np.random.default_rng(seed)
    codes = (random.random(n) < 0.5).astype(np.int64), (random.random(n) < q).astype(np.int64)
    means = np.array([1.0, 3.0])
    losses = random.normal(means[codes[0]], 0.5), random.normal(means[codes[1]] + move, 0.5)
    return Strata(*codes, ("a", "b")), losses


def test_a_loss_is_split_into_what_was_planted():
    inputs = split_loss(*loss_case(4000, 0, q=0.8, move=0.0), seed=0)
    assert inputs["total"].value == pytest.approx(0.6, abs=0.06)  # (0.8 - 0.5)·(3 - 1)
    assert inputs["inputs"].value == pytest.approx(0.6, abs=0.06)
    assert abs(inputs["labels"].value) < 3 * inputs["labels"].error
    labels = split_loss(*loss_case(4000, 0, q=0.5, move=0.4), seed=0)
    assert labels["labels"].value == pytest.approx(0.4, abs=0.05)
    assert abs(labels["inputs"].value) < 3 * labels["inputs"].error
    both = split_loss(*loss_case(4000, 0, q=0.8, move=0.4), seed=0)
    assert both["inputs"].value + both["labels"].value == pytest.approx(both["total"].value, abs=1e-12)


@pytest.mark.parametrize(("n", "told"), [(0, False), (30, False), (900, True)])
def test_a_loss_is_not_split_where_train_and_test_share_few_inputs(n, told):
    codes = np.repeat([0, 1], [2000, n]), np.ones(2000, dtype=np.int64)
    losses = np.ones(len(codes[0])), np.full(2000, 3.0)
    parts = split_loss(Strata(*codes, ("a", "b")), losses, seed=0)
    assert parts["total"].p is not None
    rows = list(loss_rows("age", parts, n=2000))
    assert [part.p is not None for part in rows] == [told, told]
    assert all(("cannot be said" in part.found) != told for part in rows)


def test_the_errors_of_the_split_are_those_of_repetitions():
    splits = [split_loss(*loss_case(500, seed, q=0.7, move=0.2), seed=0) for seed in range(200)]
    for part in ("total", "inputs", "labels"):
        values = [s[part].value for s in splits]
        errors = [s[part].error for s in splits]
        assert np.mean(errors) == pytest.approx(np.std(values), rel=0.2)


def test_planted_losses_are_explained_by_their_column(train):
    test = table(800, 9, older=6.0)
    losses = tuple(1.0 + 0.05 * (t["age"].to_numpy() - 50.0) for t in (train, test))
    found = measure_shift(train, test, target="y", losses=losses)
    total, by_age = one(found, "loss", level="total"), one(found, "loss", "age", "inputs")
    assert total["value"] == pytest.approx(0.3, abs=0.06)
    assert by_age["value"] == pytest.approx(total["value"], rel=0.1)
    assert one(found, "loss", level="inputs")["value"] == pytest.approx(total["value"], rel=0.3)
    assert not one(found, "loss", "dose", "inputs")["significant"]


def test_numbers_are_cut_at_deciles_and_missing_is_apart():
    train, test = np.r_[np.arange(100.0), np.nan], np.r_[np.arange(100.0), np.nan, np.nan]
    cut = cut_numbers(train, test)
    first, second = cut.counts
    assert first.tolist() == [10] * 10 + [1]
    assert second.tolist() == [10] * 10 + [2]
    assert cut.names[-1] == "(missing)"
    assert cut_numbers(np.array([np.nan]), np.array([np.nan])).counts[0].sum() == 1


def test_levels_beyond_the_most_frequent_share_a_stratum():
    cut = cut_levels(pl.Series(["a", "a", "b", None]), pl.Series(["c", "a"]), most=2)
    assert cut.names[0] == "a"
    assert cut.names[-1] == OTHER
    assert (cut.train[0], cut.test[1]) == (0, 0)
    assert cut_levels(pl.Series([1, 2]), pl.Series([2, 3]), most=None).names == ("2", "1", "3", OTHER)


def test_dates_become_days():
    day = pl.Series(["2020-01-02", None, "1970-01-03"])
    assert numbers(day, day.dtype)[[0, 2]].tolist() == [18263.0, 2.0]
    assert np.isnan(numbers(day, day.dtype)[1])
    assert numbers(day.str.to_date(), pl.Date())[2] == 2.0


def test_equal_columns_where_rounding_moved_the_values_are_alike():
    """Half of the cells are zero: a step of 1e-6 moves all of them past the ones of training."""
    random = np.random.default_rng(0)
    value = np.where(random.random(600) < 0.5, 0.0, random.normal(size=600))
    frame = pl.DataFrame({"value": value, "y": random.choice(["a", "b"], 600)})
    moved = frame.with_columns(pl.col("value") + 1e-6)
    shift = measure_shift(frame, moved, target="y").filter(pl.col("column") == "value")
    row = shift.filter(pl.col("measure") == "covariate").row(0, named=True)
    assert (row["value"], row["significant"]) == (0.0, False)
    assert shift.filter(pl.col("measure") == "out-of-range").is_empty()
    far = measure_shift(frame, frame.with_columns(pl.col("value") + 0.1), target="y")
    assert far.filter(pl.col("measure") == "covariate")["significant"][0]
