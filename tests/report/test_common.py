"""What was left out is said in a few lines where there is no page."""

import dataclasses
import io

import pytest
from report.made import MADE
from rich.console import Console

from dataaudit.report import shown
from dataaudit.writers.console import show
from dataaudit.writers.markdown import markdown

LONG = "12 columns are left out: " + "; ".join(f"c{i} (the same value in every row)" for i in range(8)) + "."
NOTES = ("5 of 60 rows have no 'y' and were left out.", LONG, "x.csv has no rows.", LONG.upper())


def noted(kind, notes, leading):
    findings = MADE[kind]()
    record = dataclasses.replace(findings.provenance, notes=notes, leading=leading)
    return dataclasses.replace(findings, provenance=record)


def lines(findings, level=None, folder="out"):
    out = io.StringIO()
    show(shown(findings, level, folder=folder)[1], Console(file=out, width=80))
    return out.getvalue().splitlines()


@pytest.mark.parametrize("kind", MADE)
def test_the_first_notes_stand_below_the_verdict(kind):
    said = lines(noted(kind, (*NOTES, "The model is one of many."), 4))
    first = next(at for at, line in enumerate(said) if line.startswith("- 5 of 60"))
    block = said[first : said.index("", first)]
    assert len(block) <= 6
    assert max(map(len, said)) <= 80
    assert [line[:4] for line in block if line.startswith("- ")] == ["- 5 ", "- 12", "- x.", "- 12"]
    assert "one of many" not in "".join(said)
    assert "- x.csv has no rows." in markdown(shown(noted(kind, NOTES, 4))[1])


def test_what_has_no_room_is_counted():
    notes = tuple(f"Column {i} is read in another way." for i in range(12))
    assert any("… and 8 more on the page." in line for line in lines(noted("labels", notes, 12)))
    assert any("… and 8 more in the notes" in line for line in lines(noted("labels", notes, 12), folder=""))
    five = "".join(lines(noted("labels", notes[:5], 5)))
    assert "Column 4 is" in five
    assert "more on the page" not in five
    assert not any(line.startswith("- ") for line in lines(noted("labels", notes, 0)))


def test_withheld_notes_are_one():
    said = "".join(lines(noted("labels", NOTES, 4), "cells"))
    assert "4 notes of the audit are withheld." in said
    assert "have no 'y'" not in said


def test_a_note_says_the_file_shortly():
    (said,) = [
        line
        for line in lines(noted("labels", ("mail.csv: column 'a': 3 cells are missing.",), 1))
        if "cells" in line
    ]
    assert said.startswith("- Column 'a': 3 cells")
