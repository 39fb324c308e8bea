"""How a value is shown and compared, and pixels that become small pictures and come back."""

import base64
import datetime as dt
import struct
import zlib
from hashlib import blake2b

import numpy as np
import polars as pl
import pytest
from matplotlib.image import imread

from dataaudit.cells import (
    PREFIX,
    Marker,
    cell_text,
    content_hashes,
    drawn,
    kept_cell,
    normal_form,
    passage,
    picture_of,
    pixels_of,
    readable,
)


def _forms(values, *, text=False, dtype=None):
    frame = pl.DataFrame({"x": pl.Series(values, dtype=dtype)})
    return frame.select(normal_form("x", frame.schema["x"], text=text)).to_series().to_list()


@pytest.mark.parametrize(
    ("values", "text", "dtype"),
    [
        (["Win $500 now!", "win   900 NOW"], True, None),
        (["Ja, ÄRGER!", "ja ärger"], True, None),
        ([" North", "north"], False, None),
        (["North", " north "], False, pl.Categorical),
        ([1234.0, 1233.6], False, None),
        ([float("nan"), None], False, None),
    ],
)
def test_cells_that_are_almost_equal(values, text, dtype):
    one, other = _forms(values, text=text, dtype=dtype)
    assert one == other


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (["win now", "win later"], True),
        (["A1", "A2"], False),
        (["A+", "A-"], False),
        ([1234, 1235], False),
        ([1.234, 1.244], False),
        ([dt.date(2020, 1, 1), dt.date(2020, 1, 2)], False),
        ([[1.0, 2.0], [1.0, 2.5]], False),
    ],
)
def test_cells_that_differ(values, text):
    one, other = _forms(values, text=text)
    assert one != other


RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("values", "grey"),
    [
        (RANDOM.integers(0, 256, (28, 28)), 1),
        (RANDOM.integers(0, 17, 64).astype(float), 255 / 16),
        (RANDOM.random(64 * 64), 255),
        (np.full(100, 0.01), 255),
        (np.zeros(81), 255),
    ],
)
def test_pixels_come_back_within_their_rounding(values, grey):
    found = pixels_of(picture_of(values))
    np.testing.assert_array_equal(found.ravel(), np.rint(np.ravel(values) * grey))


def test_any_reader_of_png_sees_the_same(tmp_path):
    values = RANDOM.integers(0, 256, (28, 28))
    (tmp_path / "a.png").write_bytes(base64.b64decode(picture_of(values).removeprefix(PREFIX)))
    np.testing.assert_array_equal(np.rint(imread(tmp_path / "a.png") * 255), values)


COLOURS = np.linspace(0, 255, 3 * 9 * 12).round().reshape(3, 9, 12)


@pytest.mark.parametrize("values", [COLOURS, COLOURS.transpose(1, 2, 0), np.vstack([COLOURS, COLOURS[:1]])])
def test_colours_come_back_whichever_way_they_lie(values, tmp_path):
    picture = picture_of(values)
    np.testing.assert_array_equal(pixels_of(picture), COLOURS.transpose(1, 2, 0))
    (tmp_path / "a.png").write_bytes(base64.b64decode(picture.removeprefix(PREFIX)))
    np.testing.assert_array_equal(np.rint(imread(tmp_path / "a.png") * 255), COLOURS.transpose(1, 2, 0))
    assert len(drawn(picture).splitlines()) == 5
    assert cell_text(pl.Series(values)) == cell_text(values.tolist()) == "9 × 12 pixels"


def test_colours_in_one_row_lie_as_is_smoother():
    smooth = np.add.outer(np.arange(10), np.arange(10))[None] + np.array([0, 90, 200])[:, None, None]
    for values in (smooth, smooth.transpose(1, 2, 0)):
        np.testing.assert_array_equal(pixels_of(picture_of(values.ravel())), smooth.transpose(1, 2, 0))


def test_channels_make_a_picture_in_any_range_and_size():
    values = np.linspace(-2, 2, 150 * 90).reshape(1, 150, 90)
    pixels = pixels_of(picture_of(values))
    assert (pixels.shape, pixels.min(), pixels.max()) == ((50, 30), 0, 255)


