"""Every sentence of every rule, filled in: read by a machine for grammar, and once by a person.

``messages.txt`` holds them all. Whoever changes a rule writes the file anew, and reads what has changed::

    WRITE_MESSAGES=1 python -m pytest tests/gate/test_messages.py
"""

import os
import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import polars as pl
import pytest
from gate.tables import PLAIN, with_column
from gate.test_fit_facts import material

from dataaudit.gate.facts import fact_tables
from dataaudit.gate.judge import RuleCase, judge
from dataaudit.gate.rules import ASK, read_packs

RULES = {rule.code: rule for rule in read_packs()}
SNAPSHOT = Path(__file__).with_name("messages.txt")
TYPES = {pl.String: "words", pl.Boolean: True, pl.Int64: 1568, pl.Float64: 0.9}
VALUES = {  # of facts, by the name of the column; a second row has the second value
    "column": ("age", "price"),
    "class": ("spam", "ham"),
    "name": ("'spam'", "'ham'"),
    "twin": ("weight", "height"),
    "twin_name": ("'Spam'", "'Ham'"),
    "label": ("ham", "spam"),
    "labels": ("ham / spam", "ham / spam"),
    "suggested_label": ("spam", "ham"),
    "level": ("north", "south"),
    "slice": ("age = child", "region = north"),
    "low": (4, 5),
    "high": (1000, 2000),
    "side": ("below", "above"),
    "odd": ("'1 kg', '2 kg'", "'n/a'"),
    "date": ("2026-05-01", "2026-05-02"),
    "first_test": ("2026-04-01", "2026-04-01"),
    "row": (0, 1),
    "source": ("data.parquet", "data.parquet"),
    "row_id": ("k17", "k18"),
    "now": ("String", "Int64"),
    "problem": ("data.csv is cut short.", "data.csv is cut short."),
    "bound": (20.0, 20.0),
    "and_label": (", with the same label", ", with another label"),
    "offer": ("; did you mean 'spam'?", "."),
    "by": ("the two differ most in age, price", "no single column shows it"),
    "where_most": ("north", "no level in particular"),
    "said": ("The row has no id.", "The id is that of 2 rows."),
    "what": ("is gone, and was Int64 in the base", "was Int64 in the base, and is String"),
    "reason": ("it counts the rows from 1000 to 1568", "short strings, 120 different values in 120 rows"),
}
ONES = {"rows", "twin_rows", "test_rows", "missing", "infinite", "garbled", "errors", "fixed", "removed", "n"}
ONES |= {"size", "suspects", "changed", "classes"}
WRONG = {
    "a double space": "  ",
    "a verb twice": r"\b(is|are|has|was) (it|they|is|are|has|was)\b",
    "one of many": r"(?<![\d.,])1 (?!of\b)(?!other\b)\w+s\b(?<!class)(?<!ss)",
    "many of one": r"\b(?:[2-9]|\d[\d,]*\d) (?:\w+ )?(?:row|label|cell|column|class|level|slice|text)\b",
    "nothing in a pair of marks": r"\(\)|““|”“|''",
    "a stop after a stop": r"[.?!;,:] ?[.;,]",
    "a blank before a stop": r" [.,;:?!](?:\s|$)",
    "a field left open": r"[{}]",
    "a missing value": "—",
    "Python's words": r"\b(None|nan|True|False)\b",
}


def facts(table, height, *, one, above=None, column=""):
    """Return facts of plausible values: counts of one, or of many."""
    made = {}
    for name, dtype in table.schema.items():
        cells = list(VALUES.get(name, (TYPES[dtype], TYPES[dtype])))[:height]
        if one and name in ONES:
            cells = [1] * height
        if name == column:
            cells = [above] * height
        made[name] = pl.Series(name, cells, dtype=dtype, strict=False)
    return pl.DataFrame(made)


@cache
def sentences(code):
    """Return everything that a rule says."""
    rule = RULES[code]
    table, said = fact_tables()[rule.table], {}
    base = with_column("y", {0: "eggs"})
    given = material(PLAIN, base=base if "base" in table.needs else None, test=PLAIN.head(20))
    bare = replace(rule, where="", judges="", limit=0.0 if rule.measure == "share" else rule.limit)
    above = min(rule.limit + 0.3, 0.99) if rule.unit in ("share", "gain", "AUC") else rule.limit + 2.0
    for height, one in ((1, True), (2, False), (2, True)):
        made = facts(table, height, one=one, above=above, column=rule.column)
        found = judge(bare, RuleCase(material=given, table=table, facts=made))
        if found.status == "broken":
            said[f"{found.message}."] = None
        said |= dict.fromkeys(finding.message for finding in found.findings)
    hidden = replace(given, redact=True)
    if table.cells:
        found = judge(bare, RuleCase(material=hidden, table=table, facts=made))
        said |= dict.fromkeys(finding.message for finding in found.findings)
    nothing = judge(bare, RuleCase(material=given, table=table, facts=made.clear()))
    said[nothing.message] = None
    one = judge(replace(bare, limit=5.0), RuleCase(material=given, table=table, facts=made.head(1)))
    said[one.message] = None
    if rule.unjudged:
        said[rule.unjudged] = None
    said[f"{rule.title}."] = None
    return list(said)


@pytest.mark.parametrize("code", RULES)
def test_sentences_are_sentences(code):
    for sentence in sentences(code):
        for fault, pattern in WRONG.items():
            assert not re.search(pattern, sentence), f"{fault}: {sentence}"
        assert sentence[-1] in ".?", sentence
        begins_with_data = sentence.startswith(("table ", "age =", "region =", "data.csv", "(withheld"))
        assert not sentence[0].islower() or begins_with_data, sentence
        for opening, closing in ("()", "“”", "‘’"):
            assert sentence.count(opening) == sentence.count(closing), sentence
        assert sentence.count("'") % 2 == 0, sentence


def test_what_it_takes_is_said_in_sentences():
    for words in ASK.values():
        assert re.fullmatch(r"name [^.]+", words)


def test_all_sentences_are_those_that_were_read(request):
    text = "".join(
        f"{code} {RULES[code].name}\n" + "".join(f"    {s}\n" for s in sentences(code)) for code in RULES
    )
    if os.environ.get("WRITE_MESSAGES"):
        SNAPSHOT.write_text(text, encoding="utf-8")
    assert SNAPSHOT.read_text(encoding="utf-8") == text, "read the difference, then set WRITE_MESSAGES=1 once"
