"""What gates: new rows and worse numbers, and nothing that is known or accepted."""

import dataclasses

import polars as pl
import pytest
from gate.tables import PLAIN, TEST, plain, tall, with_column

from dataaudit.errors import SettingError
from dataaudit.gate.check import check
from dataaudit.gate.rules import read_packs
from dataaudit.gate.settings import CheckSettings, DatasetSettings, chosen, meant


@pytest.fixture
def judged(tmp_path):
    """Write frames and return the one outcome of one rule."""

    def judge(code, data, base=None, *, limits=None, suffix="parquet", dataset=None, **settings):
        places = {}
        for name, frame in (("data", data), ("base", base)):
            if frame is not None:
                places[name] = tmp_path / f"{name}.{suffix}"
                write = frame.write_parquet if suffix == "parquet" else frame.write_csv
                write(places[name])
        asked = DatasetSettings(
            name="set",
            paths=(str(places["data"]),),
            label="y",
            base=str(places.get("base", "")),
            limits=limits or {},
            **(dataset or {}),
        )
        (outcome,) = check(CheckSettings(datasets=(asked,), select=(code,), cache=False, **settings)).outcomes
        return outcome

    return judge


def _states(outcome):
    return {finding.site.row: finding.state for finding in outcome.findings}


def _lacking(count):
    return with_column("x", dict.fromkeys(range(count)))


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_only_new_rows_gate(judged, suffix):
    base = with_column("y", {3: None})
    data = tall(with_column("y", {5: None}, TEST.head(10)), base)
    outcome = judged("DA108", data, base, suffix=suffix)
    assert _states(outcome) == {5: "new", 13: "known"}
    assert (outcome.value, outcome.total, outcome.status) == (1.0, 2, "broken")
    assert outcome.findings[0].state == "new", "what gates comes first"
    assert judged("DA108", tall(TEST.head(10), base), base, suffix=suffix).status == "passed"


def test_changed_row_of_an_id_gates(judged):
    base = PLAIN.with_columns(key=pl.Series([f"k{i}" for i in range(PLAIN.height)]))
    data = with_column("y", {7: None}, base).reverse()
    outcome = judged("DA108", data, base, dataset={"id": "key"})
    assert [(f.site.row_id, f.state) for f in outcome.findings] == [("k7", "changed")]


def test_share_is_of_new_rows(judged):
    base, new = PLAIN, TEST.head(20)
    data = tall(base, new, new.head(5))
    assert judged("DA404", data).value == pytest.approx(5 / 145)
    assert judged("DA404", data, base).value == pytest.approx(5 / 25)
    assert judged("DA404", base, base).value == 0.0, "no new row, no share"


@pytest.mark.parametrize(
    ("was", "now", "status"),
    [
        (62, 62, "passed"),  # as it was, above the limit of a half
        (62, 67, "passed"),  # 0.558 ≤ 0.517 + 0.1 · 0.5
        (62, 69, "broken"),
        (60, 61, "passed"),  # at the limit: one cell more does not flip it
        (60, 67, "broken"),
        (90, 62, "passed"),  # better
    ],
)
def test_number_must_be_worse_than_the_base_by_a_tenth_of_the_limit(judged, was, now, status):
    outcome = judged("DA401", _lacking(now), _lacking(was))
    assert outcome.status == status
    assert outcome.base_value == pytest.approx(was / 120)
    assert outcome.value == (pytest.approx(now / 120) if status == "broken" else None)


def test_hysteresis_is_a_setting(judged):
    assert judged("DA401", _lacking(69), _lacking(62), hysteresis=0.2).status == "passed"
    assert judged("DA401", _lacking(63), _lacking(62), hysteresis=0.0).status == "broken"


def test_column_that_the_base_names_too_is_known(judged):
    base = with_column("z", 1.0)
    outcome = judged("DA403", with_column("colour", "red", base), base)
    assert {f.site.column: f.state for f in outcome.findings} == {"z": "known", "colour": "new"}
    assert outcome.value == 1.0


def test_column_that_came_or_went_makes_no_row_new(judged):
    base = with_column("y", {3: None})
    for data in (base.with_columns(w=1), base.drop("z")):
        assert _states(judged("DA108", data, base)) == {3: "known"}


def test_base_that_lacks_the_label_judges_what_it_can(judged):
    outcome = judged("DA107", with_column("y", {0: "eggs"}), PLAIN.drop("y"))
    assert outcome.status == "broken"
    assert outcome.findings[0].state == "new"


