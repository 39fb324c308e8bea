"""List and array columns."""

import numpy as np
import polars as pl
import pytest

from dataaudit.errors import EncodeError
from dataaudit.features import fit_encoding
from dataaudit.features import vector as vector_module


def encode(series):
    frame = pl.DataFrame([pl.Series("y", [0] * len(series)), series.alias("x")])
    encoding = fit_encoding(frame, "y")
    return encoding, encoding.transform(frame)


@pytest.fixture
def cells():
    return np.random.default_rng(0).normal(5.0, [1.0, 2.0, 0.5], size=(40, 3))


def slow(cells):
    centred = cells - cells.mean(axis=0)
    return centred / np.sqrt(np.mean(cells.var(axis=0)))


@pytest.mark.parametrize("dtype", [pl.List(pl.Float64), pl.Array(pl.Float64, 3)])
@pytest.mark.parametrize("block_values", [2**22, 12])
def test_centred_with_one_scale(cells, dtype, block_values, monkeypatch):
    monkeypatch.setattr(vector_module, "_BLOCK_VALUES", block_values)
    encoding, columns = encode(pl.Series(cells.tolist(), dtype=dtype))
    np.testing.assert_allclose(columns.vectors, slow(cells), atol=1e-12)
    assert [(f.name, f.level, f.kind) for f in columns.vector_features][1] == ("x[1]", "1", "vector")
    scale = columns.vector_features[0].scale
    np.testing.assert_allclose(columns.vectors * scale + cells.mean(axis=0), cells)  # the user's unit
    later = encoding.transform(pl.DataFrame({"x": cells[:2].tolist()}))
    np.testing.assert_allclose(later.vectors, columns.vectors[:2])


def test_missing_cells_and_coordinates_are_the_mean(cells):
    values = cells.tolist()
    values[0], values[1][2], values[2][0] = None, None, float("inf")
    encoding, columns = encode(pl.Series(values))
    assert columns.vectors[0].tolist() == [0, 0, 0]
    assert columns.vectors[1, 2] == columns.vectors[2, 0] == 0
    assert np.isfinite(columns.vectors).all()
    np.testing.assert_allclose(columns.vectors.mean(axis=0), 0, atol=1e-12)
    assert columns.levels.toarray()[:, 0].tolist() == [1] + [0] * 39
    assert columns.level_features[0].name == "x (missing)"
    assert encoding.notes == ("Column 'x': 2 coordinates not finite, taken as the mean.",)


def test_constant_coordinates_are_left_out(cells):
    cells[:, 1] = 7.0
    encoding, columns = encode(pl.Series(cells.tolist()))
    assert [feature.level for feature in columns.vector_features] == ["0", "2"]
    np.testing.assert_allclose(columns.vectors, slow(cells[:, [0, 2]]), atol=1e-12)
    assert encoding.notes == ("Column 'x': 1 of 3 coordinates left out, the same in every row.",)


def test_vectors_that_never_vary_are_left_out():
    frame = pl.DataFrame({"y": [0, 1], "x": [[1, 2], [1, 2]], "z": [1.5, 2.5]})
    role = fit_encoding(frame, "y").roles[0]
    assert (role.role, role.reason) == ("left out", "the same value in every row")


@pytest.mark.parametrize(
    ("later", "message"),
    [
        ([[1.0, 2.0]], "every cell had 3 numbers in training: got cells of 2 numbers"),
        ([[1.0], [1.0, 2.0]], "every cell had 3 numbers in training: got List.Float64. of no one length"),
        (["a"], "every cell had 3 numbers in training: got String"),
    ],
)
def test_other_lengths_are_refused(cells, later, message):
    encoding, _ = encode(pl.Series(cells.tolist()))
    with pytest.raises(EncodeError, match=f"column 'x' does not fit: {message}"):
        encoding.transform(pl.DataFrame({"x": later}))


def test_digits_equal_the_plain_arithmetic(data_folder):
    frame = pl.read_parquet(data_folder / "mnist_test.parquet").head(500)
    columns = fit_encoding(frame, "label").transform(frame)
    pixels = np.array(frame["pixels"].to_list(), dtype=float)
    varying = np.flatnonzero(pixels.std(axis=0))
    assert [int(feature.level) for feature in columns.vector_features] == varying.tolist()
    np.testing.assert_allclose(columns.vectors, slow(pixels[:, varying]), atol=1e-12)
    assert np.mean(columns.vectors.var(axis=0)) == pytest.approx(1.0)
