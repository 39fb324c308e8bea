"""SARIF is taken whole by GitHub, whatever the cells say and however many findings there are."""

import dataclasses
import json

import pytest
from writers.payloads import for_every_payload
from writers.verdict import rules
from writers.verdict.example import (
    AROUND,
    LEAKED,
    MISSING,
    SUSPECT,
    hostile,
    mixed,
    outcome,
    parts,
    suspects,
    verdict,
    written,
)

from dataaudit.findings.verdict import Finding, Site, Verdict


def results(told, around=AROUND):
    document = rules.sarif(written("sarif", told, around))
    return [result for run in document["runs"] for result in run["results"]]


@pytest.mark.parametrize(("n", "listed"), [(0, 0), (1, 2), (43, 44), (20_000, 501)])
def test_it_is_taken_whatever_the_number_of_findings(n, listed):
    assert len(results(verdict(n))) == listed  # the cap is 500, and one tells the total


@for_every_payload
def test_it_is_taken_whatever_the_cells_say(payload):
    document = rules.sarif(written("sarif", hostile(payload)))
    assert {len(run["results"]) for run in document["runs"]} == {15 + 1 + 11 + 1}


def test_the_total_is_told_where_findings_are_left_out():
    told = results(verdict(20_000))
    (summary,) = [result for result in told if result["properties"].get("summary")]
    assert summary["properties"]["total"] == 20_000
    assert "20,000" in summary["message"]["text"]
    assert [result["properties"]["row"] for result in told[1:]] == list(range(500))
    few = dataclasses.replace(AROUND, cap=3)
    assert len(results(verdict(20_000), few)) == 4


def test_of_5000_results_the_gravest_are_kept_and_no_rule_is_starved():
    note = dataclasses.replace(SUSPECT, code="DA109", severity="note")
    many = [dataclasses.replace(SUSPECT, code=f"DA1{i}", severity="warning") for i in range(10, 22)]
    found = (outcome(rule, findings=suspects(600)) for rule in (note, *many, LEAKED))
    kept = results(Verdict(outcomes=tuple(found)))
    count = {code: sum(r["ruleId"] == code for r in kept) for code in {r["ruleId"] for r in kept}}
    assert len(kept) == 5_000
    assert count[LEAKED.code] == 501
    assert "DA109" not in count  # a note makes room for warnings
    assert {n for code, n in count.items() if code != LEAKED.code} <= {374, 375}


def test_a_result_says_row_place_and_identity():
    (_, one) = results(verdict(1))
    assert one["locations"] == [
        {
            "physicalLocation": {
                "artifactLocation": {"uri": "data/train.csv", "uriBaseId": "%SRCROOT%"},
                "region": {"startLine": 2, "startColumn": 1, "endLine": 2, "endColumn": 2},
            },
            "logicalLocations": [{"fullyQualifiedName": "train.csv#row=0", "kind": "member"}],
        }
    ]
    assert one["partialFingerprints"] == {
        "primaryLocationLineHash": f"{0:032x}:1",
        "dataaudit/v1": f"{0:032x}",
    }
    assert one["properties"] == {"row": 0, "row_id": "data/train.csv:2", "score": 2.31}


def test_rows_without_lines_point_to_what_declares_the_data():
    told = [result for result in results(mixed()) if result["ruleId"] == LEAKED.code]
    places = {json.dumps(result["locations"][0]["physicalLocation"]) for result in told}
    assert len(places) == 1
    assert '"uri": "pyproject.toml"' in places.pop()
    assert told[1]["locations"][0]["physicalLocation"]["region"]["startLine"] == 41
    assert told[1]["locations"][0]["logicalLocations"][0]["fullyQualifiedName"] == "test.parquet#row=0"
    assert told[1]["message"]["text"].startswith("data/test.parquet#0: ")


