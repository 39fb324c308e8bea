"""Packs of one's own: what is wrong with one is said before any data are read, and nothing of it is run."""

import pytest

from dataaudit.errors import SettingError
from dataaudit.gate.check import check
from dataaudit.gate.facts import fact_tables
from dataaudit.gate.judge import check_rule
from dataaudit.gate.rules import fields_of, fill, parse_pack, read_packs
from dataaudit.gate.settings import CheckSettings, DatasetSettings

DOC = "".join(
    f"## {section}\nWords.\n"
    for section in ("What it does", "Why it matters", "How to look at it", "Options", "References")
)
GOOD = {
    "code": '"ACME001"',
    "name": '"long-table"',
    "title": '"The table is long"',
    "table": '"dataset"',
    "where": '"rows > 3"',
    "scope": '"dataset"',
    "severity": '"error"',
    "message": '"{dataset} is long: {counted}"',
    "each": '"{rows} rows"',
    "doc": f'"""\n{DOC}"""',
}


def _pack(**changes):
    lines = {**GOOD, **changes}
    return "[[rule]]\n" + "".join(f"{key} = {value}\n" for key, value in lines.items() if value is not None)


def _read(text):
    (rule,) = parse_pack(text, "own", where="own.toml")
    return check_rule(rule, fact_tables())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"wher": '"rows > 3"'}, r"unknown key 'wher'.*did you mean 'where'"),
        ({"title": None}, "lacks the key 'title'"),
        ({"severity": '"fatal"'}, "no severity 'fatal'.*error, warning, note"),
        ({"severity": '"warnin"'}, "did you mean 'warning'"),
        ({"limit": '"3"'}, "limit is no number: got '3'"),
        ({"limit": "true"}, "limit is no number"),
        ({"limit": "inf"}, "limit is no number"),
        ({"title": "3"}, "title is no text: got 3"),
        ({"code": '"acme1"'}, "capitals and digits"),
        ({"name": '"Long Table"'}, "words-with-hyphens"),
        ({"measure": '"max"'}, "sum, max and min take a column"),
        ({"column": '"rows"'}, "sum, max and min take a column"),
        ({"message": '"{rows} rows"'}, "message has a field 'rows'.*dataset, limit"),
        ({"message": '"{dataset.__class__}"'}, "a field is no plain name"),
        ({"message": '"{value:>9999999}"'}, "a field is no plain name"),
        ({"message": '"{dataset!r}"'}, "a field is no plain name"),
        ({"message": '"{"'}, "unmatched braces"),
        ({"each": '"{row}"'}, "each: 'row' is no column of table 'dataset'.*did you mean 'rows'"),
        ({"table": '"datasets"'}, "no table of facts 'datasets'.*did you mean 'dataset'"),
        ({"scope": '"row"'}, "is of scope 'row', table 'dataset' of 'dataset'"),
        ({"where": '"row > 3"'}, "where: 'row' is no column.*did you mean 'rows'"),
        ({"where": '"rows"'}, "is Int64, neither true nor false"),
        ({"where": '"rows >"'}, "unable to parse"),
        ({"where": '"rows > (SELECT 1)"'}, "not allowed|not found"),
        ({"where": "\"read_csv('/etc/passwd') > 1\""}, "unsupported function 'read_csv'"),
        ({"where": '"rows > 1; DROP TABLE x"'}, "invalid expression"),
        ({"needs": '"labels"'}, "no need 'labels'.*did you mean 'label'"),
        ({"judges": '"rows > 1"'}, "judges and unjudged go together"),
        ({"judges": '"row > 1"', "unjudged": '"No."'}, "judges: 'row' is no column"),
        ({"score": '"-row"'}, "score: 'row' is no column"),
        ({"each": '"{rows:, Row}"'}, "a field is no plain name"),
        ({"doc": '"Words."'}, "doc lacks the section 'What it does'"),
        ({"doc": f'"""\n{DOC}## More\n"""'}, "other sections, or another order"),
    ],
)
def test_fault_is_said_in_one_line(changes, said):
    with pytest.raises(SettingError, match=said) as caught:
        _read(_pack(**changes))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[rule]", "is not TOML"),
        ("[rule]\n", "no list of tables"),
        ("[[rules]]\n", "unknown key 'rules'.*did you mean 'rule'"),
        ("[[rule]]\n", "rule 1 lacks the key 'code'"),
    ],
)
def test_broken_file_is_said_in_one_line(text, said):
    with pytest.raises(SettingError, match=said):
        parse_pack(text, "own", where="own.toml")


def test_code_and_name_are_taken_once(tmp_path):
    path = tmp_path / "own.toml"
    for changes, said in (
        ({"code": '"DA101"'}, "code DA101 is taken by wrong-labels"),
        ({"code": '"DA199"'}, "codes that start with DA are ours"),
        ({"name": '"duplicate-rows"'}, "name 'duplicate-rows' is taken by DA404"),
    ):
        path.write_text(_pack(**changes), encoding="utf-8")
        with pytest.raises(SettingError, match=said):
            read_packs([str(path)])


def test_absent_and_undecodable_packs_are_said(tmp_path):
    with pytest.raises(SettingError, match="cannot be read: No such file"):
        read_packs([str(tmp_path / "none.toml")])
    (tmp_path / "own.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingError, match="not UTF-8"):
        read_packs([str(tmp_path / "own.toml")])


def test_own_rule_judges_like_ours(tmp_path):
    pack, data = tmp_path / "own.toml", tmp_path / "data.csv"
    pack.write_text(_pack(), encoding="utf-8")
    data.write_text("a,b\n" + "1,2\n" * 4, encoding="utf-8")
    dataset = DatasetSettings(name="mine", paths=(str(data),))
    settings = CheckSettings(datasets=(dataset,), select=("ACME",), packs=(str(pack),), cache=False)
    verdict = check(settings)
    assert [outcome.message for outcome in verdict.outcomes] == ["mine is long: 1 row"]
    assert [finding.message for finding in verdict.outcomes[0].findings] == ["4 rows"]
    assert verdict.exit_code == 1


def test_own_rule_without_anything_to_judge_is_skipped(tmp_path):
    pack, data = tmp_path / "own.toml", tmp_path / "data.csv"
    never = {"judges": '"rows > 99"', "unjudged": '"There are fewer than 100 rows."'}
    data.write_text("a,b\n" + "1,2\n" * 4, encoding="utf-8")
    dataset = DatasetSettings(name="mine", paths=(str(data),))
    for more, why in ((never, "There are fewer than 100 rows."), ({"needs": '"label"'}, "does not apply")):
        pack.write_text(_pack(**more), encoding="utf-8")
        settings = CheckSettings(datasets=(dataset,), select=("ACME",), packs=(str(pack),), cache=False)
        (outcome,) = check(settings).outcomes
        assert outcome.status == "skipped"
        assert why in outcome.message


def test_a_noun_follows_its_number():
    assert fill("{n:, row}", {"n": 1}) == "1 row"
    assert fill("{n:, class} {n:.0f test row}", {"n": 1568}) == "1,568 classes 1568 test rows"


def test_sentence_takes_values_as_they_are():
    assert (
        fill("{a:.1%} of {b}, {c:,} {{x}}", {"a": 0.123, "b": "x\ny {a}", "c": None})
        == "12.3% of x y {a}, — {x}"
    )
    assert fill("{a:.1f}", {"a": "no number"}) == "no number", "a format that does not fit is left out"
    assert fill("{a}", {"a": "x" * 200}) == "x" * 79 + "…"
    assert fields_of("{a:.2%} {b:,} {{c}}", "here") == ["a", "b"]
