"""Probabilities as people have them, against the rows that they are of."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

from dataaudit.audits.outside.matrix import checked, given_probabilities, log_odds
from dataaudit.errors import DataError, MissingColumn, SettingError
from dataaudit.features.target import encode_target

TARGET = encode_target(pl.Series("y", ["b", "a", None, "c", "c"]))
P = np.array([[0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.1, 0.1, 0.8], [0.3, 0.3, 0.4], [0.0, 0.0, 1.0]])
KEPT = P[[0, 1, 3, 4]]


@pytest.mark.parametrize(
    "given",
    [P, P.astype(np.float32), P.tolist(), torch.from_numpy(P), torch.from_numpy(P).requires_grad_(), KEPT],
    ids=["array", "float32", "lists", "tensor", "with a graph", "of the labelled rows"],
)
def test_columns_without_names_are_in_the_order_of_the_classes(given):
    np.testing.assert_allclose(given_probabilities(given, TARGET), KEPT, rtol=1e-6)


@pytest.mark.parametrize("kind", [pd.DataFrame, lambda values, columns: pl.DataFrame(values, schema=columns)])
def test_columns_with_names_are_found_by_them(kind):
    np.testing.assert_allclose(
        given_probabilities(kind(P[:, [2, 0, 1]], columns=["c", "a", "b"]), TARGET), KEPT
    )


def test_classes_that_are_numbers():
    target = encode_target(pl.Series([10, 9, 9]))
    assert target.classes == ("9", "10")  # sorted as numbers, as NumPy and cleanlab do
    frame = pd.DataFrame([[0.9, 0.1], [0.2, 0.8], [0.2, 0.8]], columns=[10, 9])
    np.testing.assert_allclose(given_probabilities(frame, target), [[0.1, 0.9], [0.8, 0.2], [0.8, 0.2]])
    named = pd.DataFrame([[0.9, 0.1], [0.2, 0.8], [0.2, 0.8]], columns=["10.0", "9.0"])
    np.testing.assert_allclose(given_probabilities(named, target), [[0.1, 0.9], [0.8, 0.2], [0.8, 0.2]])


@pytest.mark.parametrize("name", ["p.npy", "p.parquet", "p.csv", "p.ndjson"])
def test_files(tmp_path, name):
    path, frame = tmp_path / name, pl.DataFrame(P[:, ::-1], schema=["c", "b", "a"])
    match path.suffix:
        case ".npy":
            np.save(path, P)
        case ".parquet":
            frame.write_parquet(path)
        case ".csv":
            frame.write_csv(path)
        case _:
            frame.write_ndjson(path)
    np.testing.assert_allclose(given_probabilities(str(path), TARGET), KEPT)
    np.testing.assert_allclose(given_probabilities(path, TARGET), KEPT)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (P[:2], "pred_probs has 2 rows, the data have 5. Hint: give one row for each row"),
        (P[:, :2], "pred_probs has 2 columns, the labels have 3 classes: a, b, c"),
        (P[:, 0], "column a class: got 1 axes. Hint: of two classes, give np.column_stack"),
        (2 * P, "holds 1.4 in its row 0 of 4"),
        (-P, "holds -0.2 in its row 0"),
        (P / 2, "the 3 probabilities of row 0 in pred_probs sum to 0.5, not to 1"),
        (P * np.nan, "holds nan in its row 0"),
        ([["x", "y", "z"]] * 5, "pred_probs is no array of numbers"),
        (pl.DataFrame(P, schema=["a", "b", "d"]), "'c' is not in pred_probs"),
        (
            pl.DataFrame({**dict(zip("abc", P.T, strict=True)), "id": [1] * 5}),
            "'id' of pred_probs is no class",
        ),
        (pl.DataFrame({"a": ["x"] * 5}), "'a' of pred_probs holds no numbers: got type String"),
    ],
)
def test_what_is_no_such_thing_is_refused(given, message):
    with pytest.raises((SettingError, MissingColumn)) as caught:
        given_probabilities(given, TARGET)
    assert message in str(caught.value)


def test_a_file_that_is_no_array(tmp_path):
    path = tmp_path / "p.npy"
    for content in (b"", b"no array"):
        path.write_bytes(content)
        with pytest.raises(DataError, match="cannot be read as an array"):
            given_probabilities(path, TARGET)
    np.save(path, np.array([object()], dtype=object))  # what is pickled may run code
    with pytest.raises(DataError, match="cannot be read as an array"):
        given_probabilities(path, TARGET)


def test_rounded_probabilities_sum_to_one():
    np.testing.assert_allclose(checked(np.array([[0.333, 0.333, 0.333]]), "abc").sum(1), 1, rtol=1e-12)


def test_zeros_are_half_of_the_least_other():
    found = log_odds(np.array([[0.0, 1.0], [0.2, 0.8], [1e-4, 1 - 1e-4]]))
    np.testing.assert_allclose(found[:, 0], np.log([1 / 5e-5, 4, (1 - 1e-4) / 1e-4]))
    assert np.isfinite(log_odds(np.eye(2))).all()