@pytest.mark.parametrize(
    "values",
    [
        RANDOM.random(63),
        RANDOM.random(49),
        RANDOM.random(65 * 65),
        RANDOM.normal(size=64),
        np.full(64, 256.0),
        np.full(64, np.nan),
        [],
    ],
    ids=["no square", "small", "large", "negative", "beyond", "not a number", "nothing"],
)
def test_other_vectors_are_no_pictures(values):
    assert picture_of(values) is None


def _png(side, rows, *, bits=8):
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", side, side, bits, 0, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
    return PREFIX + base64.b64encode(b"\x89PNG\r\n\x1a\n" + data).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "data:image/png;base64,",
        PREFIX + "<script>alert(1)</script>",
        PREFIX + '" onerror="alert(1)',
        "data:image/svg+xml;base64,PHN2Zz4=",
        _png(8, bytes(71)),
        _png(60_000, bytes(10**7)),
        _png(8, bytes(10**7)),
        _png(8, b"\x01" + bytes(71)),
        _png(8, bytes(72), bits=4),
        picture_of(np.zeros(64)) + "=",
        picture_of(np.zeros(64)) + "\n",
    ],
)
def test_text_that_only_looks_like_a_picture_stays_text(text):
    assert pixels_of(text) is None
    assert drawn(text) == ""


def test_a_picture_is_drawn_two_pixels_a_character():
    values = np.zeros((9, 9))
    values[0, 0] = values[1, 1] = values[2:4, 2] = values[8, 8] = 255
    assert drawn(picture_of(values)).splitlines() == ["▀▄", "  █", "", "", "        ▀"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a" * 700, "a" * 599 + "…"),
        (None, ""),
        (1.5, "1.5"),
        (True, "True"),
        ([1.0, 2.5], "1, 2.5 (2 numbers)"),
        (pl.Series(np.linspace(-1, 1, 300)), "-1, -0.993, -0.987, -0.98, -0.973, -0.967, … (300 numbers)"),
        (pl.Series(np.zeros((8, 8))), "8 × 8 pixels"),
        ([[0] * 8] * 8, "8 × 8 pixels"),
        ([], " (0 numbers)"),
    ],
)
def test_cells_as_text(value, text):
    assert cell_text(value) == text


def test_pixels_are_kept_as_a_picture_and_the_rest_as_text():
    assert kept_cell(pl.Series([0, 255] * 32)) == picture_of([0, 255] * 32)
    assert kept_cell([1.0, 2.0]) == "1, 2 (2 numbers)"


MARKED = {
    "whole words": (["deal"], "a Deal, no dealer", ["Deal"]),
    "a pair parted by anything": (["gas deal"], "gas - deal gasdeal", ["gas - deal"]),
    "vowel signs": (["हिन्दी"], "हिन्दी भाषा", ["हिन्दी"]),
    "Chinese within a sentence": (["北京", " 好"], "我爱北京,好", ["北京", "好"]),
    "Thai": (["กา"], "นกกาบิน", ["กา"]),
    "emoji": (["👍🏽"], "ok👍🏽👍🏽", ["👍🏽", "👍🏽"]),
    "a word stays whole among runs of other scripts": (["art", "艺术"], "party 艺术 art", ["艺术", "art"]),
    "runs of characters of words": ([" smi", "ith"], "Smith", ["Smi"]),
    "nothing": ([], "text", []),
}


@pytest.mark.parametrize("name", MARKED)
def test_words_of_evidence_are_found(name):
    terms, text, found = MARKED[name]
    spans = Marker([(term, -1.0) for term in terms]).spans(text)
    assert [text[start:stop] for start, stop, _ in spans] == found


def test_the_strongest_of_two_runs_that_look_alike_counts():
    assert [value for *_, value in Marker([(" 好", -2.0), ("好 ", 1.0)]).spans("好")] == [-2.0]


