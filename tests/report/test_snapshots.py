"""What each kind of report says in each format: a file to read when it changes, made anew by UPDATE=1."""

import html
import io
import os
import re
from pathlib import Path

import pytest
from report.made import MADE

from dataaudit.report import shown
from dataaudit.writers import get

SNAPSHOTS = Path(__file__).parent / "snapshots"
FORMATS = {
    "console": ".console.txt",
    "markdown": ".md",
    "text": ".text.txt",
    "html": ".page.txt",
    "jsonl": ".jsonl",
}


def words_of(page):
    """Return the text of a page, a line a block, and nothing of its style and scripts."""
    page = re.sub(r"<style>.*?</style>|<script.*?</script>", "", page, flags=re.DOTALL)
    page = re.sub(r"</(p|li|h\d|tr|summary|figcaption|dt|dd|article|section|caption|title|text)>", "\n", page)
    page = re.sub(r"</t[dh]>", " | ", page)
    lines = html.unescape(re.sub(r"<[^>]+>", "", page)).splitlines()
    return "\n".join(text for text in (" ".join(line.split()) for line in lines) if text.strip(" |")) + "\n"


@pytest.mark.parametrize("kind", MADE)
@pytest.mark.parametrize("name", FORMATS)
def test_it_says_the_same_as_ever(kind, name):
    out = io.StringIO()
    findings, report = shown(MADE[kind](), folder="out")
    get(name, kind).write(findings, report, out)
    text = words_of(out.getvalue()) if name == "html" else out.getvalue()
    text = text.replace(findings.provenance.run_id, "RUN")
    path = SNAPSHOTS / f"{kind}{FORMATS[name]}"
    if os.environ.get("UPDATE"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
