"""GitLab's report keeps to what its documentation lists, one entry for each row, by content."""

import dataclasses

import pytest
from writers.payloads import for_every_payload
from writers.verdict import rules
from writers.verdict.example import (
    AROUND,
    LEAKED,
    SUSPECT,
    hostile,
    mixed,
    outcome,
    suspects,
    verdict,
    written,
)

from dataaudit.findings.verdict import Site, Verdict


def entries(told, around=AROUND):
    return rules.gitlab(written("gitlab", told, around))


@pytest.mark.parametrize(("n", "listed"), [(0, 0), (1, 2), (43, 44), (20_000, 501)])
def test_it_is_valid_whatever_the_number_of_findings(n, listed):
    assert len(entries(verdict(n))) == listed


@for_every_payload
def test_it_is_valid_whatever_the_cells_say(payload):
    assert len(entries(hostile(payload))) == 15 + 1 + 11 + 1 + 1 + 1  # the last one met nothing to judge


def test_an_entry_says_rule_row_and_place():
    assert entries(verdict(1))[1] == {
        "description": "DA101 suspect-labels: "
        "Labelled “ham”, but the other rows suggest “spam” (p_wrong 0.999).",
        "check_name": "DA101",
        "fingerprint": f"{0:032x}",
        "severity": "major",
        "location": {"path": "data/train.csv", "lines": {"begin": 2}},
    }


def test_severities_are_gitlabs():
    found = {entry["check_name"]: entry["severity"] for entry in entries(mixed()) if "age" not in entry}
    assert found == {"DA101": "major", "DA501": "blocker", "DA301": "major", "DA401": "info", "DA304": "info"}


def test_rows_are_told_apart_even_with_one_fingerprint():
    row = suspects(1)[0]
    keys = [
        entry["fingerprint"] for entry in entries(Verdict(outcomes=(outcome(SUSPECT, findings=(row, row)),)))
    ]
    assert len(set(keys)) == 3


def test_paths_start_at_the_project():
    below = dataclasses.replace(AROUND, folder="/home/me/repo/jobs")
    (row,) = suspects(1, source="../data/train.csv")
    found = outcome(SUSPECT, findings=(row,), place=Site(source="./../data/train.csv"))
    paths = {entry["location"]["path"] for entry in entries(Verdict(outcomes=(found,)), below)}
    assert paths == {"data/train.csv"}


def test_data_outside_the_project_point_to_the_settings():
    (row,) = suspects(1, source="/data/train.csv")
    found = outcome(LEAKED, findings=(row,), place=Site(source="s3://bucket/train.csv"))
    told = entries(Verdict(outcomes=(found,)))
    assert {entry["location"]["path"] for entry in told} == {"pyproject.toml"}
    assert "/data/train.csv:2: " in told[1]["description"]
