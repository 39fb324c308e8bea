"""Roles of columns: on made-up columns of each kind, and on real tables."""

import datetime as dt
import random

import polars as pl
import pytest

from dataaudit.errors import EncodeError, MissingColumn, SettingError
from dataaudit.features import fit_encoding
from dataaudit.features.roles import infer_roles
from dataaudit.options import EncoderOptions

N = 30
START = dt.datetime(2024, 1, 31, 22, tzinfo=dt.UTC).replace(tzinfo=None)
SHUFFLED = random.Random(0).sample(range(1000), N)


def role_of(values, name="x", *, dtype=None, **settings):
    series = values if isinstance(values, pl.Series) else pl.Series(name, values, dtype=dtype, strict=False)
    frame = pl.DataFrame([pl.Series("y", [0, 1] * (len(series) // 2)), series.alias(name)])
    (role,) = infer_roles(frame, "y", settings=EncoderOptions(**settings))
    assert role.column == name
    return role


CASES = {
    "floats": ([i / 7 for i in range(N)], "numeric", "numbers; 30 different values"),
    "floats, some missing": ([None, 1.5, 2.5] * 10, "numeric", "2 different values, 10 missing"),
    "decimals": (pl.Series(["1.50", "2.25", "3.00"] * 10).cast(pl.Decimal(10, 2)), "numeric", "numbers"),
    "codes stay numbers": ([1, 2, 8] * 10, "numeric", "3 different values"),
    "wide integers": (pl.Series(SHUFFLED, dtype=pl.UInt64), "numeric", "30 different"),
    "two integers": ([3, 5] * 15, "boolean", "two values: 3 and 5"),
    "one integer or none": ([3, None] * 15, "numeric", "3 or missing"),
    "true or false": ([True, False, None] * 10, "boolean", "true or false"),
    "strings of numbers": (["1", "2.5", " -3e2"] * 10, "numeric", "strings that are numbers"),
    "numbers but for ?": (["1", "2", "3", "4", "?"] * 6, "numeric", "but for '?'"),
    "codes with leading zero": (["01", "02", "10"] * 10, "categorical", "3 different values"),
    "diagnoses": (["250.8", "428", "V57", "E90", "E91", "E92"] * 5, "categorical", "6 different values"),
    "few strings": (["a", "b", None] * 10, "categorical", "2 different values, 10 missing"),
    "long answers": (
        ["No, never in all these years", "Yes, but long ago, not now"] * 15,
        "categorical",
        "2 diff",
    ),
    "texts": (
        [f"dear friend {i} please call me now" for i in range(N)],
        "text",
        "7 words a row, 100% of the",
    ),
    "Chinese": (
        [f"我们昨天在{c}市买了一本书" for c in map(chr, range(0x4E00, 0x4E00 + N))],
        "text",
        "words a row",
    ),
    "Thai": ([f"ฉันซื้อหนังสือเล่มใหม่{i}" for i in range(N)], "text", "words a row"),
    "Chinese names": ([f"王{c}" for c in map(chr, range(0x4E00, 0x4E00 + N))], "left out", "short strings"),
    "emoji": ([chr(0x1F600 + i) + chr(0x1F620 + i) for i in range(N)], "text", "100% of the texts"),
    "short and all different": (
        [f"a{i}" for i in range(N)],
        "left out",
        "short strings, 30 different values in 30",
    ),
    "category type": (
        pl.Series(["a", "b", ""] * 10, dtype=pl.Categorical),
        "categorical",
        "2 different values, 10 m",
    ),
    "enum type": (pl.Series(["a", "b"] * 15, dtype=pl.Enum(["a", "b"])), "categorical", "type is Enum"),
    "date": ([dt.date(2024, 1, 1) + dt.timedelta(i) for i in range(N)], "datetime", "Date"),
    "datetime": ([START + dt.timedelta(hours=i) for i in range(N)], "datetime", "Datetime"),
    "time": ([dt.time(i % 24) for i in range(N)], "datetime", "Time"),
    "duration": ([dt.timedelta(hours=i) for i in range(N)], "datetime", "Duration"),
    "ISO dates": ([f"2024-01-{i + 1:02d}" for i in range(N)], "datetime", "ISO dates"),
    "ISO times": ([f"2024-01-{i + 1:02d}T10:30Z" for i in range(N)], "datetime", "ISO dates"),
    "lists of one length": ([[1, 2], [3, None], None] * 10, "vector", "every cell has 2 numbers"),
    "array of two dimensions": (
        pl.Series([[[1, 2], [3, 4]]] * N, dtype=pl.Array(pl.UInt8, (2, 2))),
        "vector",
        "4 n",
    ),
    "lists of many lengths": (
        [[1], [1, 2]] * 15,
        "left out",
        "lists of 1 to 2 numbers, and a vector needs one",
    ),
    "lists of strings": ([["a"], ["b"]] * 15, "left out", r"only lists of numbers"),
    "empty lists": (pl.Series([[]] * N, dtype=pl.List(pl.Int64)), "left out", "every cell is an empty list"),
    "struct": ([{"a": i} for i in range(N)], "left out", "unnest it"),
    "bytes": ([b"a", b"b"] * 15, "left out", "Binary"),
    "objects": (pl.Series([object() for _ in range(N)], dtype=pl.Object), "left out", "Object"),
    "nothing": ([None] * N, "left out", "every value is missing"),
    "nothing but NaN": ([float("nan")] * N, "left out", "every value is missing"),
    "nothing but empty strings": ([""] * N, "left out", "every value is missing"),
    "constant": (["same"] * N, "left out", "the same value in every row"),
    "constant number": ([2.5] * N, "left out", "the same value in every row"),
    "counts rows": (list(range(7, 7 + N)), "left out", "counts the rows from 7 to 36"),
    "counts down": (list(range(N, 0, -1)), "left out", "counts the rows from 30 to 1"),
}


@pytest.mark.parametrize("case", CASES)
def test_role_is_inferred_with_a_reason(case):
    values, role, reason = CASES[case]
    found = role_of(values)
    assert (found.role, reason in found.reason) == (role, True), found


@pytest.mark.parametrize(
    "name", ["id", "patient_id", "ID", "patient nr", "userId", "uuid", "row.key", "index"]
)
def test_whole_numbers_named_like_an_identifier_are_left_out(name):
    found = role_of(SHUFFLED, name)
    assert found.role == "left out"
    assert "named like an identifier, 30 different values in 30 rows" in found.reason
    assert role_of([float(value) for value in SHUFFLED], name).role == "left out"
    assert role_of([str(value) for value in SHUFFLED], name).role == "left out"


@pytest.mark.parametrize("name", ["paid", "humid", "valid", "body_mass_index", "monkey", "idea", "grid"])
def test_words_that_end_like_an_identifier_are_none(name):
    assert role_of(SHUFFLED, name).role == "numeric"


def test_few_values_or_fractions_are_no_identifier_whatever_the_name():
    assert role_of([1, 2, 8] * 10, "admission_type_id").role == "categorical"
    assert role_of([value + 0.5 for value in SHUFFLED], "id").role == "numeric"
    # With few rows all values may well differ.
    assert role_of(list(range(8))).role == "numeric"
    assert role_of([f"a{i}" for i in range(8)]).role == "categorical"


def test_user_overrides_what_is_inferred():
    assert role_of(SHUFFLED, "id", features=("id",)).role == "numeric"
    assert role_of(list(range(N)), features=("x",)).role == "numeric"
    assert role_of([f"a{i}" for i in range(N)], features=("x",)).role == "categorical"
    assert role_of([1, 2, 8] * 10, categorical=("x",)).role == "categorical"
    assert role_of(["a", "b"] * 15, text=("x",)).role == "text"
    assert role_of([1, 2, 8] * 10, exclude=("x",)).reason == "you excluded it"


def test_named_features_are_the_only_ones():
    frame = pl.DataFrame(
        {"y": [0, 1] * 15, "a": [1, 2, 8] * 10, "b": [1, 2, 8] * 10, "t": ["u v", "w x", "z"] * 10}
    )
    roles = infer_roles(frame, "y", settings=EncoderOptions(features=("a",), text=("t",)))
    assert [(role.column, role.role) for role in roles] == [
        ("a", "numeric"),
        ("b", "left out"),
        ("t", "text"),
    ]
    assert roles[1].reason == "not among the features that you named"


ERRORS = {
    "misspelt": (
        {"text": ("boddy",)},
        MissingColumn,
        "column 'boddy' is not in the table. Hint: did you mean 'body'",
    ),
    "the label": ({"features": ("y",)}, SettingError, "column 'y' is the label, so no feature"),
    "number as text": ({"text": ("number",)}, EncodeError, "column 'number' is Int64, not text"),
    "list as text": ({"text": ("ragged",)}, EncodeError, "column 'ragged' is List.Int64., not text"),
    "list as category": (
        {"categorical": ("ragged",)},
        EncodeError,
        "column 'ragged' is List.Int64., not text or cat",
    ),
    "ragged as feature": (
        {"features": ("ragged",)},
        EncodeError,
        "column 'ragged' cannot be used: lists of 1 to 2",
    ),
    "no words": (
        {"text": ("letters",), "text_units": "words"},
        EncodeError,
        "text column 'letters' has no word in any row",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_what_the_user_names_wrongly_is_one_line(case):
    settings, error, message = ERRORS[case]
    frame = pl.DataFrame(
        {
            "y": [0, 1],
            "number": [1, 2],
            "ragged": [[1], [1, 2]],
            "letters": ["a b", "c d"],
            "body": ["ab", "cd"],
        }
    )
    with pytest.raises(error, match=message) as caught:
        fit_encoding(frame, "y", settings=EncoderOptions(**settings))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"text": ("a",), "exclude": ("a",)}, "column 'a' is named under both text and exclude"),
        ({"text": ("a",), "categorical": ("a",)}, "column 'a' is named under both text and categorical"),
        ({"features": ("a",), "exclude": ("a",)}, "column 'a' is named under both features and exclude"),
        (
            {"categorical": ("a",), "exclude": ("a",)},
            "column 'a' is named under both categorical and exclude",
        ),
        ({"text_features": "word2vec"}, "unknown text_features: got 'word2vec'"),
        ({"max_levels": 0}, "max_levels must be 1 or more: got 0"),
        ({"min_df": 0}, "min_df must be 1 or more: got 0"),
        ({"counts_min_df": 0}, "counts_min_df must be 1 or more: got 0"),
    ],
)
def test_settings_that_contradict_are_refused(settings, message):
    with pytest.raises(SettingError, match=message):
        EncoderOptions(**settings)


def test_roles_of_the_hospital_table(data_folder):
    frame = pl.read_parquet(data_folder / "diabetes130.parquet")
    roles = {role.column: role.role for role in infer_roles(frame, "readmitted", settings=EncoderOptions())}
    assert len(roles) == 49
    left_out = [column for column, role in roles.items() if role == "left out"]
    assert left_out == ["encounter_id", "patient_nbr", "examide", "citoglipton"]
    assert roles["time_in_hospital"] == "numeric"
    assert roles["admission_type_id"] == roles["discharge_disposition_id"] == "categorical"
    assert roles["age"] == roles["diag_1"] == roles["weight"] == "categorical"


def test_roles_of_mail_and_digits(data_folder):
    mail = pl.read_parquet(data_folder / "enron1.parquet")
    roles = infer_roles(mail, "label", settings=EncoderOptions())
    assert [(role.column, role.role) for role in roles] == [("id", "left out"), ("text", "text")]
    digits = pl.read_parquet(data_folder / "mnist_test.parquet").head(100)
    (role,) = infer_roles(digits, "label", settings=EncoderOptions())
    assert (role.role, role.reason) == ("vector", "every cell has 784 numbers")


SKEWED = [int(1e4 * 1.13**i) + i % 7 for i in range(60)]  # like incomes
SPARSE = sorted(random.Random(1).sample(range(1000), 60))
SECONDS = [1_700_000_000 + 977 * i + i * i % 631 for i in range(60)]
HALVES = [*SPARSE[::2], *SPARSE[1::2]]  # sorted by label


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (SPARSE, "the rows from 2 to 992, with gaps"),
        (SPARSE[::-1], "the rows from 992 to 2, with gaps"),
        (HALVES, "the rows in 2 sorted stretches, with gaps"),
        ([float(value) for value in HALVES], "the rows in 2 sorted stretches, with gaps"),
        ([str(value) for value in HALVES], "the rows in 2 sorted stretches, with gaps"),
        ([None, *SPARSE, None], "with gaps"),
        ([10 * i for i in range(60)], "the rows from 0 to 590, with gaps"),
    ],
)
def test_what_counts_the_rows_is_left_out(values, reason):
    found = role_of(values)
    assert (found.role, reason in found.reason) == ("left out", True), found
    assert role_of(values, features=("x",)).role == "numeric"