def test_fingerprint_stays_with_its_row(judged):
    bad = with_column("y", {3: None, 9: None})
    first = {f.fingerprint for f in judged("DA108", bad).findings}
    moved = tall(TEST.head(7), bad.reverse())
    assert {f.fingerprint for f in judged("DA108", moved).findings} == first
    again = judged("DA108", tall(bad, bad[[3]])).findings  # a second copy is another finding
    assert len({f.fingerprint for f in again}) == 3
    assert first < {f.fingerprint for f in again}


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_fingerprint_of_a_named_row_is_that_of_all_rows(judged, suffix):
    """Only the rows that are named are read again; their keys are those that reading all gives."""
    copies = tall(PLAIN, PLAIN.head(20), PLAIN.head(10))
    alone = judged("DA404", copies, suffix=suffix)
    beside = judged("DA404", copies, TEST, suffix=suffix)  # with a base all keys are made
    assert {f.fingerprint for f in alone.findings} == {f.fingerprint for f in beside.findings}
    assert len({f.fingerprint for f in alone.findings}) == 30


def test_top_cuts_findings_and_not_the_measure(judged):
    outcome = judged("DA108", with_column("y", dict.fromkeys(range(9))), top=4)
    assert (len(outcome.findings), outcome.total, outcome.value) == (4, 9, 9.0)


def test_limit_at_the_measure_passes(judged):
    bad = with_column("y", {3: None, 9: None})
    assert judged("DA108", bad, limits={"DA108": 2}).status == "passed"
    assert judged("DA108", bad, limits={"missing-labels": 1.5}).status == "broken"


def test_verdict_is_the_same_without_unrelated_rows(judged):
    base = tall(PLAIN, PLAIN.head(3))
    batch = with_column("y", {1: None}, TEST.head(12))
    outcomes = []
    for seed in range(5):
        kept = base.sample(fraction=0.99, shuffle=True, seed=seed)
        outcomes.append(judged("DA108", tall(kept, batch), base))
    assert {(o.status, o.value, o.findings[0].fingerprint) for o in outcomes} == {
        ("broken", 1.0, outcomes[0].findings[0].fingerprint)
    }


RULES = read_packs()


def test_selection_takes_codes_beginnings_and_names():
    dataset = DatasetSettings(name="set", paths=("a.csv",))
    settings = CheckSettings(datasets=(dataset,), select=("DA2", "duplicate-rows"), ignore=("DA201",))
    codes = {rule.code for rule in chosen(RULES, settings, dataset)}
    assert codes == {*meant(RULES, "DA2"), "DA404"} - {"DA201"}
    mine = dataclasses.replace(
        dataset, select=("DA403",), limits={"DA403": 3}, severity={"constant-column": "error"}
    )
    (rule,) = chosen(RULES, settings, mine)
    assert (rule.code, rule.limit, rule.severity) == ("DA403", 3.0, "error")


def test_preview_rules_hold_only_if_named():
    dataset = DatasetSettings(name="set", paths=("a.csv",))
    rules = (RULES[0], dataclasses.replace(RULES[1], status="preview"))
    assert chosen(rules, CheckSettings(datasets=(dataset,)), dataset) == (RULES[0],)
    assert len(chosen(rules, CheckSettings(datasets=(dataset,), select=("DA1",)), dataset)) == 2


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"select": ("DA99X",)}, "no rule 'DA99X'"),
        ({"select": ("duplicate-row",)}, "did you mean 'duplicate-rows'"),
        ({"select": ("DA4",), "ignore": ("DA",)}, "no rule is left for dataset 'set'"),
        ({"limits": {"DA4": 1.0}}, "a limit is for one rule: 'DA4' means 15"),
        ({"severity": {"DA888": "note"}}, "no rule 'DA888'"),
    ],
)
def test_choice_that_means_nothing_is_said(values, said):
    dataset = DatasetSettings(name="set", paths=("a.csv",))
    with pytest.raises(SettingError, match=said):
        chosen(RULES, CheckSettings(datasets=(dataset,), **values), dataset)


def test_plain_tables_of_many_seeds_pass(judged):
    """Chance alone breaks nothing: what each rule says of a plain sample and its base."""
    for seed in range(3):
        data = tall(plain(seed=seed), plain(30, seed=seed + 50))
        assert judged("DA306", data, plain(seed=seed)).status == "passed"
        assert judged("DA308", data, plain(seed=seed)).status == "passed"
