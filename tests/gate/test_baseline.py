"""Accepted findings stay quiet, new ones do not, and the file is one that people can merge."""

import datetime as dt
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataaudit.errors import AuditError
from dataaudit.findings.verdict import Finding, Outcome, Rule, Site, Verdict
from dataaudit.gate.baseline import (
    Baseline,
    Entry,
    compare,
    grown,
    mark,
    pruned,
    read_baseline,
    write_baseline,
)
from dataaudit.gate.identity import fingerprint

TODAY = dt.date(2026, 11, 24)
LIKE = Entry("", "", "", "known noise", author="Ada", date="2026-11-24")


def rule(code="DA101", **changes):
    return Rule(
        code=code,
        name="n",
        pack="p",
        title="t",
        table="x",
        message="m",
        doc="d",
        **{"severity": "error"} | changes,
    )


def finding(key, code="DA101", dataset="train", **changes):
    made = Finding(
        message=f"row {key}", site=Site(source="a.csv"), fingerprint=fingerprint(code, dataset, key)
    )
    return replace(made, **changes)


def outcome(keys, *, status="broken", dataset="train", value=None, **changes):
    made = rule(**changes)
    found = tuple(
        finding(key, made.code, dataset, details={"size": float(i + 1)}) for i, key in enumerate(keys)
    )
    return Outcome(
        rule=made,
        dataset=dataset,
        status=status,
        message="",
        place=Site(source="a.csv"),
        value=float(len(keys)) if value is None else value,
        findings=found,
        total=len(found),
    )


def verdict(*outcomes):
    return Verdict(outcomes=outcomes, version="1.2.3")


def made(*outcomes, **changes):
    return grown(Baseline(), verdict(*outcomes), like=replace(LIKE, **changes), today=TODAY)


def test_known_rows_are_not_written():
    known = outcome("ab", value=1)
    known = replace(known, findings=(replace(known.findings[0], state="known"), known.findings[1]))
    assert [entry.fingerprint for entry in made(known).entries] == [known.findings[1].fingerprint]


def test_an_entry_is_of_its_rule_and_dataset_alone():
    baseline = made(outcome("a"))
    for other in (outcome("a", dataset="test"), outcome("a", code="DA102")):
        assert len(compare(baseline, verdict(other), today=TODAY).new) == 1


def test_what_passes_is_not_accepted_ahead():
    assert made(outcome("a", status="passed")).entries == ()


def test_an_entry_holds_up_to_its_last_day():
    baseline = made(outcome("a"), expires="2026-11-24")
    assert {name: e.reason for name, e in baseline.on(TODAY).items()} == {
        finding("a").fingerprint: "known noise"
    }
    assert baseline.on(TODAY + dt.timedelta(days=1)) == {}
    compared = compare(baseline, verdict(outcome("a")), today=dt.date(2027, 1, 1))
    assert (compared.expired, len(compared.new), compared.known) == (baseline.entries, 1, 0)


def test_what_expired_is_renewed_if_it_is_still_there():
    old = made(outcome("ab"), expires="2026-01-01")
    new = grown(old, verdict(outcome("a")), like=LIKE, today=TODAY)
    assert sorted(entry.expires for entry in new.entries) == ["", "2026-01-01"]


def test_what_looks_fixed_was_looked_for():
    baseline = made(outcome("ab"), outcome("c", code="DA102"), outcome("d", dataset="test"))
    now = verdict(outcome("b"), outcome("", code="DA102", status="failed"))
    compared = compare(baseline, now, today=TODAY)
    assert [entry.fingerprint for entry in compared.fixed] == [finding("a").fingerprint]
    assert (compared.new, compared.known) == ((), 1)


def test_pruning_only_shrinks():
    baseline = made(outcome("ab"))
    compared = compare(baseline, verdict(outcome("bc")), today=TODAY)
    after = pruned(baseline, compared.fixed)
    assert set(after.entries) < set(baseline.entries)
    assert [entry.fingerprint for entry in after.entries] == [finding("b").fingerprint]


def test_updating_keeps_reasons(tmp_path):
    old = made(outcome("a"))
    new = grown(old, verdict(outcome("ab")), like=replace(LIKE, reason="later"), today=TODAY)
    assert {entry.reason for entry in new.entries} == {"known noise", "later"}
    assert set(old.entries) < set(new.entries)


def test_the_file_is_sorted_and_comes_back(tmp_path):
    baseline = made(outcome("bca", limit=0.5, severity="warning"), outcome("x", code="DA100"))
    write_baseline(tmp_path / "b.jsonl", baseline)
    assert read_baseline(tmp_path / "b.jsonl") == baseline
    first, *lines = (tmp_path / "b.jsonl").read_text().splitlines()
    assert json.loads(first) == {
        "dataaudit-baseline": 2,
        "identity": 1,
        "version": "1.2.3",
        "keyed": "",
        "rules": {
            "DA100": {"limit": 0.0, "severity": "error"},
            "DA101": {"limit": 0.5, "severity": "warning"},
        },
    }
    assert [json.loads(line)["rule"] for line in lines] == ["DA100", "DA101", "DA101", "DA101"]
    assert lines == sorted(lines)
    assert [path.name for path in tmp_path.iterdir()] == ["b.jsonl"]


@given(st.text(min_size=1), st.text())
def test_any_reason_comes_back(tmp_path_factory, reason, author):
    path = tmp_path_factory.mktemp("b") / "b.jsonl"
    clean = [text.encode("utf-8", "ignore").decode() or "x" for text in (reason, author)]
    baseline = made(outcome("a"), reason=clean[0], author=clean[1])
    write_baseline(path, baseline)
    assert read_baseline(path) == baseline


