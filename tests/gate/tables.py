"""For each rule that needs no fit: a small table that keeps it, one that breaks it, and what is then named.

A case says what differs from a plain table: columns that are replaced or added, test data, a base, settings.
"""

import random
from dataclasses import dataclass, field
from typing import Any

import polars as pl

N = 120
WORDS = [
    a + b for a in ("ba", "de", "ki", "lo", "mu", "na", "po", "ri") for b in ("l", "m", "n", "r", "s", "t")
]


def _texts(n, seed):
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=8)) for _ in range(n)]


def plain(n=N, seed=0):
    """A table with nothing wrong: two numbers, a level, a text, a label."""
    rng = random.Random(seed)
    return pl.DataFrame(
        {
            "x": [round(rng.gauss(0, 1), 6) for _ in range(n)],
            "z": [float(rng.randrange(1000)) for _ in range(n)],
            "colour": [rng.choice(("red", "green", "blue")) for _ in range(n)],
            "note": _texts(n, seed + 1000),
            "y": [rng.choice(("ham", "spam")) for _ in range(n)],
        }
    )


def tall(*frames):
    """Frames one below the other."""
    return pl.concat(frames, how="vertical")


def with_column(name, values, frame=None):
    """A plain table in which one column is set: a value for all rows, or row → value."""
    frame = plain() if frame is None else frame
    if not isinstance(values, dict):
        return frame.with_columns(
            pl.Series(name, values) if isinstance(values, list) else pl.lit(values).alias(name)
        )
    cells = frame[name].to_list()
    for row, value in values.items():
        cells[row] = value
    return frame.with_columns(pl.Series(name, cells, strict=False))


def numbered(frame=None, start=0):
    """A table with an id column."""
    frame = plain() if frame is None else frame
    return frame.with_columns(pl.Series("key", [f"k{start + i:05d}" for i in range(frame.height)]))


def dated(first, frame):
    """A table with a date column, a day a row."""
    days = pl.date_range(pl.date(2026, 1, 1), pl.date(2026, 12, 31), eager=True)[first : first + frame.height]
    return frame.with_columns(days.alias("day"))


@dataclass(frozen=True)
class Side:
    data: pl.DataFrame
    test: pl.DataFrame | None = None
    base: pl.DataFrame | None = None
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    keeps: Side
    breaks: Side
    rows: tuple[int, ...] = ()  # named ones, by record number
    columns: tuple[str, ...] = ()
    value: float | None = None  # of what is measured


def _flip(frame, rows):
    other = {"ham": "spam", "spam": "ham"}
    return with_column("y", {row: other[frame["y"][row]] for row in rows}, frame)


def _shout(frame):
    return frame.with_columns(pl.col("note").str.to_uppercase() + " !!")


def _of_levels(*levels, n=N):
    """A table of few levels, whose rows are equal by chance."""
    rng = random.Random(7)
    return pl.DataFrame({name: [rng.choice("ab") for _ in range(n)] for name in levels}).with_columns(
        y=pl.Series([rng.choice(("ham", "spam")) for _ in range(n)])
    )


PLAIN, TEST = plain(), plain(60, seed=5)
FIXED = with_column("z", {0: -5.0, 1: 1500.0}, PLAIN)  # wide enough for whatever a sample holds
CODES = [f"{i} kg" if i < 6 else str(i % 9) for i in range(N)]
MEASURED = {"x": [round(0.01 * i, 3) for i in range(N)]}
GAIN = with_column("hint", [f"{label} {i % 3}" for i, label in enumerate(PLAIN["y"])])

