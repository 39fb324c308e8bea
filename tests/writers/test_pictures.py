"""Cells of pixels: a picture on the page, blocks in the terminal, a size in words everywhere else."""

import dataclasses
import io

import numpy as np
import polars as pl
import pytest
from writers.example import made_up
from writers.pages import parse

from dataaudit.cli.screen import _cells
from dataaudit.picture import drawn, picture_of
from dataaudit.summary import summarise
from dataaudit.summary.redaction import told
from dataaudit.writers import html, markdown, spreadsheet

SPOOF = picture_of(np.zeros(64))[:-4] + '" onerror="alert(1)'


@pytest.fixture(scope="module")
def findings():
    """Findings of rows whose one column is of pixels; the text of the third row only looks like a picture."""
    made = made_up(n=40)
    names = made.cells["row_id"].unique(maintain_order=True).to_list()
    texts = [picture_of(np.random.default_rng(at).integers(0, 256, 64)) for at in range(len(names))]
    texts[2] = SPOOF
    cells = pl.DataFrame({"row_id": names, "column": "pixels", "cell": texts}, schema=made.cells.schema)
    return dataclasses.replace(made, cells=cells)


def test_the_page_shows_pixels_as_pictures(findings):
    page = parse(html.page(summarise(findings, folder="out")))
    assert page.errors == []
    images = [dict(attributes) for tag, attributes, _ in page.elements if tag == "img"]
    assert {image["src"] for image in images} == set(findings.cells["cell"]) - {SPOOF}
    assert {image["alt"] for image in images} == {"", "8 × 8 pixels"}
    assert all(set(image) == {"class", "src", "alt", "width", "height"} for image in images)


@pytest.mark.parametrize("writer", [markdown, spreadsheet])
def test_other_formats_say_its_size(findings, writer):
    out = io.StringIO()
    writer.write(findings, summarise(findings, folder="out"), out)
    assert "8 × 8 pixels" in out.getvalue()
    assert out.getvalue().count("base64") <= out.getvalue().count(SPOOF[:60])


def test_the_terminal_draws_it(findings):
    row = summarise(findings, folder="out").rows[0]
    (text,) = _cells(row, whole=False)
    assert text.plain == drawn(row.picture)


def test_pictures_are_cells_to_redaction(findings):
    for policy in ("cells", "all"):
        _, summary = told(findings, policy)
        assert "data:image" not in html.page(summary)
