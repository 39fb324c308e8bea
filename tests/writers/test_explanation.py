"""The outputs of an explanation: what they say, and that no cell steers who reads them."""

import dataclasses
import io
import json
import re
import unicodedata

import numpy as np
import polars as pl
import pytest
from rich.cells import cell_len
from rich.console import Console
from writers.pages import parse
from writers.payloads import PAYLOADS

import dataaudit
from dataaudit.report import words
from dataaudit.summary import summarise_explanation
from dataaudit.writers import explanation_html, get, names
from dataaudit.writers.base import BUILT_IN
from dataaudit.writers.explanation_console import show

JOINERS = "\u200c\u200d"


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
    why = dataaudit.explain(frame[:150], frame[150:], row=3, **options | settings)
    return why.tables, summarise_explanation(why.tables, folder="out")


@pytest.fixture(scope="module")
def plain():
    return explained(["one", "two", "three"])


@pytest.fixture(scope="module")
def hostile():
    cells = [text[:2000] for text in PAYLOADS.values()]
    return explained(cells, classes=(cells[0], cells[1]), top=60)


@pytest.fixture(scope="module")
def two():
    """Two models; names and labels with all that is dangerous in them."""
    cells = [text[:2000] for text in PAYLOADS.values()]
    settings = {"top": 12, "flip": None, "versus": "rbf-svm"}
    return explained(cells, classes=(cells[0], cells[1]), **settings)


@pytest.fixture(scope="module")
def letters():
    """The same shape as `hostile`, with nothing dangerous in it."""
    return explained([f"cell {at}" for at in range(len(PAYLOADS))], top=60)


def written(name, tables, summary):
    out = io.StringIO()
    get(name, "explanation").write(tables, summary, out)
    return out.getvalue()


def shown(summary, width=80):
    out = io.StringIO()
    show(summary, Console(file=out, width=width, _environ={}))
    return out.getvalue()


def test_every_format_is_there():
    assert names("explanation")[: len(BUILT_IN)] == BUILT_IN
    assert {get(name, "explanation").name for name in BUILT_IN} == set(BUILT_IN)


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_console_keeps_to_its_width(plain, hostile, two, width):
    for _, summary in (plain, hostile, two):
        lines = shown(summary, width).splitlines()
        assert max(map(cell_len, lines)) <= width


def test_the_console_says_what_how_and_what_next(plain):
    _, summary = plain
    text = shown(summary)
    flat = " ".join(text.split())
    assert re.search(r"Test row 3 is predicted “(sp|h)am” \(\d+\.\d%\)", flat)
    assert re.search(r"(falls|rises) 0\.\d+ +(harmful|helpful)", text)
    assert "nearest by cosine" in flat
    assert "without training loss" in flat
    assert "(confirmed by retraining)" in flat or "no set" in flat.lower()
    assert "out/report.html" in text
    assert "+0." not in text, "a bare signed number"


@pytest.mark.parametrize(
    ("share", "said"), [(0.9996, ">\xa099.9\xa0%"), (1.0, "100.0\xa0%"), (0.5, "50.0\xa0%")]
)
def test_the_headline_says_the_share_as_the_table_does(plain, share, said):
    tables, _ = plain
    likely = pl.when(pl.int_range(pl.len()) == 0).then(share).otherwise(1 - share)
    tables = dataclasses.replace(tables, probabilities=tables.probabilities.with_columns(probability=likely))
    summary = summarise_explanation(tables)
    assert summary.verdict.headline.endswith(f"({said})")
    assert f"<td>{said.replace('>', '&gt;')}</td>" in explanation_html.page(summary)


def test_json_gives_back_the_exact_cells(hostile):
    tables, summary = hostile
    rows = [json.loads(row) for row in written("jsonl", tables, summary).split("\n")[:-1]]
    assert [row["train_row_id"] for row in rows] == tables.influences["train_row_id"].to_list()
    document = json.loads(written("json", tables, summary))
    assert document == json.loads(json.dumps(summary.to_dict()))
    cells = {cell["text"] for row in document["harmful"] for cell in row["cells"] if cell["column"] == "note"}
    assert cells <= set(tables.cells.filter(column="note")["cell"])
    assert len(cells) > 5


def test_text_has_a_line_per_row(plain):
    lines = written("text", *plain).splitlines()
    assert len(lines) == len(plain[0].influences)
    assert all(" nats: " in line for line in lines)


@pytest.mark.parametrize("name", BUILT_IN)
@pytest.mark.parametrize("which", ["hostile", "two"])
def test_no_writer_lets_steering_characters_out(request, which, name):
    text = written(name, *request.getfixturevalue(which))
    bad = ("Cc", "Cf", "Cs", "Zl", "Zp")
    assert {c for c in set(text) - set("\n" + JOINERS) if unicodedata.category(c) in bad} == set()
    commands = [row for row in text.splitlines() if row.lstrip().startswith(("::", "##[", "##vso"))]
    assert commands == [] or name == "html"  # a page is no log