HTML = (
    "<!DOCTYPE html><html><head><title>t</title><style>p { color: red }</style></head>"
    "<body><p class=x>Cheap &amp; good</p><script>run()</script><!-- no --> a < b</body></html>"
)
MAIL = """Return-Path: <a@example.org>
Received: from b by c;
\tMon, 1 Jan 2001
Subject: lunch
To: d@example.org

Are you free?
"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HTML, "Cheap & good a < b"),
        ("<html><head><style>" + "x" * 50, "<html><head><style>" + "x" * 50),  # nothing else is there
        (MAIL, "Subject: lunch Are you free?"),
        ("Subject: a line\n\nno other header", "Subject: a line no other header"),
        ("name: a\nkind: b\nsize: c\n\nno mail", "name: a kind: b size: c no mail"),
        ("a < b and c > d", "a < b and c > d"),
    ],
)
def test_head_tags_and_headers_are_left_out(text, words):
    assert " ".join(readable(text).split()) == words


def test_a_passage_holds_the_words_of_evidence():
    text = "Beginning here. " + "filler words " * 100 + "a cheap watch for you, " + "more of it " * 100
    shown = passage(text, (("cheap", -2.0), ("watch", -1.0), ("filler", -0.1)), 240)
    assert len(shown) <= 240
    assert shown.startswith("Beginning here.")
    assert " … " in shown
    assert "cheap watch" in shown
    assert shown.endswith("…")
    assert "cheap watch" in passage(text, (("cheap", -2.0),), 100)


@pytest.mark.parametrize("marks", [(), (("absent", -1.0),), (("beginning", -1.0),)])
def test_a_passage_is_the_beginning_where_nothing_else_says_more(marks):
    text = "beginning " + "and so on " * 100
    assert passage(text, marks, 100) == text[:99].rstrip() + "…"
    assert passage("short", marks, 100) == "short"
    assert passage(text, marks, len(text)) == text


@pytest.mark.parametrize("text", ["<" * 50_000, "a:\n\t" * 20_000, "<!--" * 20_000, "word " * 40_000])
def test_a_passage_is_found_in_linear_time(text):
    assert len(passage(text, (("word", -1.0),), 240)) <= 240


def json(value):
    return str(value).replace("'", '"').replace(" ", "").encode()


def blake(text):
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "little")


def float64(value):
    value = float("nan") if value is None else float(value) + 0.0
    return int.from_bytes(struct.pack("<d", value), "little")


def day(value):
    days = -(2**63) if value is None else (value - dt.date(1970, 1, 1)).days
    return days % 2**64


HASHED = {  # cells, the types that may hold them, and the 64 bits of each as plain Python has them
    "number": ([0.5, -0.0, None, 3.0], (pl.Float64, pl.Float32), float64),
    "whole": ([1, 0, None, -7], (pl.Int64, pl.Int16, pl.Float64), float64),
    "flag": ([True, None, False, True], (pl.Boolean,), float64),
    "day": (
        [dt.date(1970, 1, 2), None, dt.date(1969, 1, 1), dt.date(2026, 1, 1)],
        (pl.Date,),
        day,
    ),
    "name": (
        ["a", "ä", None, ""],
        (pl.String, pl.Categorical),
        lambda v: blake(b"" if v is None else b"=" + v.encode()),
    ),
    "bytes": (
        [b"a", b"b", None, b""],
        (pl.Binary,),
        lambda v: blake(b"" if v is None else b"=" + str(v).encode()),
    ),
    "list": (
        [["a"], [], ["b", "c"], ["a"]],
        (pl.List(pl.String),),
        lambda v: blake(b'={"":' + json(v) + b"}"),
    ),
}


def mixed(x):
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x = (x ^ x >> shift) * factor % 2**64
    return x ^ x >> 31


@pytest.mark.parametrize("times", [1, 5], ids=["different", "repeated"])
@pytest.mark.parametrize("kind", [0, -1])
def test_rows_are_hashed_as_one_after_another(times, kind):
    """Cells are hashed a column at a time; a row's hash is the sum over its cells, whatever holds them."""
    frame = pl.DataFrame(
        {name: pl.Series(cells * times, dtype=types[kind]) for name, (cells, types, _) in HASHED.items()}
    )
    slow = [
        mixed(
            sum(mixed(bits(cells[i]) ^ blake(name.encode())) for name, (cells, _, bits) in HASHED.items())
            % 2**64
        )
        for i in range(4)
    ]
    assert (
        content_hashes(frame, columns=list(HASHED)[::-1]).to_list() == [f"{one:016x}" for one in slow] * times
    )
    assert content_hashes(frame, columns=[]).n_unique() == 1


def test_no_two_rows_of_a_table_have_one_hash_by_their_order():
    frame = pl.DataFrame({"a": [1, 2, 1, 2], "b": [2, 1, 1, 2], "c": ["x", "y", "y", "x"]})
    assert content_hashes(frame, columns=["a", "b", "c"]).n_unique() == 4
    assert content_hashes(frame.head(0), columns=["a"]).to_list() == []
