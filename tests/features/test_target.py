"""Label columns to class numbers: what counts as a class, what is refused, and what is said about it."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from dataaudit.errors import BadTarget, DataError
from dataaudit.features.target import class_texts, encode_target, encode_weight

ACCEPTED = {
    "strings": (["b", "a", "b", "a"], None, ("a", "b"), [1, 0, 1, 0]),
    "whole numbers in their own order": ([10, 9, 10, 9], None, ("9", "10"), [1, 0, 1, 0]),
    "negative numbers": ([1, -1, 1, -1], pl.Int8, ("-1", "1"), [1, 0, 1, 0]),
    "unsigned numbers": ([7, 0, 0, 7], pl.UInt64, ("0", "7"), [1, 0, 0, 1]),
    "booleans": ([True, False, True], None, ("false", "true"), [1, 0, 1]),
    "whole numbers held as floats": ([1.0, 0.0, 1.0], None, ("0", "1"), [1, 0, 1]),
    "float32": ([2.0, -0.0, 2.0], pl.Float32, ("0", "2"), [1, 0, 1]),
    "few fractions": ([0.5, 1.5, 0.5, 1.0], None, ("0.5", "1.0", "1.5"), [0, 2, 0, 1]),
    "floats too large for 64 bits": ([1e300, 2e300, 1e300], None, ("1e+300", "2e+300"), [0, 1, 0]),
    "categories": (["z", "a", "z"], pl.Categorical, ("a", "z"), [1, 0, 1]),
    "an enumeration in its order": (
        ["low", "high", "low"],
        pl.Enum(["low", "high"]),
        ("low", "high"),
        [0, 1, 0],
    ),
    "three classes": (["c", "a", "b", "a"], None, ("a", "b", "c"), [2, 0, 1, 0]),
    "the empty string is a class": (["", "a", ""], None, ("", "a"), [0, 1, 0]),
    "other alphabets": (["ж", "я", "ж"], None, ("ж", "я"), [0, 1, 0]),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_classes_and_their_numbers(name):
    values, dtype, classes, y = ACCEPTED[name]
    target = encode_target(pl.Series("y", values, dtype=dtype))
    assert target.classes == classes
    assert target.y.tolist() == y
    assert target.y.dtype == np.int64
    assert target.kept.all()


@pytest.mark.parametrize("values", [["a", None, "b", "a", None], [1.0, float("nan"), 0.0, 1.0, None]])
def test_rows_without_a_label_are_left_out_and_said_so(values):
    target = encode_target(pl.Series("outcome", values))
    assert target.kept.to_list() == [True, False, True, True, False]
    assert len(target.y) == 3
    assert target.notes[0] == "2 of 5 rows have no 'outcome' and were left out."


HELD = {
    "lists of one": ([["b"], ["a"], ["b"]], None, "lists of one value: the value is the class"),
    "arrays of one": (
        [["b"], ["a"], ["b"]],
        pl.Array(pl.String, 1),
        "lists of one value: the value is the class",
    ),
    "structs of one field": (
        [{"x": "b"}, {"x": "a"}, {"x": "b"}],
        None,
        "structs: their field 'x' is the class",
    ),
    "structs with a name": (
        [{"id": 2, "name": "b"}, {"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
        None,
        "structs: their field 'name' is the class",
    ),
    "bytes": ([b"b", b"a", b"b"], None, "bytes: they are read as UTF-8"),
}


@pytest.mark.parametrize("name", HELD)
def test_classes_in_lists_structs_and_bytes_are_taken_out_and_said(name):
    values, dtype, note = HELD[name]
    labels = pl.Series("y", [*values, None], dtype=dtype)
    target = encode_target(labels)
    assert target.classes == ("a", "b")
    assert target.y.tolist() == [1, 0, 1]
    assert target.notes[:2] == (
        f"The label column 'y' holds {note}.",
        "1 of 4 rows have no 'y' and were left out.",
    )
    assert class_texts(labels).to_list() == ["b", "a", "b", None]


def test_an_empty_list_is_a_missing_label():
    assert encode_target(pl.Series("y", [["a"], [], ["b"], ["a"]])).kept.to_list() == [
        True,
        False,
        True,
        True,
    ]


def test_decimals_are_classes():
    target = encode_target(pl.Series("y", ["1.50", "2.00", "1.50"]).cast(pl.Decimal(9, 2)))
    assert target.classes == ("1.50", "2.00")


def test_a_class_that_reads_like_a_missing_label_is_kept_and_said():
    notes = encode_target(pl.Series("y", ["NA", "a", "NA", "a"])).notes
    assert notes == (
        (
            "The class 'NA' (2 rows) reads like a missing label and was kept: "
            "empty those cells, or audit with --no-label=NA, if it is no class."
        ),
    )


def test_hundreds_of_classes_are_classes():
    assert len(encode_target(many(5_600, 3)).classes) == 5_600


def many(count, copies=2):
    return pl.Series("y", [f"class {i}" for i in range(count)] * copies)


REFUSED = {
    "one class": (pl.Series("y", ["a"] * 3), r"has one class: got 'a' in all 3 rows"),
    "one row": (pl.Series("y", ["a"]), "has one class"),
    "one class beside nulls": (pl.Series("y", ["a", None, "a"]), r"one class: got 'a' in all 2 rows"),
    "no values": (pl.Series("y", [None, None], dtype=pl.String), "has no values: 2 rows, all empty"),
    "no values and no type": (pl.Series("y", [None, None]), "has no values"),
    "only NaN": (pl.Series("y", [float("nan")] * 3), "has no values"),
    "continuous": (
        pl.Series("y", np.linspace(0, 1, 50)),
        r"continuous: got 50 distinct fractions.*Hint: predict numbers with --task regression",
    ),
    "infinite": (pl.Series("y", [1.0, 2.0, float("inf")]), "has 1 infinite values"),
    "a class per row": (pl.Series("y", ["a", "b", "c"]), "a class of its own for each of the 3 rows"),
    "a class per row, many": (many(10_000, 1), "a class of its own for each of the 10000 rows"),
    "classes of a row or two": (
        many(10_000, 1).append(many(200, 1)),
        "has 10,000 classes in 10,200 rows, less",
    ),
    "whole numbers without end": (pl.Series("y", [*range(200), 0]), "has 200 classes in 201 rows"),
    "dates": (
        pl.Series("y", [dt.date(2020, 1, 1), dt.date(2021, 1, 1)] * 2),
        r"no classes: got type Date.*df\['y'\].astype\(str\)",
    ),
    "times of day": (pl.Series("y", [dt.time(1), dt.time(2)] * 2), "no classes: got type Time"),
    "durations": (pl.Series("y", [dt.timedelta(1), dt.timedelta(2)] * 2), "no classes: got type Duration"),
    "lists": (
        pl.Series("y", [["a", "b"], ["c"]] * 2),
        r"lists of several values.*pl.col\('y'\).list.first\(\) in Polars",
    ),
    "arrays": (pl.Series("y", [[1, 2]] * 3, dtype=pl.Array(pl.Int8, 2)), "got lists of several values"),
    "structs": (
        pl.Series("y", [{"a": 1, "b": 2}, {"a": 2, "b": 2}] * 2),
        r"got type Struct.*struct.field\('a'\)",
    ),
    "structs of one name": (pl.Series("y", [{"name": "x", "b": i} for i in range(4)] * 2), "got type Struct"),
    "bytes": (pl.Series("y", [b"a", b"\xff"] * 2), "bytes that are not UTF-8.*bin.encode.'hex'.*bytes.hex"),
    "decimal fractions": (
        pl.Series("y", [f"{i / 4}" for i in range(60)] * 2).cast(pl.Decimal(9, 2)),
        "continuous",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_in_one_line_with_a_hint(name):
    labels, match = REFUSED[name]
    with pytest.raises(BadTarget, match=match) as caught:
        encode_target(labels)
    message = str(caught.value)
    assert "'y'" in message
    assert "\n" not in message
    assert ". Hint: " in message


def test_a_hundred_classes_are_few_enough():
    assert len(encode_target(many(100)).classes) == 100


@pytest.mark.parametrize("count", [20, 21])
def test_twenty_fractions_are_classes_and_one_more_is_a_measurement(count):
    labels = pl.Series("y", list(np.arange(count) + 0.5) * 3)
    if count == 20:
        assert len(encode_target(labels).classes) == 20
    else:
        with pytest.raises(BadTarget, match="continuous"):
            encode_target(labels)


@pytest.mark.parametrize(("count", "said"), [(10, False), (14, True)])
def test_more_whole_numbers_than_digits_are_said_to_be_classes(count, said):
    """Days from 1 to 14 look like codes of classes, and nobody is asked."""
    days = pl.Series("days", list(range(1, count + 1)) * 3)
    notes = encode_target(days).notes
    assert [note for note in notes if "--task count or regression" in note] == list(notes[:said])
    assert (f"The {count} numbers of 'days' are taken as classes" in "".join(notes)) is said
    assert encode_target(days, "classification").notes == ()  # as asked


def test_a_single_row_of_a_class_is_said():
    assert encode_target(pl.Series("y", ["a", "a", "b"])).notes == (
        "1 class has a single row ('b'): its label cannot be judged.",
    )
    note = encode_target(pl.Series("y", ["a", "a", *"bcdef"])).notes[0]
    assert note == "5 classes have a single row ('b', 'c', 'd', …): their labels cannot be judged."


def test_classes_that_differ_in_case_or_spaces_are_kept_apart_and_said():
    target = encode_target(pl.Series("y", ["Spam", "spam ", "ham", "spam "] * 2))
    assert target.classes == ("Spam", "ham", "spam ")
    assert target.notes == (
        (
            "Classes 'Spam' (2 rows) and 'spam␣' (4 rows) differ in case or blanks only: "
            "they were kept apart. An audit with --fold-labels reads them as one."
        ),
    )


@pytest.mark.parametrize("values", [["b", "a"], [3.0, 1.0], [True, False], [2, 1], [0.5, 1.5]])
def test_a_models_classes_get_the_same_names(values):
    """A fitted model knows its classes as values, the target as names."""
    target = encode_target(pl.Series("y", values * 2))
    assert sorted(class_texts(pl.Series(values)).to_list()) == sorted(target.classes)


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
