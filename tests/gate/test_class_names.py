"""Which classes are one class in two spellings, and which only look alike."""

import polars as pl
import pytest

from dataaudit.gate.check import check
from dataaudit.gate.settings import CheckSettings, DatasetSettings


def _twins(classes, folder):
    """Return the classes that the rule names, where each but the first has fewer rows than the one before."""
    labels = [name for i, name in enumerate(classes) for _ in range(30 - i)]
    pl.DataFrame({"x": range(len(labels)), "y": labels}).write_parquet(folder / "data.parquet")
    dataset = DatasetSettings(name="set", paths=(str(folder / "data.parquet"),), label="y")
    verdict = check(CheckSettings(datasets=(dataset,), select=("DA110",), cache=False))
    (outcome,) = verdict.outcomes
    return [finding.message for finding in outcome.findings]


@pytest.mark.parametrize(
    ("one", "other", "seen"),
    [
        ("spam", "Spam", "'Spam'"),
        ("spam", " spam ", "'␣spam␣'"),
        ("not spam", "not  spam", "'not␣␣spam'"),
        ("spam", "spam\t", "'spam\\t'"),
        ("spam", "spam\u200b", "'spam\\u200b'"),
        ("spam", "spam\u00a0", "'spam\\xa0'"),
        ("cafe\u0301", "caf\u00e9", "'caf\\xe9'"),
        ("spam", '"spam"', "'\"spam\"'"),
        ("<=50K", "<=50K.", "'<=50K.'"),
        ("not spam", "not_spam", "'not_spam'"),
        ("not spam", "not-spam", "'not-spam'"),
        ("1", "1.0", "'1.0'"),
        ("class 1", "class 1.0", "'class 1.0'"),
        ("straße", "STRASSE", "'STRASSE'"),
    ],
)
def test_spellings_of_one_class(one, other, seen, tmp_path):
    shown = ascii(one) if "caf" in one else repr(one)  # what looks alike is told apart by its codes
    said = f"Class {seen} (29 rows) is {shown} (30 rows) in another spelling."
    assert _twins([one, other], tmp_path) == [said]


@pytest.mark.parametrize(
    "classes",
    [
        ("class 1.0", "class -1.0"),
        ("1", "-1"),
        ("A+", "A-", "A"),
        ("<=50K", ">50K"),
        ("C", "C++", "C#"),
        ("1-2", "12", "1.2"),
        ("?", "!", "-"),
        ("ham", "hams"),
    ],
)
def test_classes_that_only_look_alike(classes, tmp_path):
    assert _twins(classes, tmp_path) == []


def _new(base, data, folder):
    """Return what is said of the classes of the data that the base has not."""
    for name, labels in (("base", base), ("data", base + data)):
        frame = pl.DataFrame({"x": range(len(labels)), "y": labels})
        frame.write_parquet(folder / f"{name}.parquet")
    path, was = (str(folder / f"{name}.parquet") for name in ("data", "base"))
    dataset = DatasetSettings(name="set", paths=(path,), label="y", base=was)
    (outcome,) = check(CheckSettings(datasets=(dataset,), select=("DA111",), cache=False)).outcomes
    assert (outcome.status == "broken") == bool(data)
    return [finding.message for finding in outcome.findings]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("spamm", "'spamm' is a new class: 1 row; did you mean 'spam'?"),
        ("Spam", "'Spam' is a new class: 1 row; did you mean 'spam'?"),
        ("ham ", "'ham␣' is a new class: 1 row; did you mean 'ham'?"),
        ("eggs", "'eggs' is a new class: 1 row."),
        ("kind 3", "'kind 3' is a new class: 1 row."),  # another number is no slip of the pen
    ],
)
def test_new_classes_are_named_with_the_near_one(name, said, tmp_path):
    base = ["spam", "ham", "kind 1"] * 20
    assert _new(base, [name], tmp_path) == [said]


def test_new_classes_are_counted(tmp_path):
    assert _new(["spam", "ham"] * 20, ["spamm"] * 3, tmp_path) == [
        "'spamm' is a new class: 3 rows; did you mean 'spam'?"
    ]
    assert _new(["spam", "ham"] * 20, [], tmp_path) == []
