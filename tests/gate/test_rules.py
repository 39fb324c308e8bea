"""Every rule is documented, fits its table, lets a good table pass and names what is wrong in a bad one."""

import re

import polars as pl
import pytest
from gate.tables import CASES, PLAIN, TEST, N, Side, dated, numbered, with_column

from dataaudit.gate.check import check
from dataaudit.gate.facts import fact_tables
from dataaudit.gate.judge import check_rule
from dataaudit.gate.rules import BUILT_IN, SECTIONS, read_packs
from dataaudit.gate.settings import CheckSettings, DatasetSettings

RULES = {rule.code: rule for rule in read_packs()}
PREFIX = {
    "labels": "DA1",
    "leakage": "DA2",
    "domain": "DA3",
    "table": "DA4",
    "influence": "DA5",
    "health": "DA9",
}
CHEAP = {
    rule.code for rule in RULES.values() if fact_tables()[rule.table].cost < 2 and rule.table != "reading"
}


@pytest.mark.parametrize("code", RULES)
def test_rule_is_whole(code):
    rule = RULES[code]
    assert code.startswith(PREFIX[rule.pack])
    assert check_rule(rule, fact_tables()).name == rule.table
    sections = re.split(r"^## .*$", rule.doc, flags=re.MULTILINE)[1:]
    assert len(sections) == len(SECTIONS)
    assert all(section.strip() for section in sections), "each section says something"
    assert not rule.title.endswith(".")


def test_there_are_enough_rules_and_all_packs_have_some():
    assert len(RULES) >= 24
    assert {rule.pack for rule in RULES.values()} == set(BUILT_IN) == set(PREFIX)


def test_each_rule_that_needs_no_fit_has_a_case():
    shift = {code for code in CHEAP if RULES[code].table == "shift"}  # tested with the facts of the fit
    assert CASES.keys() == CHEAP - shift


def _outcome(code, side, folder):
    """Write the frames and judge them by one rule."""
    places = {}
    for name in ("data", "test", "base"):
        frame = getattr(side, name)
        if frame is not None:
            places[name] = folder / f"{name}.parquet"
            frame.write_parquet(places[name])
    dataset = DatasetSettings(
        name="set",
        paths=(str(places["data"]),),
        label="y",
        text=("note",) if "note" in side.data.columns else (),
        test=(str(places["test"]),) if "test" in places else (),
        base=str(places.get("base", "")),
        **side.settings,
    )
    (outcome,) = check(CheckSettings(datasets=(dataset,), select=(code,), cache=False)).outcomes
    return outcome


@pytest.mark.parametrize("code", CASES)
def test_good_table_passes(code, tmp_path):
    outcome = _outcome(code, CASES[code].keeps, tmp_path)
    assert outcome.status == "passed", outcome.message
    assert [finding for finding in outcome.findings if finding.gates] == [] or RULES[code].measure == "share"


@pytest.mark.parametrize("code", CASES)
def test_bad_table_is_named(code, tmp_path):
    case = CASES[code]
    outcome = _outcome(code, case.breaks, tmp_path)
    assert outcome.status == "broken", outcome.message
    if case.value is not None:
        assert outcome.value == pytest.approx(case.value)
    named = [finding for finding in outcome.findings if finding.gates]
    assert outcome.total == len(outcome.findings)
    if case.rows:
        assert sorted(finding.site.row for finding in named) == list(case.rows)
    if case.columns:
        assert sorted(finding.site.column for finding in named) == sorted(case.columns)
    for said in (outcome.message, *(finding.message for finding in named)):
        assert "{" not in said
        assert "—" not in said, "no value is missing from a sentence"
    assert len({finding.fingerprint for finding in outcome.findings}) == len(outcome.findings)


NUMBERS, LEVELS, TEXTS = (PLAIN.select(name, "y") for name in ("x", "colour", "note"))
LABELS = PLAIN.select("y")
QUANTITY = with_column("y", [0.5 + i for i in range(N)])
DATES = {"settings": {"date": "day"}}
UNDATED = dated(0, TEST).with_columns(day=pl.lit(None, pl.Date))
NOTHING = {  # rules that meet nothing to judge, and what they say
    "DA101": (Side(LEVELS), "Wrong labels cannot be distinguished"),
    "DA103": (Side(PLAIN, base=PLAIN), "No labelled row is new, and no label has changed."),
    "DA104": (Side(LABELS), "There is no feature column."),
    "DA106": (Side(LABELS), "There is no feature column."),
    "DA107": (Side(QUANTITY), "The label is a quantity"),
    "DA110": (Side(QUANTITY), "The label is a quantity"),
    "DA111": (Side(PLAIN, base=PLAIN.drop("y")), "The base has no column 'y'."),
    "DA201": (Side(NUMBERS, TEST.drop("x")), "share no column but label, id and weight"),
    "DA204": (Side(with_column("y", "ham")), "There is one class: any column predicts it."),
    "DA205": (Side(TEXTS), "There is no feature column but text and lists."),
    "DA206": (Side(numbered(), TEST, settings={"id": "key"}), "The test data lack the id column 'key'."),
    "DA207": (Side(LABELS), "There is no feature column."),
    "DA208": (Side(dated(0, PLAIN), TEST, **DATES), "The test data lack the date column 'day'."),
    "DA301": (Side(NUMBERS, TEST.drop("x")), "Data and test data share no feature column."),
    "DA302": (Side(PLAIN, TEST.drop("y")), "The data or the test data have no labels."),
    "DA303": (Side(PLAIN, TEST.drop("y")), "The data or the test data have no labels"),
    "DA304": (Side(PLAIN, TEST.drop("y")), "The test data have no label that the data know"),
    "DA305": (Side(NUMBERS, TEST), "There is no column of levels on both sides."),
    "DA306": (Side(PLAIN, base=PLAIN), "No row is new or changed."),
    "DA307": (Side(LEVELS, TEST), "There is no column of numbers on both sides."),
    "DA308": (Side(PLAIN, base=PLAIN), "No row is new or changed."),
    "DA309": (Side(PLAIN, TEST.drop("y")), "The test data have no labels."),
    "DA401": (Side(LABELS), "There is no feature column."),
    "DA402": (Side(LABELS), "There is no feature column."),
    "DA403": (Side(LABELS), "There is no feature column."),
    "DA404": (Side(LABELS), "There is no feature column."),
    "DA405": (Side(NUMBERS), "There are fewer than two feature columns."),
    "DA412": (Side(TEXTS), "There is no column of decimal numbers."),
    "DA413": (Side(NUMBERS), "There is no text column."),
    "DA414": (Side(NUMBERS), "There is no text column."),
    "DA415": (Side(TEXTS), "There is no column of numbers."),
    "DA503": (Side(PLAIN, TEST.drop("y")), "The test data have no label that the data know"),
}


@pytest.mark.parametrize("code", NOTHING)
def test_a_rule_that_meets_nothing_to_judge_is_skipped_and_says_why(code, tmp_path):
    side, why = NOTHING[code]
    outcome = _outcome(code, side, tmp_path)
    assert (outcome.status, why in outcome.message) == ("skipped", True), outcome.message


def test_dates_that_are_missing_are_said(tmp_path):
    for data, test in (
        (dated(0, PLAIN), UNDATED),
        (PLAIN.with_columns(day=UNDATED["day"][0]), dated(0, TEST)),
    ):
        outcome = _outcome("DA208", Side(data, test, **DATES), tmp_path)
        assert (outcome.status, "holds no date" in outcome.message) == ("skipped", True), outcome.message
