"""Which columns restate the label, wrong labels included, and which honest ones do not."""

import numpy as np
import polars as pl
import pytest
from sklearn import datasets

from dataaudit.features.leaks import few_outside, gains, restated
from dataaudit.features.roles import infer_roles
from dataaudit.options import EncoderOptions

N = 400
RANDOM = np.random.default_rng(0)
TRUTH = np.arange(N) % 2
WRONG = RANDOM.permutation(N) < N // 10
Y = TRUTH ^ WRONG  # a tenth is wrong
HONEST = {"size": TRUTH * 2 + RANDOM.normal(size=N), "kind": np.where(TRUTH == 1, "b", "a")}
AWAY = RANDOM.uniform(3, 90, N)


def found(y=Y, **columns):
    frame = pl.DataFrame({**HONEST, **columns})
    roles = infer_roles(frame.with_columns(label=pl.Series(y)), "label", settings=EncoderOptions())
    return {one.column: one for one in restated(frame, np.asarray(y), roles, label="label")}


def test_what_is_right_where_labels_are_wrong_is_no_leak():
    assert found() == {}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.where(Y, "closed", "open"), "each of its 2 values goes with one class"),
        (np.where(Y, np.where(np.arange(N) % 3 == 0, "lost", "left"), "open"), "each of its 3 values"),
        (Y == 0, "each of its 2 values"),
        ([f"2024-0{1 + i % 9}-11" if yes else None for i, yes in enumerate(Y)], "whether it is empty"),
        (
            [f"we wrote to them {i} times in all" if yes else "" for i, yes in enumerate(Y)],
            "whether it is empty",
        ),
        (np.where(Y, AWAY, 0.0), "whether it is '0.0' goes with the class"),
        (np.where(Y, "closed", np.where(np.arange(N) < 2, "closed", "open")), "but for "),
    ],
)
def test_a_column_that_repeats_wrong_labels_restates_the_label(values, said):
    one = found(note=values)["note"]
    assert said in one.reason
    assert one.sure


def test_three_classes_are_restated_by_as_many_values_and_not_by_fewer():
    y = np.arange(N) % 3
    assert found(y, note=np.array(["low", "mid", "high"])[y])["note"].sure
    assert found(y, note=np.where(y == 0, "low", "other")) == {}


def test_a_name_that_says_so_is_taken_at_its_word():
    almost = np.where(np.arange(N) % 50 == 0, 1 - Y, Y)  # gain about .96
    words = np.where(almost, "closed", "open")
    assert list(found(outcome=words)) == ["outcome"]
    assert found(colour=words) == {}


def test_a_label_that_is_computed_from_a_number_may_restate_it_and_is_not_sure():
    grade = RANDOM.uniform(0, 100, N)
    one = found((grade > 50).astype(int), grade=grade)["grade"]
    assert not one.sure


def test_a_score_that_parts_wrong_labels_may_restate_the_label():
    score = np.where(Y, 0.9, 0.1) + RANDOM.normal(0, 0.03, N)
    for values in (score, [f"{v:.6f}" for v in score]):
        one = found(score=values)["score"]
        assert "one stretch for each class" in one.reason
        assert not one.sure


def test_groups_of_few_rows_with_one_label_each_restate_nothing():
    of = np.arange(N) // 5
    assert found(of % 2, patient=[f"p{i}" for i in of]) == {}
    assert found(of % 2, patient=of) == {}


def test_toy_data_are_not_said_to_leak():
    for name in ("iris", "wine", "breast_cancer"):
        frame = pl.from_pandas(getattr(datasets, f"load_{name}")(as_frame=True).frame)
        roles = infer_roles(frame, "target", settings=EncoderOptions())
        assert restated(frame.drop("target"), frame["target"].to_numpy(), roles, label="target") == ()


def test_classes_that_are_far_apart_in_several_columns_are_not_surely_restated():
    frame = pl.from_pandas(datasets.load_iris(as_frame=True).frame)
    y = (frame["target"] == 0).cast(pl.Int64).to_numpy()
    roles = infer_roles(frame, "target", settings=EncoderOptions())
    one, two = restated(frame.drop("target"), y, roles, label="target")
    assert {one.column, two.column} == {"petal length (cm)", "petal width (cm)"}
    assert [one.sure, two.sure] == [False, False]


def test_gains_count_rows_that_were_not_counted_on():
    one, names = gains(pl.DataFrame({"x": Y, "name": [f"n{i}" for i in range(N)]}), Y, ["x", "name"])
    assert (one.accuracy, one.gain, one.is_copy, one.values) == (1.0, 1.0, True, 2)
    assert names.gain <= 0
    assert not names.is_copy


def test_with_few_rows_outside_the_greatest_class_nothing_is_known():
    y = (np.arange(100) < 19).astype(int)
    assert few_outside(y)
    roles = infer_roles(pl.DataFrame({"x": y, "label": y}), "label", settings=EncoderOptions())
    assert restated(pl.DataFrame({"x": y}), y, roles, label="label") == ()
