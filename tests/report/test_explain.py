"""Reports of an explanation: what they say of a row, of its prediction, and of two models."""

import dataclasses
import io
import json
import re

import numpy as np
import polars as pl
import pytest
from rich.cells import cell_len
from rich.console import Console
from writers.pages import parse
from writers.payloads import PAYLOADS

import dataaudit
from dataaudit.cells import picture_of
from dataaudit.report import explain, shown, versus, words
from dataaudit.writers import get
from dataaudit.writers.base import BUILT_IN
from dataaudit.writers.console import show
from dataaudit.writers.html import page as page_of

HOSTILE = [text[:2000] for text in PAYLOADS.values()]


def explained(cells, classes=("ham", "spam"), **settings):
    """Explain a row of a table whose strings are the given ones."""
    random = np.random.default_rng(0)
    n, repeated = 200, [cells[at % len(cells)] for at in range(200)]
    x = random.normal(size=n)
    frame = pl.DataFrame(
        {
            "x": x,
            "note": repeated,
            "name": [f"{at} {cell[:40]}" for at, cell in enumerate(repeated)],
            "y": [classes[int(v)] for v in x + random.normal(size=n) > 0],
        }
    )
    options = {"label": "y", "id": "name", "categorical": ("note",), "l2": 1e-2, "show_components": True}
    options["flip"] = "prediction"
    return dataaudit.explain(frame[:150], frame[150:], row=3, **options | settings).tables


@pytest.fixture(scope="module")
def plain():
    return explained(["one", "two", "three"])


@pytest.fixture(scope="module")
def hostile():
    return explained(HOSTILE, classes=(HOSTILE[0], HOSTILE[1]), top=60)


@pytest.fixture(scope="module")
def two():
    """Two models; names and labels with all that is dangerous in them."""
    settings = {"top": 12, "flip": None, "versus": "rbf-svm"}
    return explained(HOSTILE, classes=(HOSTILE[0], HOSTILE[1]), **settings)


def page(tables):
    return page_of(explain.report(tables, folder="out"))


def console(tables, width=80):
    out = io.StringIO()
    show(explain.report(tables, folder="out"), Console(file=out, width=width, _environ={}))
    return out.getvalue()


@pytest.mark.parametrize("which", ["plain", "hostile", "two"])
def test_every_format_draws_it(request, which):
    tables = request.getfixturevalue(which)
    for name in BUILT_IN:
        out = io.StringIO()
        get(name, "explanation").write(*shown(tables, folder="out"), out)
        assert out.getvalue()
        assert "\x1b" not in out.getvalue()
    for width in (40, 80, 200):
        assert max(map(cell_len, console(tables, width).splitlines())) <= width
    found = parse(page(tables))
    assert found.errors == []
    assert found.count["script"] == 0
    assert len(found.ids) == len(set(found.ids))
    assert {link[1:] for link in found.links} <= set(found.ids)


def test_the_console_says_what_how_and_what_next(plain):
    text = console(plain)
    flat = " ".join(text.split())
    assert re.search(r"Test row 3 is predicted “(sp|h)am” \(\d+\.\d%\)", flat)
    assert re.search(r"(falls|rises)\s0\.\d+ +(harmful|helpful)", text)
    assert "By cosine" in flat
    assert "without the training loss" in flat
    assert "(confirmed by retraining)" in flat or "no set" in flat.lower()
    assert "out/report.html" in text
    assert "+0." not in text, "a bare signed number"


@pytest.mark.parametrize(
    ("share", "said"), [(0.9996, ">\xa099.9\xa0%"), (1.0, "100.0\xa0%"), (0.5, "50.0\xa0%")]
)
def test_the_headline_says_the_share_as_the_table_does(plain, share, said):
    likely = pl.when(pl.int_range(pl.len()) == 0).then(share).otherwise(1 - share)
    tables = dataclasses.replace(plain, probabilities=plain.probabilities.with_columns(probability=likely))
    assert explain.report(tables).headline.endswith(f"({said})")
    assert f'<td dir="auto">{said.replace(">", "&gt;")}</td>' in page(tables)


def test_json_gives_back_the_exact_cells(hostile):
    out = {name: io.StringIO() for name in ("json", "jsonl")}
    for name, stream in out.items():
        get(name, "explanation").write(hostile, explain.report(hostile), stream)
    rows = [json.loads(row) for row in out["jsonl"].getvalue().split("\n")[:-1]]
    assert [row["train_row_id"] for row in rows] == hostile.influences["train_row_id"].to_list()
    document = json.loads(out["json"].getvalue())
    assert document["influences"] == rows
    assert [row["cell"] for row in document["cells"]] == hostile.cells["cell"].to_list()


