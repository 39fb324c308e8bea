"""A report that holds every block; a given text stands wherever words of the data may stand."""

from dataaudit.report.blocks import (
    BRIEF,
    MARKDOWN,
    PAGE,
    TERMINAL,
    Card,
    Cards,
    Cell,
    Check,
    Checks,
    Commands,
    Document,
    Facts,
    Figure,
    Fold,
    Grid,
    Group,
    Lines,
    List,
    Near,
    Only,
    Record,
    Report,
    Row,
    Rows,
    Rule,
    Section,
    Sentence,
    Table,
    Words,
)
from dataaudit.report.charts import Lane, Lanes, Matrix, Plot, Point, Tick

NUMBERS = "Figures of the table"


def every_block(text="", *, rows=3, cards=2, cells=3, ranked=12):
    """Build the report; `text` is added to names and cells, the rest says how much there is of each."""
    return Report(
        kind="labels",
        over=("Audit of ", Cell(f"data{text}")),
        name=Cell(f"data{text}"),
        facts=("4 rows, classes ", Cell(f"ham{text}", 40)),
        headline=f"About 3 of 40 labels are wrong{text[:200]}",
        sentences=("One sentence.", ("The row ", Cell(f"mail{text}", 120), " comes first.")),
        about=(Cell(f"data{text}", 100), ": 4 rows; run ", Cell("0123abcd"), " of dataaudit 1."),
        steps=(("Read the rows.", ("Begin with ", Cell(f"mail{text}"), ".")),),
        sections=(
            _first(text, ranked),
            _tables(text, rows),
            _figures(text),
            Section("Cards", (_cards(text, cards, cells),), rank=1, key="cards"),
            _rows(text, ranked),
            _rest(text, cells),
            _trust(text),
            Section(
                "Next",
                (Only(BRIEF, (Commands((("Look", f"audit look {text[:100]}"),)),)),),
                rank=0,
                key="next",
            ),
        ),
        lines=(
            Table(
                caption="Rows", rows=(("1", Cell(f"mail{text}", 200), "p 0.5"), ("10", Cell("b"), "p 0.25"))
            ),
            Rule("short summary"),
            Lines((("a.csv:1: ", Words("DA101", "against"), " ", Cell(f"mail{text}", 300)),)),
            Document(f"# About{text[:500]}\n\n    indented"),
            Sentence("The end.", "quiet"),
        ),
        version="1",
        provenance={"run_id": "0123abcd"},
        records=({"name": text},),
    )


def _first(text, ranked):
    blocks = (
        Rows(
            items=tuple(_row(text, at) for at in range(1, min(ranked, 10) + 1)),
            style="first",
            overview=_overview(text, ranked),
        ),
        Only(PAGE, (Sentence("Only on the page."),)),
        Only(MARKDOWN, (Sentence("Only in Markdown."),)),
        Only(TERMINAL, (Sentence("Only on a terminal.", "quiet"),)),
    )
    return Section(
        "The rows to look at first", blocks, rank=0, key="first", nav="Look here", lead="In order."
    )


def _overview(text, ranked):
    rows = tuple(
        (
            str(at),
            Cell(f"mail{text}:{at}", 120),
            (Cell(f"ham{text}", 40, "struck"), " → ", Cell("spam", 40, "strong")),
            "0.25",
            Cell(f"word{text}", 30, "quiet"),
        )
        for at in range(1, ranked + 1)
    )
    head = ("", "row", "label → suggested", "loss", "against the label")
    return Table(
        caption="Rows", head=head, rows=rows, total=40, short=5, spare=True, legend="Losses in nats."
    )


def _tables(text, rows):
    bars = Table(
        caption="Shares",
        head=("size", "share"),
        rows=(("1", "10 %"), ("2", "20 %")),
        bars=(0.1, 0.2),
        lead="Medians.",
    )
    table = Table(
        caption=NUMBERS,
        head=("training row", (Cell(f"column{text}", 40)), "harm", "begins"),
        rows=tuple(
            (Cell(f"t{at}{text}"), Cell(text or "x", 240), f"{at} nats", Cell(f"line{text}\ntwo", 100))
            for at in range(rows)
        ),
        total=rows + 2,
        rest=("row", "rows: rows.parquet"),
        short=2,
        terminal=(0, 2),
        style="wide",
    )
    near = List(((Cell("a", 40, "strong"), ", alike", Cell(f"begins{text}", 100)),), style="near")
    blocks = (bars, table, List(("One.", ("Two: ", Cell(text or "y")))), near)
    return Section("Tables", blocks, rank=0, key="tables", folded=True)