def test_the_page_is_the_same_page_whatever_the_cells_say(hostile, letters):
    page, harmless = (parse(explanation_html.page(summary)) for _, summary in (hostile, letters))
    assert page.errors == []
    assert page.names == harmless.names  # no element and no attribute more
    assert page.count["script"] == 0
    assert page.count["h1"] == page.count["style"] == 1
    assert all(link.startswith("#") for link in page.links)
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links} <= set(page.ids)


def test_the_page_stays_small_and_says_it_in_words(plain):
    text = explanation_html.page(plain[1])
    assert len(text.encode()) < 1_000_000
    assert "Removing it lowers the loss of test row 3 by" in text
    assert "Removing it raises the loss of test row 3 by" in text
    assert "Part by part" in text
    assert ": with another cell there, the loss of the test row " in text


def test_the_row_stands_under_its_classes_beside_what_its_cells_do(plain):
    page = explanation_html.page(plain[1])
    row = page[page.index('<section id="row"') : page.index('<section id="behind"')]
    parts = ("Probability of each class", "<p>Test row 3, ", "Its cells", "</div><div>", "own cells do")
    assert [row.index(part) for part in parts] == sorted(row.index(part) for part in parts)


def test_words_of_a_text_are_marked():
    random = np.random.default_rng(0)
    words = np.array(["alpha", "beta", "gamma", "delta", "epsilon", "zeta"])
    texts = [" ".join(random.choice(words, 9)) for _ in range(120)]
    frame = pl.DataFrame({"text": texts, "y": ["a" if "alpha" in t else "b" for t in texts]})
    why = dataaudit.explain(frame[:100], frame[100:], label="y", text="text", row=2, l2=1e-2)
    text = explanation_html.page(summarise_explanation(why.tables))
    assert "<mark>" in text
    assert "<em>" in text
    assert ": without it, the loss of the test row " in text


def test_little_room_shows_less():
    tables, summary = explained(["word " * 500], top=75)
    assert len(explanation_html.page(summary).encode()) <= 1_000_000
    assert len(tables.influences) > 100


def test_two_models_are_set_side_by_side(two):
    tables, summary = two
    page = explanation_html.page(summary)
    found = parse(page)
    assert found.errors == []
    assert len(found.ids) == len(set(found.ids))
    assert {link[1:] for link in found.links} <= set(found.ids)
    assert len(page.encode()) < 1_000_000
    versus = summary.versus
    for at, model in enumerate(versus.models, 1):
        assert f'<figure id="distance-{at}">' in page
        assert f"{model.name}: rank correlation" in page
        rows = (*model.harmful, *model.helpful)
        assert {row.row_id for row in rows} <= set(tables.versus["train_row_id"])
        assert all((row.change < 0) == (row in model.harmful) for row in rows)
        sizes = [abs(row.change) for row in model.behind]
        assert sizes == sorted(sizes, reverse=True)
        assert set(model.behind) == set(rows)
        said = [f"without it, the loss {words.moved(row.change)}. Distance" for row in model.behind[:10]]
        listed = page[page.index(f"Training rows behind it: {model.name}") :]
        assert [listed.index(sentence) for sentence in said] == sorted(map(listed.index, said))
        biggest = max(model.dots, key=lambda dot: abs(dot.change)).row_id
        assert tables.versus.filter(model=model.name, place=1)["train_row_id"].to_list() == [biggest]
    assert page.count("rise of the loss without the row, first order (") == 2
    square = page.count("h4.6v4.6h-4.6z")
    assert square == sum(not dot.same_class for model in versus.models for dot in model.dots)
    assert square > 20
    markdown = written("markdown", *two)
    assert "### Two models" in markdown
    assert "Training rows behind it: rbf-svm" in markdown
    assert "rows of largest influence are the same" in " ".join(shown(summary).split())


def test_a_chart_has_room_for_few_of_many_rows_and_never_leaves_out_the_strongest():
    random = np.random.default_rng(0)
    X = random.normal(size=(1200, 3))
    frame = pl.DataFrame(X, schema=["a", "b", "c"]).with_columns(
        y=pl.Series(np.where(X[:, 0] + random.normal(size=1200) > 0, "x", "o"))
    )
    why = dataaudit.explain(frame[:1000], frame[1000:], label="y", row=0, l2=1e-2, versus="svm")
    for model in summarise_explanation(why.tables).versus.models:
        part = why.versus.filter(model=model.name)
        drawn = {dot.row_id for dot in model.dots}
        assert 200 <= len(drawn) <= 300
        assert drawn >= set(part.filter(pl.col("place") <= 100)["train_row_id"])
        ends = part["distance"].min(), part["distance"].max()
        assert (model.dots[0].distance, model.dots[-1].distance) == ends


def test_one_model_has_no_second_one_on_its_page(plain):
    assert plain[1].versus is None
    page = explanation_html.page(plain[1])
    assert "Two models" not in page