def test_the_page_says_it_in_words(plain):
    text = page(plain)
    assert plain.influences["effect"][0].removeprefix("removing this row ") in text
    behind = text[text.index('<section id="behind"') : text.index('<section id="near"')]
    strongest = plain.influences.row(0, named=True)
    assert words.change(strongest["delta_loss_if_removed"]) in behind
    assert behind.count('<svg aria-hidden="true"') == min(len(plain.influences), 20)
    cells = behind[behind.index("Their cells, below those of the test row") :]
    assert cells.index(">Test row<") < cells.index(strongest["train_row_id"])
    assert "Part by part" in text
    assert "with another cell there, or without the word, that loss would change" in text
    assert "Two models" not in text
    row = text[text.index('<section id="row"') : text.index('<section id="flip"')]
    assert text.index('<section id="flip"') < text.index('<section id="behind"')
    parts = ("Probability of each class", "<p>Test row 3, ", "Its cells", "</div><div>", "own cells do")
    assert [row.index(part) for part in parts] == sorted(row.index(part) for part in parts)


def test_words_of_a_text_are_marked():
    random = np.random.default_rng(0)
    known = np.array(["alpha", "beta", "gamma", "delta", "epsilon", "zeta"])
    texts = [" ".join(random.choice(known, 9)) for _ in range(120)]
    frame = pl.DataFrame({"text": texts, "y": ["a" if "alpha" in t else "b" for t in texts]})
    why = dataaudit.explain(frame[:100], frame[100:], label="y", text="text", row=2, l2=1e-2)
    text = page(why.tables)
    assert "<mark>" in text
    assert "<em>" in text
    behind = text[text.index('<section id="behind"') :]
    assert "<mark>" in behind or "<em>" in behind


def test_little_room_shows_less():
    tables = explained(["word " * 500], top=75)
    assert len(page(tables).encode()) <= 1_000_000
    assert len(tables.influences) > 100


def test_two_models_are_set_side_by_side(two):
    text, models = page(two), versus.models(two, {})
    for at, model in enumerate(models, 1):
        assert f'<figure id="distance-{at}">' in text
        assert f"{model['model']}: rank correlation" in text
        changes = [row["delta_loss_if_removed"] for row in model["behind"]]
        assert list(map(abs, changes)) == sorted(map(abs, changes), reverse=True)
        said = [f"without it, the loss {words.moved(change)}. Distance" for change in changes]
        listed = text[text.index(f"Training rows behind it: {model['model']}") :]
        assert [listed.index(sentence) for sentence in said] == sorted(map(listed.index, said))
        biggest = max(model["dots"], key=lambda dot: abs(dot["change"]))["train_row_id"]
        assert two.versus.filter(model=model["model"], place=1)["train_row_id"].to_list() == [biggest]
    assert text.count("rise of the loss without the row, first order (") == 2
    square = text.count("h4.6v4.6h-4.6z")
    assert square == sum(not dot["same_class"] for model in models for dot in model["dots"])
    assert square > 20


def test_a_chart_has_room_for_few_of_many_rows_and_never_leaves_out_the_strongest():
    random = np.random.default_rng(0)
    X = random.normal(size=(1200, 3))
    frame = pl.DataFrame(X, schema=["a", "b", "c"]).with_columns(
        y=pl.Series(np.where(X[:, 0] + random.normal(size=1200) > 0, "x", "o"))
    )
    why = dataaudit.explain(frame[:1000], frame[1000:], label="y", row=0, l2=1e-2, versus="svm")
    for model in versus.models(why.tables, {}):
        part = why.versus.filter(model=model["model"])
        drawn = {dot["train_row_id"] for dot in model["dots"]}
        assert 200 <= len(drawn) <= 300
        assert drawn >= set(part.filter(pl.col("place") <= 100)["train_row_id"])
        ends = part["distance"].min(), part["distance"].max()
        assert (model["dots"][0]["distance"], model["dots"][-1]["distance"]) == ends


def test_pixels_of_the_rows_that_it_names_are_shown():
    random = np.random.default_rng(0)
    y = random.integers(0, 2, 160)
    pixels = np.clip(random.integers(0, 90, (160, 64)) + 90 * y[:, None] * (np.arange(64) < 32), 0, 255)
    frame = pl.DataFrame({"pixels": pixels.tolist(), "y": [f"class {k}" for k in y]})
    given = {"label": "y", "row": 1, "l2": 1e-2, "flip": "prediction", "versus": "svm"}
    tables = dataaudit.explain(frame[:120], frame[120:], **given).tables
    found = parse(page(tables))
    assert found.errors == []
    images = [values for tag, values, _ in found.elements if tag == "img" and values["width"] == "56"]
    named = (
        len(tables.flip) + len(tables.neighbours) + sum(len(m["behind"]) for m in versus.models(tables, {}))
    )
    assert len(images) == named > 30
    assert all(image["src"].startswith(picture_of(np.zeros(64))[:15]) for image in images)
