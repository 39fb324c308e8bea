"""Every page in a real browser: for everyone, at every width, in both themes, whatever the cells hold."""

import dataclasses
from functools import partial
from pathlib import Path

import polars as pl
import pytest
from audits.vulnerability.test_vulnerability import attacked, table
from report.test_explain import explained
from writers.example import made_up
from writers.mismatch_example import real, spoilt
from writers.payloads import PAYLOADS
from writers.verdict.example import mixed, written

from dataaudit.files import write_page
from dataaudit.writers.html import write_report

axe = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="axe is not installed: pip install '.[dev]'"
)
AXE = Path(axe.__file__).with_name("axe.min.js").read_text(encoding="utf-8") + "; true"
PAGES = {
    "labels": lambda: made_up(n=24),
    "table": lambda: made_up(n=24, text=False, classes=tuple("abcdefghijkl")),
    "mismatch": real,
    "explanation": lambda: explained(["a note", "another"]),
    "two models": lambda: explained(["a note", "another"], versus="rbf-svm", flip=None),
    "vulnerability": lambda: attacked(table).tables,
    "check": lambda: written("html", mixed()),
}


@pytest.fixture(scope="module", params=PAGES)
def path(request, tmp_path_factory):
    made, path = PAGES[request.param](), tmp_path_factory.mktemp("page") / "report.html"
    return write_page(made, path) if isinstance(made, str) else write_report(made, path)


def unfold(page):
    """Open what is folded, and put the review to work, so that every part is looked at."""
    page.evaluate("document.querySelectorAll('details').forEach((d, i) => { if (i < 40) d.open = true; })")
    if page.locator("#bar").count():
        page.keyboard.press("j")
        page.keyboard.press("a")
        page.keyboard.press("x")


@pytest.mark.parametrize(("scheme", "width"), [("light", 400), ("dark", 1440)])
def test_axe_finds_nothing_serious(visit, path, scheme, width):
    with visit(path, scheme=scheme, width=width) as page:
        unfold(page)
        page.evaluate(AXE)  # through the driver: the page's own policy would not let it in
        found = page.evaluate("() => axe.run().then((result) => result.violations)")
        grave = [
            (v["id"], n["target"], n["failureSummary"])
            for v in found
            if v["impact"] in ("serious", "critical")
            for n in v["nodes"]
        ]
        assert grave == []


def test_nothing_is_wider_than_the_window(visit, path):
    with visit(path) as page:
        unfold(page)
        for width in (360, 400, 1440, 3840):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.scrollingElement.scrollWidth - innerWidth") <= 0, width
            wide = page.evaluate(
                """() => [...document.querySelectorAll("main *")]
                .filter((e) => !e.closest(".scroll, svg, .sr, .x, .t"))
                .filter((e) => e.getBoundingClientRect().right > innerWidth + 1)
                .map((e) => e.outerHTML.slice(0, 80))"""
            )
            assert wide == [], width


def test_the_help_can_be_reached_by_tab_alone(visit, tmp_path):
    with visit(write_report(made_up(n=12), tmp_path / "report.html")) as page:
        seen = []
        for _ in range(200):
            page.keyboard.press("Tab")
            seen.append(
                page.evaluate("document.activeElement.textContent.trim() + document.activeElement.id")
            )
            if seen[-1] == "Keys":
                break
        page.keyboard.press("Enter")
        assert page.locator("#help").is_visible()


def cycled(frame, columns):
    """Put the payloads, one after the other, into columns of a table."""
    cells = [text for name, text in PAYLOADS.items() if name != "one megabyte"]
    return frame.with_columns(
        pl.Series(name, [cells[(at + shift) % len(cells)] for at in range(len(frame))])
        for shift, name in enumerate(columns)
    )


def in_cells():
    """Return findings in whose cells, words and levels every payload stands."""
    found = made_up(n=len(PAYLOADS), text=False)
    cells, evidence = cycled(found.cells, ["cell"]), cycled(found.evidence, ["level", "cell"])
    return dataclasses.replace(found, cells=cells, evidence=evidence)


# Those that differ to a browser; tests/writers has every payload in the text of the page.
NAMES = ["script", "close script", "close title", "attribute", "single quote", "script state", "templates"]
HOSTILE = {"cells": in_cells}
HOSTILE |= {f"labels, {name}": partial(made_up, n=12, by=True, hostile=PAYLOADS[name]) for name in NAMES}
HOSTILE |= {f"mismatch, {name}": partial(spoilt, PAYLOADS[name]) for name in NAMES[2:4]}
ATTRIBUTES = """() => [...document.querySelectorAll("*")].flatMap((e) => [...e.attributes])
    .filter((a) => /^on|^style$/.test(a.name) || /^\\s*javascript:/i.test(a.value)).map((a) => a.name)"""


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_cells_do_nothing(visit, kind, tmp_path):
    with visit(write_report(HOSTILE[kind](), tmp_path / "report.html")) as page:
        unfold(page)
        assert page.locator("img, iframe, object, embed, link, base, video, audio, a[href*=':']").count() == 0
        assert page.evaluate(ATTRIBUTES) == []
        assert page.locator("script").count() == (0 if kind.startswith("mismatch") else 2)
        assert page.locator("h1").count() == 1
        assert page.locator("#run").is_visible()