@pytest.mark.parametrize(
    "values",
    [
        SKEWED,  # a sorted table
        [*SKEWED[::2], *SKEWED[1::2]],  # sorted by label, then by income
        SECONDS,
        [1000 * value for value in SECONDS],
        [20_240_000 + 100 * month + day for month in range(1, 4) for day in range(1, 21)],
        [value + 0.5 for value in SPARSE],
        random.Random(2).sample(SPARSE, 60),
        [*SPARSE[::3], *SPARSE[1::3], *SPARSE[2::3]],  # more stretches than classes
        [0, *SPARSE[:-1]],  # two are equal
    ],
)
def test_quantities_are_kept_though_they_are_sorted(values):
    if values[0] == 0:
        values[0] = values[1]
    assert role_of(values).role == "numeric"


def test_the_index_of_a_data_frame_is_left_out_in_any_order():
    shuffled = random.Random(2).sample(SPARSE, 60)
    for name in ("Unnamed: 0", "Unnamed: 0.1", "__index_level_0__"):
        found = role_of(shuffled, name)
        assert (found.role, "index of a data frame" in found.reason) == ("left out", True)
    assert role_of(random.Random(3).sample(range(300), 60), "column_1").role == "left out"
    assert role_of(shuffled, "column_1").role == "numeric"
    assert role_of([value // 3 for value in shuffled], "Unnamed: 0").role == "numeric"