def test_lines_that_a_merge_doubled_or_disordered_are_read(tmp_path):
    path = tmp_path / "b.jsonl"
    write_baseline(path, made(outcome("abc")))
    first, *lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([first, *reversed(lines), lines[0], "\n"]))
    assert read_baseline(path) == made(outcome("abc"))


def test_another_secret_is_noticed(tmp_path):
    path = tmp_path / "b.jsonl"
    write_baseline(path, replace(made(outcome("a")), keyed=mark("s")))
    assert "s" not in json.loads(path.read_text().splitlines()[0])["keyed"]
    read_baseline(path, secret="s")
    for secret in ("", "t"):
        with pytest.raises(AuditError, match=r"another key.*set DATAAUDIT_BASELINE_KEY"):
            read_baseline(path, secret=secret)
    write_baseline(path, made(outcome("a")))
    with pytest.raises(AuditError, match=r"another key.*unset DATAAUDIT_BASELINE_KEY"):
        read_baseline(path, secret="s")


HEADER = '{"dataaudit-baseline": 1, "identity": 1, "version": "1", "keyed": "", "rules": {}}\n'
ENTRY = '{"rule": "DA101", "dataset": "a", "fingerprint": "f", "reason": "r"}\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "b.jsonl:1 is not an entry"),
        ("{}\n", "is not a baseline"),
        ("[1]\n", "b.jsonl:1 is not an entry"),
        (HEADER.replace(": 1,", ": 3,", 1), "dataaudit 1, which is newer"),
        (HEADER + "<<<<<<< HEAD\n" + ENTRY, "b.jsonl:2 is not an entry.*resolve the merge"),
        (HEADER + ENTRY + ENTRY.replace('"r"', '""'), "b.jsonl:3: the entry has no reason"),
        (HEADER + ENTRY.replace("}", ', "expire": "2026-01-01"}'), "b.jsonl:2: .*did you mean 'expires'"),
        (HEADER + ENTRY.replace("}", ', "expires": "soon"}'), "b.jsonl:2: 'soon' is no day"),
        (HEADER + ENTRY.replace("}", ', "value": "7"}'), "b.jsonl:2: the value of an entry is a number"),
        (HEADER + ENTRY.replace('"r"', "7"), "b.jsonl:2: what an entry says is text"),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path, text, message):
    (tmp_path / "b.jsonl").write_text(text)
    with pytest.raises(AuditError, match=message):
        read_baseline(tmp_path / "b.jsonl")


def test_an_absent_file_says_how_to_make_it(tmp_path):
    with pytest.raises(AuditError, match="audit baseline create"):
        read_baseline(tmp_path / "b.jsonl")
    with pytest.raises(AuditError, match="cannot be written"):
        write_baseline(tmp_path / "no" / "b.jsonl", Baseline())


def measured(value, *, score="", **changes):
    """A broken rule that measures one number of the dataset."""
    made = rule(**{"measure": "max", "column": "share", "limit": 0.01} | changes, score=score)
    found = finding("", made.code, score=value)
    broken = outcome("", value=value)
    return replace(broken, rule=made, findings=(found,), total=1)


@pytest.mark.parametrize(("now", "new"), [(0.02, 0), (0.04, 0), (0.0439, 0), (0.0441, 1), (0.229, 1)])
def test_a_value_is_accepted_and_a_worse_one_is_new(now, new):
    baseline = made(measured(0.04))
    assert [entry.value for entry in baseline.entries] == [0.04]
    compared = compare(baseline, verdict(measured(now)), today=TODAY)
    assert (len(compared.new), compared.known, compared.fixed) == (new, 1 - new, ())


def test_where_less_is_worse_fewer_is_new():
    few = {"measure": "count", "column": "", "limit": 0.0, "score": "-rows"}
    baseline = made(measured(9.0, **few))
    for now, new in ((12.0, 0), (9.0, 0), (8.0, 1), (1.0, 1)):
        assert len(compare(baseline, verdict(measured(now, **few)), today=TODAY).new) == new


def test_updating_accepts_the_worse_value_with_its_reason():
    old = made(measured(0.04))
    new = grown(old, verdict(measured(0.229)), like=replace(LIKE, reason="seen"), today=TODAY)
    assert [(entry.value, entry.reason) for entry in new.entries] == [(0.229, "seen")]
    same = grown(old, verdict(measured(0.02)), like=replace(LIKE, reason="seen"), today=TODAY)
    assert same.entries == old.entries, "what is better leaves the accepted value"


def test_an_entry_of_an_old_file_accepts_any_value_until_it_is_updated(tmp_path):
    path = tmp_path / "b.jsonl"
    write_baseline(path, made(measured(0.04)))
    old = path.read_text().replace('"dataaudit-baseline": 2', '"dataaudit-baseline": 1')
    path.write_text(old.replace(', "value": 0.04', ""))
    before = read_baseline(path)
    compared = compare(before, verdict(measured(0.229)), today=TODAY)
    assert (compared.new, compared.known) == ((), 1)
    assert [value for _, value in compared.unvalued] == [0.229]
    after = grown(before, verdict(measured(0.229)), like=LIKE, today=TODAY)
    assert [(entry.value, entry.reason) for entry in after.entries] == [(0.229, "known noise")]
    assert len(compare(after, verdict(measured(0.5)), today=TODAY).new) == 1
