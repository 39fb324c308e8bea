"""How a value is shown and compared, and pixels that become small pictures and come back."""

        "",
        "data:image/png;base64,",
        "data:image/svg+xml;base64,PHN2Zz4=",
        ("a" * 700, "a" * 599 + "…"),
        (1.5, "1.5"),
        (None, ""),
        (RANDOM.integers(0, 17, 64).astype(float), 255 / 16),
        (RANDOM.integers(0, 256, (28, 28)), 1),
        (RANDOM.random(64 * 64), 255),
        (True, "True"),
        ([" North", "north"], False, None),
        (["A+", "A-"], False),
        (["A1", "A2"], False),
        (["Ja, ÄRGER!", "ja ärger"], True, None),
        (["North", " north "], False, pl.Categorical),
        (["Win $500 now!", "win   900 NOW"], True, None),
        (["win now", "win later"], True),
        ([1.0, 2.5], "1, 2.5 (2 numbers)"),
        ([1.234, 1.244], False),
        ([1234, 1235], False),
        ([1234.0, 1233.6], False, None),
        ([[0] * 8] * 8, "8 × 8 pixels"),
        ([[1.0, 2.0], [1.0, 2.5]], False),
        ([], " (0 numbers)"),
        ([dt.date(2020, 1, 1), dt.date(2020, 1, 2)], False),
        ([float("nan"), None], False, None),
        (np.full(100, 0.01), 255),
        (np.zeros(81), 255),
        (pl.Series(np.linspace(-1, 1, 300)), "-1, -0.993, -0.987, -0.98, -0.973, -0.967, … (300 numbers)"),
        (pl.Series(np.zeros((8, 8))), "8 × 8 pixels"),
        PREFIX + "<script>alert(1)</script>",
        PREFIX + '" onerror="alert(1)',
        RANDOM.normal(size=64),
        RANDOM.random(49),
        RANDOM.random(63),
        RANDOM.random(65 * 65),
        [],
        _png(60_000, bytes(10**7)),
        _png(8, b"\x01" + bytes(71)),
        _png(8, bytes(10**7)),
        _png(8, bytes(71)),
        _png(8, bytes(72), bits=4),
        np.full(64, 256.0),
        np.full(64, np.nan),
        picture_of(np.zeros(64)) + "=",
        picture_of(np.zeros(64)) + "\n",
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    "text",
    "values",
    ("value", "text"),
    ("values", "grey"),
    ("values", "text"),
    ("values", "text", "dtype"),
    (tmp_path / "a.png").write_bytes(base64.b64decode(picture_of(values).removeprefix(PREFIX)))
    [
    ],
    assert cell_text(value) == text
    assert drawn(picture_of(values)).splitlines() == ["▀▄", "  █", "", "", "        ▀"]
    assert drawn(text) == ""
    assert kept_cell([1.0, 2.0]) == "1, 2 (2 numbers)"
    assert kept_cell(pl.Series([0, 255] * 32)) == picture_of([0, 255] * 32)
    assert one != other
    assert one == other
    assert picture_of(values) is None
    assert pixels_of(text) is None
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
    def chunk(name, data):
    found = pixels_of(picture_of(values))
    frame = pl.DataFrame({"x": pl.Series(values, dtype=dtype)})
    header = struct.pack(">IIBBBBB", side, side, bits, 0, 0, 0, 0)
    ids=["no square", "small", "large", "negative", "beyond", "not a number", "nothing"],
    np.testing.assert_array_equal(found.ravel(), np.rint(np.ravel(values) * grey))
    np.testing.assert_array_equal(np.rint(imread(tmp_path / "a.png") * 255), values)
    one, other = _forms(values, text=text)
    one, other = _forms(values, text=text, dtype=dtype)
    return PREFIX + base64.b64encode(b"\x89PNG\r\n\x1a\n" + data).decode()
    return frame.select(normal_form("x", frame.schema["x"], text=text)).to_series().to_list()
    values = RANDOM.integers(0, 256, (28, 28))
    values = np.zeros((9, 9))
    values[0, 0] = values[1, 1] = values[2:4, 2] = values[8, 8] = 255
)
@pytest.mark.parametrize(
RANDOM = np.random.default_rng(0)
def _forms(values, *, text=False, dtype=None):
def _png(side, rows, *, bits=8):
def test_a_picture_is_drawn_two_pixels_a_character():
def test_any_reader_of_png_sees_the_same(tmp_path):
def test_cells_as_text(value, text):
def test_cells_that_are_almost_equal(values, text, dtype):
def test_cells_that_differ(values, text):
def test_other_vectors_are_no_pictures(values):
def test_pixels_are_kept_as_a_picture_and_the_rest_as_text():
def test_pixels_come_back_within_their_rounding(values, grey):
def test_text_that_only_looks_like_a_picture_stays_text(text):
from dataaudit.cells import PREFIX, cell_text, drawn, kept_cell, normal_form, picture_of, pixels_of
from matplotlib.image import imread
import base64
import datetime as dt
import numpy as np
import polars as pl
import pytest
import struct
import zlib




