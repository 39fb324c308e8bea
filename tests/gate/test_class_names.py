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
    ("one", "other"),
    [
        ("spam", "Spam"),
        ("spam", " spam "),
        ("spam", '"spam"'),
        ("<=50K", "<=50K."),
        ("not spam", "not_spam"),
        ("not spam", "not-spam"),
        ("1", "1.0"),
        ("class 1", "class 1.0"),
        ("straße", "STRASSE"),
    ],
)
def test_spellings_of_one_class(one, other, tmp_path):
    said = f"Class {other.strip()} (29 rows) is {one} (30 rows) in another spelling."
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
