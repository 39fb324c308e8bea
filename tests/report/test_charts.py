import math
import re

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataaudit.report import words
from dataaudit.report.charts import at_ends, decades, horizontal, path, power, steps, vertical
from dataaudit.report.figures import selection
from dataaudit.report.rows import Term, term_name


@given(st.floats(-1000, 1000), st.floats(1e-6, 1e9))
def test_ticks_are_few_round_and_inside(start, span):
    low = start * span  # an axis is never a millionth of its distance from zero: see `padded`
    ticks = steps(low, low + span)
    assert len(ticks) <= 7
    assert all(low - 1e-6 * span <= t <= low + span + 1e-6 * span for t in ticks)


@given(st.integers(-12, 5), st.integers(1, 12))
def test_decades_are_powers_of_ten(first, more):
    values = decades(10.0**first, 10.0 ** (first + more))
    assert 2 <= len(values) <= 7
    assert all(math.log10(v) == pytest.approx(round(math.log10(v))) for v in values)


def test_scales():
    assert horizontal(0, 10)(5) == (46 + 396) / 2
    assert vertical(1, 100, log=True)(10) == (200 + 26) / 2
    assert vertical(0, 1)(7) == 26  # kept inside
    assert horizontal(3, 3)(3) == (46 + 396) / 2
    assert [power(v) for v in (1.0, 1000.0, 1e-4, 1e7)] == ["1", "1,000", "10⁻⁴", "10⁷"]
    assert path([(1, 2.5), (3, 4)]) == "M1,2.5L3,4"


@given(st.lists(st.tuples(st.floats(46, 396), st.floats(26, 200)), min_size=1, max_size=8))
def test_letters_at_the_ends_of_lines_do_not_overlap(ends):
    labels = at_ends(ends, "abcdefgh"[: len(ends)])
    assert sorted(label.text for label in labels) == list("abcdefgh"[: len(ends)])
    for at, one in enumerate(labels):
        for other in labels[:at]:
            assert abs(one.x - other.x) > 11.9 or abs(one.y - other.y) > 11.9


def tried(*rows):
    names = ("basis", "l2", "loo_loss", "standard_error", "chosen", "rows")
    return pl.DataFrame(rows, schema=names, orient="row")


def test_every_line_of_the_choice_is_one_path_and_has_its_letter():
    table = tried(
        *(
            (basis, l2, loss + shift, 0.01, (basis, rows, l2) == ("levels", 3000, 0.01), rows)
            for basis, rows, shift in (("levels", 3000, 0.0), ("levels", 2000, 0.1), ("splines", 2000, 0.2))
            for l2, loss in ((0.001, 0.5), (0.01, 0.3), (0.1, 0.4))
        )
    )
    plot = selection(table)
    *paths, _ = plot.lines  # the last one is the standard error
    assert [line.tone for line in paths] == ["quiet", "quiet", "accent"]
    for line in paths:
        x = [float(place) for place in re.findall(r"[ML]([\d.]+),", line.path)]
        assert len(x) == 3
        assert x == sorted(x)
    assert sorted(label.text for label in plot.labels) == ["a", "b", "c"]
    assert "Encodings tried: 2; fits: 9." in plot.description
    assert "a, levels on 2,000 rows; b, splines on 2,000 rows; c, levels on 3,000 rows." in plot.description
    assert [row[:3] for row in plot.table[:2]] == [("levels", "3,000", "0.001"), ("levels", "3,000", "0.01")]


def test_one_line_needs_no_letter():
    plot = selection(tried(*(("levels", l2, 0.3, 0.01, False, 100) for l2 in (0.001, 0.01))))
    assert plot.labels == ()
    assert "a, levels" not in plot.description


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("-0.9765217689500731", "-0.976522"),
        ("0.5", "0.5"),
        ("1234567890", "1234567890"),
        ("12345678.25", "12345678"),
        ("1e-09", "1e-09"),
        ("inf", "inf"),
        ("2020-01-02", "2020-01-02"),
    ],
)
def test_numbers_of_cells_are_short(cell, text):
    assert term_name(Term("numeric", "x", None, cell, -1)) == f"x = {text}"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.9712, "97.1\xa0%"),
        (0.99999, ">\xa099.9\xa0%"),
        (1e-6, "<\xa00.1\xa0%"),
        (0.0, "0.0\xa0%"),
        (1.0, "100.0\xa0%"),
        (None, "–"),
        (math.nan, "–"),
    ],
)
def test_shares(value, text):
    assert words.share(value) == text


def test_numbers():
    assert [words.fixed(v) for v in (-0.126, 1234.5, 1e-5, 2.5e7, math.inf, None)] == [
        "−0.13", "1,234.50", "1e−05", "2.5e+07", "–", "–",
    ]  # fmt: skip
    assert [words.signed(v) for v in (0.5, -0.5, 0.0, None)] == ["+0.50", "−0.50", "+0.00", "–"]
    assert [words.count(v) for v in (4137, 2.6, None)] == ["4,137", "3", "–"]
    assert [words.short(v) for v in (2.0000001e-4, 3.1e-11)] == ["0.0002", "3.1e−11"]


def test_evidence_is_named_as_people_know_it():
    assert term_name(Term("text", "body", "winner", "winner", -1)) == "winner"
    assert term_name(Term("categorical", "job", "cook", "cook", -1)) == "job = cook"
    assert term_name(Term("numeric", "age", None, "34", -1)) == "age = 34"
    assert term_name(Term("numeric", "age", "(missing)", None, -1)) == "age is missing"
    assert term_name(Term("categorical", "job", None, "", -1)) == "job is missing"
    assert term_name(Term("numeric", "age", None, "nan", -1)) == "age is missing"
    assert term_name(Term("categorical", "name", None, "nan", -1)) == "name = nan"
    assert term_name(Term("vector", "pixels", "17", "0.3", -1)) == "pixels[17]"
    assert term_name(Term("", "age", None, None, -1)) == "age"
