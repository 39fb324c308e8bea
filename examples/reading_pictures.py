"""The pictures of docs/reading.md: audits made-up messages and takes parts of the page that it writes.

    python examples/reading_pictures.py                    # about a minute; needs Chromium and playwright

Messages to a shop are labelled by four people with the team that should answer; one of them is careless in
some weeks. All of it is drawn from a seed. A part that the page does not have is passed over.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
from playwright.sync_api import sync_playwright

import dataaudit

ROWS, WRONG, CARELESS, LOOKS = 900, 0.03, 0.35, 60
DOCS = Path(__file__).resolve().parents[1] / "docs"
PEOPLE = ("ann", "ben", "cleo", "dan")
TEAMS = {
    "billing": (
        ("The invoice has the wrong amount", "You charged my card twice", "When will the refund be paid",
         "The receipt lacks our tax number", "The discount is missing from the bill", "I paid by transfer"),
        ("for order {n}", "and the bank says so too", "although the price was lower", "on my statement",
         "since the last payment", "and accounting asks for it"),
    ),
    "shipping": (
        ("The parcel has not arrived", "The tracking number does not work", "The box was broken",
         "It came to the wrong address", "The courier rang at noon", "Half of the delivery is missing"),
        ("for order {n}", "and the depot knows nothing", "although I was at home", "in our street",
         "since last week", "and the neighbour has it not"),
    ),
    "technical": (
        ("The app closes when I open the settings", "I cannot log in", "The screen stays black",
         "My password is not accepted", "The sensor shows no values", "The battery is empty in an hour"),
        ("with error {n}", "and a restart does not help", "although it was charged", "on my phone",
         "since the update", "and the light blinks twice"),
    ),
}  # fmt: skip
POLITE = ("", "Hello, ", "Good morning, ", "Dear team, ", "Hi there. ")
ENDS = (".", ", please help.", ". Thank you.", ", this is urgent!", ". Kind regards.")
PARTS = {  # name of the picture: what of the page
    "headline": "header",
    "checks": "#trust .checks",
    "who": "#by-level",
}


def made_up(seed: int = 0) -> tuple[pl.DataFrame, pl.Series]:
    """Return messages with a team, some of them wrong, and the teams that are right."""
    rng = np.random.default_rng(seed)
    teams, people = rng.choice(list(TEAMS), ROWS), rng.choice(PEOPLE, ROWS)
    texts = []
    for team in teams:
        first, second = (str(rng.choice(said)).format(n=rng.integers(1000, 9999)) for said in TEAMS[team])
        texts.append(f"{rng.choice(POLITE)}{first}, {second}{rng.choice(ENDS)}")
    wrong = rng.random(ROWS) < np.where(people == "dan", CARELESS, WRONG)
    shift = rng.integers(1, len(TEAMS), ROWS) * wrong
    names = list(TEAMS)
    labels = [names[(names.index(team) + step) % len(names)] for team, step in zip(teams, shift, strict=True)]
    frame = pl.DataFrame({"message": texts, "annotator": people, "team": labels})
    return frame, pl.Series("team", teams)


def audited(folder: Path) -> Path:
    """Audit the messages, decide the rows of a sample as they are, learn from that; return the page."""
    frame, truth = made_up()
    with contextlib.chdir(folder):
        frame.write_parquet("messages.parquet")
        audit = dataaudit.audit_labels(
            "messages.parquet", label="team", text="message", exclude=["annotator"], by=["annotator"]
        )
    rows = audit.sample(LOOKS, seed=0).select("row_id", "row")
    right, given = truth.gather(rows["row"]), frame["team"].gather(rows["row"])
    decisions = rows.select("row_id").with_columns(
        action=pl.Series(["keep" if a == b else "relabel" for a, b in zip(given, right, strict=True)]),
        label=pl.Series([None if a == b else b for a, b in zip(given, right, strict=True)], dtype=pl.String),
    )
    audit.write(folder / "first")
    audit.learn(decisions).write(folder / "learned")
    return folder


def main() -> None:
    """Audit, open the pages, write the pictures."""
    DOCS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as made, sync_playwright() as driver:
        folder = audited(Path(made))
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 760, "height": 900}, reduced_motion="reduce")
        page.goto((folder / "first" / "report.html").as_uri())
        for name, selector in PARTS.items():
            if page.locator(selector).count():
                page.locator(selector).first.screenshot(path=DOCS / f"reading-{name}.png")
        page.locator("ol.first > li").first.screenshot(path=DOCS / "reading-card.png")
        page.evaluate(
            """() => {
              for (const at of ["bar", "tools", "review"]) document.getElementById(at).hidden = true;
              document.getElementById("r1").parentElement.style.contentVisibility = "visible";
              document.getElementById("r1").open = true;
            }"""
        )
        page.locator("#r1").screenshot(path=DOCS / "reading-row.png")
        page.goto((folder / "learned" / "report.html").as_uri())
        page.locator("header").first.screenshot(path=DOCS / "reading-learned.png")
        browser.close()


if __name__ == "__main__":
    main()