CASES = {
    "DA104": Case(
        Side(tall(PLAIN, PLAIN.head(3))),
        Side(tall(PLAIN, _flip(PLAIN.head(3), [1]))),
        rows=(1, N + 1),
        value=2,
    ),
    "DA105": Case(Side(tall(PLAIN, _flip(PLAIN.head(3), [1]))), Side(_of_levels("a", "b")), value=1.0),
    "DA106": Case(
        Side(tall(PLAIN, _shout(PLAIN.head(3)))),
        Side(tall(PLAIN, _shout(_flip(PLAIN.head(3), [2])))),
        rows=(2, N + 2),
    ),
    "DA107": Case(
        Side(PLAIN),
        Side(with_column("y", dict.fromkeys(range(4), "eggs"))),
        columns=("y",),
        value=1,
    ),
    "DA108": Case(Side(PLAIN), Side(with_column("y", {7: None, 9: ""})), rows=(7, 9), value=2),
    "DA109": Case(Side(PLAIN), Side(with_column("y", "ham")), value=1),
    "DA110": Case(
        Side(with_column("y", {i: str(i % 2) for i in range(N)})),
        Side(with_column("y", {3: " Spam", 5: "HAM"})),
        columns=("y", "y"),
        value=2,
    ),
    "DA111": Case(
        Side(tall(PLAIN, TEST.head(5)), base=PLAIN),
        Side(tall(PLAIN, with_column("y", {0: "spamm", 1: "spamm"}, TEST.head(5))), base=PLAIN),
        columns=("y",),
        value=1,
    ),
    "DA201": Case(Side(PLAIN, TEST), Side(PLAIN, tall(TEST, PLAIN[[4, 8]])), rows=(4, 8), value=2),
    "DA202": Case(
        Side(_of_levels(*"abcd", n=60), _of_levels(*"abcd", n=60)),
        Side(
            PLAIN.select("x", "y").with_columns(pl.Series("x", MEASURED["x"])),
            PLAIN.select("x", "y").with_columns(pl.Series("x", MEASURED["x"])).head(40),
        ),
        rows=tuple(range(40)),
        value=40,
    ),
    "DA203": Case(Side(PLAIN, TEST), Side(PLAIN, tall(TEST, _shout(PLAIN[[4, 8]]))), rows=(4, 8)),
    "DA204": Case(
        Side(GAIN),
        Side(with_column("copy", [label == "spam" for label in PLAIN["y"]])),
        columns=("copy",),
        value=1,
    ),
    "DA205": Case(Side(PLAIN), Side(GAIN), columns=("hint",), value=1.0),
    "DA206": Case(
        Side(numbered(), numbered(TEST, start=900), settings={"id": "key"}),
        Side(numbered(), numbered(TEST, start=118), settings={"id": "key"}),
        rows=(118, 119),
        value=2,
    ),
    "DA207": Case(Side(PLAIN), Side(numbered()), columns=("key",), value=1),
    "DA208": Case(
        Side(dated(0, PLAIN), dated(200, TEST), settings={"date": "day"}),
        Side(dated(0, PLAIN), dated(117, TEST), settings={"date": "day"}),
        rows=(118, 119),
        value=2,
    ),
    "DA305": Case(
        Side(PLAIN, TEST),
        Side(PLAIN, with_column("colour", dict.fromkeys(range(12), "mauve"), TEST)),
        columns=("colour",),
        value=1,
    ),
    "DA306": Case(
        Side(tall(PLAIN, TEST.head(5)), base=PLAIN),
        Side(tall(PLAIN, with_column("colour", {0: "mauve", 1: "mauve"}, TEST.head(5))), base=PLAIN),
        rows=(N,),
        columns=("colour",),
        value=1,
    ),
    "DA307": Case(
        Side(FIXED, TEST),
        Side(FIXED, with_column("z", {3: 90_000.0}, TEST)),
        rows=(3,),
        columns=("z",),
        value=1,
    ),
    "DA308": Case(
        Side(tall(FIXED, TEST.head(5)), base=FIXED),
        Side(tall(FIXED, with_column("z", {2: -90_000.0}, TEST.head(5))), base=FIXED),
        rows=(N + 2,),
        columns=("z",),
        value=1,
    ),
    "DA309": Case(
        Side(PLAIN, TEST), Side(PLAIN, with_column("y", {0: "eggs"}, TEST)), columns=("y",), value=1
    ),
    "DA401": Case(
        Side(with_column("x", dict.fromkeys(range(60)))),
        Side(with_column("x", dict.fromkeys(range(90)))),
        columns=("x",),
        value=0.75,
    ),
    "DA402": Case(
        Side(with_column("colour", dict.fromkeys(range(N - 1)))),
        Side(with_column("colour", dict.fromkeys(range(N), ""))),
        columns=("colour",),
        value=1,
    ),
    "DA403": Case(
        Side(with_column("colour", {0: "red"})), Side(with_column("z", 4.0)), columns=("z",), value=1
    ),
    "DA404": Case(
        Side(tall(PLAIN, PLAIN.head(5))),
        Side(tall(PLAIN, PLAIN.head(10))),
        rows=tuple(range(N, N + 10)),
        value=10 / 130,
    ),
    "DA405": Case(
        Side(PLAIN.with_columns(w=pl.col("z") + 1)),
        Side(PLAIN.with_columns(w=pl.col("z"))),
        columns=("w",),
        value=1,
    ),
    "DA406": Case(Side(PLAIN), Side(PLAIN.head(49)), value=1),
    "DA407": Case(Side(PLAIN.head(110), base=PLAIN), Side(PLAIN.head(90), base=PLAIN), value=0.25),
    "DA408": Case(
        Side(PLAIN.with_columns(pl.col("z").cast(pl.Float32), w=0), base=PLAIN),
        Side(PLAIN.drop("x").with_columns(pl.col("z").cast(pl.String)), base=PLAIN),
        columns=("x", "z"),
        value=2,
    ),
    "DA409": Case(
        Side(PLAIN.drop("z"), base=PLAIN), Side(PLAIN.with_columns(w=1), base=PLAIN), columns=("w",), value=1
    ),
    "DA410": Case(
        Side(PLAIN, TEST.drop("y")),
        Side(PLAIN, TEST.drop("colour").with_columns(pl.col("x").cast(pl.String))),
        columns=("colour", "x"),
        value=2,
    ),
    "DA411": Case(
        Side(numbered(), settings={"id": "key"}),
        Side(with_column("key", {3: "k00009", 5: None}, numbered()), settings={"id": "key"}),
        rows=(3, 5, 9),
        value=3,
    ),
    "DA412": Case(
        Side(with_column("x", {0: None})),
        Side(with_column("x", {0: float("inf"), 4: float("-inf")})),
        columns=("x",),
        value=2,
    ),
    "DA413": Case(
        Side(PLAIN.with_columns(size=pl.Series([str(i % 9) for i in range(N)]))),
        Side(PLAIN.with_columns(size=pl.Series(CODES))),
        columns=("size",),
        value=1,
    ),
    "DA414": Case(
        Side(with_column("note", {0: "Ünïcödé is fine: Ã, â, €"})),
        Side(with_column("note", {0: "cafÃ© au lait", 1: "lost \ufffd byte"})),
        columns=("note",),
        value=2 / N,
    ),
    "DA415": Case(
        Side(with_column("z", {5: 999.0, 6: 999.0})),
        Side(with_column("z", {5: -9999.0, 6: -9999.0})),
        columns=("z",),
        value=1,
    ),
}
