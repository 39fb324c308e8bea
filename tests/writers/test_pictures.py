"""Cells of pixels: a picture on the page, blocks in the terminal, a size in words everywhere else."""

import dataclasses
import io

import numpy as np
import polars as pl
import pytest
from writers.example import made_up
from writers.pages import parse

from dataaudit.cells import drawn, picture_of
from dataaudit.report import labels, shown
from dataaudit.report.rows import review_rows
from dataaudit.review.screen import _cells
from dataaudit.writers import get, html
from dataaudit.writers.exports import WRITERS

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
    page = parse(html.page(labels.report(findings, folder="out")))
    assert page.errors == []
    images = [dict(attributes) for tag, attributes, _ in page.elements if tag == "img"]
    assert {image["src"] for image in images} == set(findings.cells["cell"]) - {SPOOF}
    assert {image["alt"] for image in images} == {"", "8 × 8 pixels"}
    assert all(set(image) == {"class", "src", "alt", "width", "height"} for image in images)


def test_the_first_rows_show_theirs(findings):
    page = parse(html.page(labels.report(findings, folder="out")))
    first = [values for tag, values, stack in page.elements if tag == "img" and stack[-1] == "p"]
    assert len(first) == 9  # the third only looks like one
    assert {(image["alt"], image["width"]) for image in first} == {("8 × 8 pixels", "112")}


def test_other_columns_of_a_first_row_stand_beside_its_picture():
    made = made_up(n=20, text=False)
    cells = made.cells.with_columns(
        cell=pl.when(column=pl.lit("job")).then(pl.lit(picture_of(np.zeros(64)))).otherwise("cell")
    )
    page = html.page(labels.report(dataclasses.replace(made, cells=cells)))
    first = page[page.index('<ol class="first">') : page.index('id="trust"')]
    assert first.count('height="112"><bdi>') == first.count("<img ") == 10


@pytest.mark.parametrize("writer", [get("markdown"), WRITERS["csv"]])
def test_other_formats_say_its_size(findings, writer):
    out = io.StringIO()
    writer.write(*shown(findings, folder="out"), out)
    assert "8 × 8 pixels" in out.getvalue()
    assert out.getvalue().count("base64") <= out.getvalue().count(SPOOF[:60])


def test_the_terminal_draws_it(findings):
    row = review_rows(findings, 1)[0]
    (text,) = _cells(row, whole=False)
    assert text.plain == drawn(row.picture)


def test_pictures_are_cells_to_redaction(findings):
    for policy in ("cells", "all"):
        _, report = shown(findings, policy)
        assert "data:image" not in html.page(report)
