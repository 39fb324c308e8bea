"""Every rule is documented, fits its table, lets a good table pass and names what is wrong in a bad one."""

import re

import pytest
from gate.tables import CASES

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