def _figures(text):
    name = f"class{text[:30]}"
    plot = Plot(
        key="plot",
        title=f"Losses of {name}",
        description="Loss against λ.",
        x_name="λ",
        y_name="loss",
        x_ticks=(Tick(46, "0"), Tick(396, "1")),
        y_ticks=(Tick(200, "0"),),
        points=(Point(50, 100, "accent", text="50 %: 2 rows"), Point(60, 100, "against", square=True)),
        head=("λ", "loss"),
        table=((name, "0.5"),),
    )
    lanes = Lanes(
        key="lanes",
        title="Shares",
        description="With intervals.",
        height=64,
        zero=46,
        ticks=(Tick(46, "0"),),
        lanes=(Lane(6, name, "50 %", 46, 100, "accent", (60, 140)),),
        head=("rows", "share"),
        table=((name, "50 %"),),
    )
    matrix = Matrix(
        key="matrix",
        title="Noise",
        description="Rates.",
        corner="truth",
        height=100,
        across=(Tick(120, name),),
        down=(Tick(60, name),),
        cells=(),
        head=("truth", "rate"),
        table=((name, "1 %"),),
    )
    grid = Grid(((Figure(plot),), (Figure(lanes), Figure(matrix))))
    return Section("Charts", (grid,), rank=2, key="charts")


def _cards(text, cards, cells):
    items = tuple(
        Card(
            title=("Finding ", Cell(f"slice{text}", 160)),
            name=f"Finding {at}",
            key=f"f{at}",
            number=str(at),
            badge=Words("High severity", "against"),
            blocks=(
                Sentence("Look at its rows."),
                Fold("Its rows", (_record(text, cells),), of=f"finding {at}"),
                Group("Part", (Cards(items=(Card(title="Inner", blocks=(Sentence("Within."),)),)),)),
                Document(f"## Why\n\nA rule, **bold**, {text[:300]}"),
            ),
        )
        for at in range(1, cards + 1)
    )
    overview = Table(
        caption="Findings",
        head=("", "about"),
        rows=tuple((str(at), Cell(f"slice{text}")) for at in range(cards)),
    )
    more = ("finding", "findings, all in findings.parquet")
    return Cards(items=items, overview=overview, numbered=True, total=cards + 1, rest=more)


def _record(text, cells):
    shown = tuple(
        (f"column {at}{text[:40]}", Cell(f"one deal {text}", 600, marks=(("deal", -1.0),)))
        for at in range(cells)
    )
    return Record(shown, "the row", total=cells + 1)


def _ranked(text, n):
    return tuple(_row(text, at) for at in range(1, n + 1))


def _row(text, at):
    near = Near(f"other{text[:120]}", f"ham{text[:20]}", "0.9", Cell(f"begins{text}", 140))
    return Row(
        rank=at,
        row_id=f"mail{text[:60]}:{at}",
        label=f"ham{text[:20]}",
        suggested="spam",
        wrong="97 %",
        likely=at < 3,
        sentences=("Left out, it loses 1 nat.", "Removing it lowers its loss."),
        begins=Cell(f"the deal {text}", 220),
        cells=(("text", Cell(f"the deal and the gas {text}", 600, marks=(("deal", -0.5), ("gas", 0.5)))),),
        against=((f"deal{text[:40]}", "−0.50"),),
        support=(("gas", "+0.50"),),
        other=(near,),
        same=(near, near),
        sort=("1.5", at),
    )


def _rows(text, ranked):
    names = [f"ham{text[:20]}", "spam"]
    queue = {
        "run": "0123abcd",
        "classes": names,
        "names": [name.replace("\n", " ")[:60] for name in names],
        "digits": ["1", "2"],
        "rows": [[f"mail{text[:60]}:{at}", 0, 1, 0.97] for at in range(1, ranked + 1)],
        "expected": 3.0,
        "first": 50,
        "last": 30,
        "few": 1,
        "number": "",
    }
    block = Rows(
        items=tuple(_row(text, at) for at in range(1, ranked + 1)),
        style="list",
        total=40,
        queue=queue,
        apply="audit apply",
    )
    return Section("Review the ranked rows", (block,), rank=2, key="rows", lead="Each line has its label.")


def _rest(text, cells):
    blocks = (
        Facts((("Rows", "4"), (f"Classes{text[:40]}", Cell(text or "z")))),
        _record(text, cells),
        Commands((("Command", f"audit labels {text[:100]}"),)),
        Fold(
            "Settings",
            (Table(caption="Settings", head=("a", "b"), rows=(("l2", Cell(text or "1")),), style="plain"),),
        ),
        Lines(("a line",)),
        Rule("the end"),
        Sentence("Strong.", "strong"),
    )
    return Section("This run", blocks, rank=1, key="run")


def _trust(text):
    checks = Checks(
        (
            Check("gradient", True, "The fit is at a minimum."),
            Check("calibration", False, f"It is not{text[:100]}."),
        )
    )
    return Section(
        "How far to trust it", (Sentence("No refits were made.", "quiet"), checks), rank=1, key="trust"
    )


def _next(text):
    return Section("Next", (Only(BRIEF, (Commands((("Look", f"audit look {text[:100]}"),)),)),), 0, "next")
