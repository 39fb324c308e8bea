"""Row weights are checked before they weigh anything."""

import polars as pl
import pytest

from dataaudit.errors import DataError
from dataaudit.features.target import encode_weight


@pytest.mark.parametrize("values", [[1, 0, 3], [0.5, 2.0, 1e-9], [True, False, True]])
def test_numbers_from_nought_are_weights(values):
    weights = encode_weight(pl.Series("w", values))
    assert weights.tolist() == [float(v) for v in values]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["a", "b"], "'w' holds no numbers: got type String"),
        ([1.0, None], "'w' has 1 values that are missing, negative or infinite"),
        ([1.0, -1.0], "1 values that are missing, negative or infinite"),
        ([float("inf"), float("nan")], "2 values that are missing, negative or infinite"),
        ([0, 0], "'w' is 0 in all 2 rows"),
    ],
)
def test_anything_else_is_refused(values, message):
    with pytest.raises(DataError, match=message):
        encode_weight(pl.Series("w", values))
