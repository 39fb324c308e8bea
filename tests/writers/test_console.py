"""The terminal of any report: within its width, in its own colours, and plain lines for grep."""

import io
import re
import unicodedata

import pytest
from rich.cells import cell_len
from rich.console import Console
from writers.payloads import for_every_payload
from writers.synthetic import every_block

from dataaudit.writers.console import WRITERS, show, show_lines

JOINERS = "\u200c\u200d"


def shown(report, width=80, draw=show, **settings):
    out = io.StringIO()
    draw(report, Console(file=out, width=width, _environ={}, **settings))
    return out.getvalue()


def written(name, report):
    out = io.StringIO()
    WRITERS[name].write(None, report, out)
    return out.getvalue()


@for_every_payload
def test_it_keeps_to_80_columns_and_its_own_colours(payload):
    report = every_block(payload)
    text = shown(report, force_terminal=True, color_system="standard")
    assert set(re.findall(r"\x1b[^m]*m?", text)) <= {"\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[1;31m"}
    plain = re.sub(r"\x1b\[[\d;]*m", "", text)
    assert max(map(cell_len, plain.splitlines())) <= 80


@for_every_payload
@pytest.mark.parametrize("name", WRITERS)
def test_no_steering_character_gets_out(name, payload):
    text = written(name, every_block(payload))
    bad = ("Cc", "Cf", "Cs", "Zl", "Zp")
    assert {c for c in set(text) - set("\n" + JOINERS) if unicodedata.category(c) in bad} == set()
    assert [row for row in text.splitlines() if row.lstrip().startswith(("::", "##[", "##vso"))] == []


@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_line_is_wider_than_the_terminal(width):
    assert max(map(len, shown(every_block(), width).splitlines())) <= width


def test_it_says_what_everyone_should_see_and_what_to_type_next():
    text = shown(every_block())
    assert text.startswith(
        "data\n4 rows, classes ham\n\nAbout 3 of 40 labels are wrong.\nOne sentence.\nThe row mail"
    )
    assert sum(row.strip().startswith(tuple("12345")) and "mail:" in row for row in text.splitlines()) == 5
    assert "First 5 of 40. Losses in nats." in text
    assert "harm" in text  # the third column
    assert "column  " not in text  # the fourth is for wider media
    assert "FAILED  calibration: It is not." in text
    assert "gradient" not in text  # it passed
    assert "Only on a terminal." in text
    assert "Only on the page." not in text
    assert "Its rows" not in text  # of rank 1
    assert text.rstrip().endswith("Next\n  Look:\n    audit look")


def test_a_spare_column_is_shown_where_there_is_room():
    assert "against the label" in shown(every_block(), 100)
    assert "against the label" not in shown(every_block(), 40)


def test_lines_are_whole_where_programs_read_them_and_hang_on_a_terminal():
    report = every_block(" word" * 40)
    lines = written("text", report).splitlines()
    assert lines[0].startswith(" 1  mail word")
    assert lines[1].split() == ["10", "b", "p", "0.25"]
    assert lines[2] == " short summary ".center(80, "=")
    assert lines[3].startswith("a.csv:1: DA101 mail word")
    assert lines[-2:] == ["        indented", "The end."]
    folded = shown(report, draw=show_lines, force_terminal=True, color_system=None).splitlines()
    assert "    word word" in "\n".join(folded)
    assert max(map(len, folded)) <= 80
    assert shown(report, draw=show_lines) == written("text", report)