def test_a_row_that_moves_is_the_same_alert():
    (finding,) = suspects(1)
    moved = Finding(**(parts(finding) | {"site": Site(source="data/train.csv", row=9, line=77)}))
    before, after = (
        results(Verdict(outcomes=(outcome(SUSPECT, findings=(f,)),)))[1]["partialFingerprints"]
        for f in (finding, moved)
    )
    assert before == after


def test_equal_fingerprints_are_told_apart():
    (finding,) = suspects(1)
    told = results(Verdict(outcomes=(outcome(SUSPECT, findings=(finding, finding)),)))
    keys = [result["partialFingerprints"]["primaryLocationLineHash"] for result in told[1:]]
    assert keys == [f"{0:032x}:1", f"{0:032x}:2"]


def test_accepted_findings_are_left_out_or_suppressed():
    assert not any("suppressions" in result for result in results(mixed()))
    shown = results(mixed(), dataclasses.replace(AROUND, accepted=True))
    (accepted,) = [result for result in shown if "suppressions" in result]
    assert accepted["suppressions"] == [
        {"kind": "external", "justification": "Read by two people, 2026-11-02."}
    ]
    assert accepted["properties"]["row"] == 0
    assert len(shown) == len(results(mixed())) + 1


def test_states_against_the_base_are_told():
    found = [result for result in results(mixed()) if result["ruleId"] == SUSPECT.code]
    states = {result["properties"].get("row"): result.get("baselineState") for result in found}
    assert (states[1], states[2], states[3]) == ("updated", "unchanged", "new")


def test_what_a_limit_tolerates_is_no_alert_but_what_is_known_stays_one():
    known = [Finding(**(parts(f) | {"state": "known"})) for f in suspects(3)]
    assert len(results(Verdict(outcomes=(outcome(SUSPECT, status="passed", findings=known),)))) == 3
    assert results(Verdict(outcomes=(outcome(MISSING, status="passed", findings=suspects(3)),))) == []


def test_what_was_not_checked_is_a_notification():
    first, second = rules.sarif(written("sarif", mixed()))["runs"]
    assert first["invocations"][0]["executionSuccessful"]
    assert not second["invocations"][0]["executionSuccessful"]
    said = second["invocations"][0]["toolExecutionNotifications"][0]
    assert (said["level"], said["associatedRule"]["id"]) == ("error", MISSING.code)
    assert said["message"]["text"] == "mail-test: The file cannot be read: it ends in the middle."
    assert first["invocations"][0]["toolExecutionNotifications"][0]["level"] == "note"
    ids = [run["automationDetails"]["id"] for run in (first, second)]
    assert ids == ["dataaudit/spam-train/", "dataaudit/mail-test/"]


def test_many_datasets_share_a_run():
    found = tuple(outcome(SUSPECT, findings=suspects(1), dataset=f"d{i}") for i in range(21))
    document = rules.sarif(written("sarif", Verdict(outcomes=found)))
    (run,) = document["runs"]
    assert run["automationDetails"]["id"] == "dataaudit/"
    assert len(run["results"]) == 42


def test_a_rule_brings_its_documentation():
    (run,) = rules.sarif(written("sarif", verdict(1)))["runs"]
    rule = run["tool"]["driver"]["rules"][0]
    assert rule["shortDescription"]["text"] == "Labels are likely wrong."
    assert rule["fullDescription"]["text"].startswith("Counts rows whose label")
    assert rule["help"]["markdown"].startswith("## What it does")
    assert rule["defaultConfiguration"] == {"level": "error"}
    assert rule["properties"]["tags"] == ["data-quality", "labels"]


def test_paths_are_percent_encoded_and_relative_to_the_root():
    told = verdict(1)
    (finding,) = suspects(1, source="/home/me/repo/data/ä b#1%.csv")
    found = outcome(SUSPECT, findings=(finding,))
    (_, one) = results(dataclasses.replace(told, outcomes=(found,)))
    uri = one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri == "data/%C3%A4%20b%231%25.csv"
