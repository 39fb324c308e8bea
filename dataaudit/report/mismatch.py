"""Report of a mismatch: which predictions are wrong, which training rows they trace back to, what helps."""

from __future__ import annotations

import math
import shlex
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import polars as pl

from dataaudit.findings.schemas import MismatchFindings, MismatchProvenance
from dataaudit.report import blocks, common, figures, findings, words
from dataaudit.report.blocks import Block, Cell, Inline, Only, Report, Section, Sentence, Table
from dataaudit.report.common import LABEL, NAME, Refit, few, listed, said
from dataaudit.report.rows import failures

Fact = dict[str, Any]

_NBSP: Final = "\N{NO-BREAK SPACE}"
_SLICES, _SHIFT = 40, 150
_DRAWN, _LEVELS = 4, 8  # columns that differ most, drawn by level
_BARS: Final = 12  # columns compared by bars
_TYPED: Final = 300  # characters of a command that people would type again
_MANY: Final = 10  # times, from which on no tenths are said
_ELSEWHERE: Final = frozenset(("--out", "-o", "--format"))  # options that another command has its own of
_COVARIATE: Final = (pl.col("measure") == "covariate") & pl.col("column").is_not_null()
_CAUSES: Final[dict[tuple[str, ...], str]] = {  # by what makes the loss larger
    ("inputs", "labels"): "It is inputs and labels: against training,",
    ("inputs",): "It is the inputs, not the labels: against training,",
    ("labels",): "It is the labels, not the inputs: against training,",
    (): "Neither other inputs nor other labels make the loss larger beyond chance:",
}
_NO_REFITS: Final = "Too few refits were made in this run to compare predicted with measured changes of loss."
_UNSEEN: Final = (
    "This holds if only the inputs changed: it is what training rows show when they are left out and weighed "
    "to be like the test rows. Labels that changed given the inputs cannot be seen without some test labels."
)


def report(f: MismatchFindings, *, folder: str = "", whole: MismatchFindings | None = None) -> Report:
    """Say how many predictions are wrong, which rows they trace back to, and what to type next.

    The records for programs have the names that rows have in `whole`, by default those shown.
    """
    named = (
        findings.mismatch_findings(whole, findings.values_of(whole), findings.slices_of(whole))
        if whole
        else ()
    )
    p, rows, slices = f.provenance, findings.values_of(f), findings.slices_of(f)
    cards, known = findings.mismatch_findings(f, rows, slices), labelled(f.provenance)
    train, test = few(p.n_train, "training row"), few(p.n_test, "test row")
    n_train, n_test = ("Training rows", words.count(p.n_train)), ("Test rows", words.count(p.n_test))
    columns, settings = common.run(p, (("Run", Cell(p.run_id)), n_train, n_test))
    trust, shift = _trust(f, known=known), _shift(f, slices, known=known)
    harmful = Only(blocks.MARKDOWN, (findings.harmful_rows(f),))
    first = Section("Training rows to look at first", (harmful,), rank=0)
    section, traced = findings.section(f, cards), findings.traced(f, rows, cards)
    shown = (section, first, trust, traced, shift, _slice_table(slices)) if known else (trust, shift)
    return Report(
        kind="mismatch",
        over=("Mismatch audit of ", Cell(p.train), " against ", Cell(p.test)),
        name=(Cell(p.train, 58), " against ", Cell(p.test, 58)),
        facts=common.heading(p, f"{train}, {test}"),
        headline=_headline(p) if known else _inputs(f),
        sentences=_sentences(f, cards) if known else _compared(f),
        about=common.about(p, (Cell(p.train, 100), f" ({train}) against ", Cell(p.test, 100), f" ({test})")),
        steps=(*failures(f.health), *_steps(cards, known=known)),
        sections=(
            common.notes(p, folder),
            *_expected(f),
            *shown,
            _following(f, cards, folder),
            columns,
            *_model(f),
            settings,
        ),
        lines=(Table(caption="Findings", rows=tuple(map(_line, cards))),),
        records=tuple(map(findings.record_of, named or cards)),
        version=p.version,
        provenance=p.to_dict(),
    )


def labelled(p: MismatchProvenance) -> bool:
    """Whether the test rows have labels, so that predictions could be judged."""
    return math.isfinite(p.test_loss)


def _headline(p: MismatchProvenance) -> str:
    n, wrong = p.n_test, p.n_errors
    if not wrong:
        return f"None of {n:,} labelled test rows is mispredicted"
    digits = 1 if wrong / n >= 0.001 else 2  # noqa: PLR2004 - below a tenth of a per cent
    share = f"{100 * wrong / n:.{digits}f}{_NBSP}%"
    return f"{wrong:,} of {n:,} labelled test rows {'is' if wrong == 1 else 'are'} mispredicted ({share})"


def _inputs(f: MismatchFindings) -> str:
    apart = f.shift.filter(pl.col("significant") & (pl.col("measure") != "label"))["column"].drop_nulls()
    columns = few(apart.n_unique(), "column") if len(apart) else "no column beyond chance"
    return f"The inputs of {f.provenance.n_test:,} test rows differ from training in {columns}"


def _compared(f: MismatchFindings) -> tuple[Inline, ...]:
    known = "The test rows have no labels: only their inputs are compared, no prediction can be judged."
    two = f.shift.filter(pl.col("column").is_null(), measure="two-sample")["message"].to_list()
    expected = f.expected["message"].unique(maintain_order=True).to_list()
    expected += [_UNSEEN] if f.expected["value"].count() else []
    return said(known, *expected, *two[:1], common.checked(f.health))


def _expected(f: MismatchFindings) -> tuple[Section, ...]:
    """Return accuracy and loss that the inputs alone let expect, where no label says what they are."""
    if not len(f.expected):
        return ()
    rows = f.expected.select("measure", "value", "low", "high", "rows", "unlike", "effective_rows")
    table = Table(
        caption="Expected of test rows without labels",
        head=(
            "measure", "expected", "90 % interval", "of test rows", "like no training row",
            "training rows by weight",
        ),
        rows=tuple(
            (
                f"{measure}, nats" if measure == "loss" else measure,
                words.fixed(value, 3),
                f"{words.fixed(low, 3)} to {words.fixed(high, 3)}" if words.known(low) else words.MISSING,
                words.count(of),
                words.count(unlike),
                words.count(round(effective)),
            )
            for measure, value, low, high, of, unlike, effective in rows.iter_rows()
        ),
    )  # fmt: skip
    return (
        Section(
            "Expected accuracy and loss", (Only(blocks.PAGE, (table,)),), rank=1, key="expected", lead=_UNSEEN
        ),
    )


def _sentences(f: MismatchFindings, cards: Sequence[Fact]) -> tuple[Inline, ...]:
    p, checks = f.provenance, common.checked(f.health)
    return said(common.unjudged(p), _losses(p), _found(cards, p.n_errors), _cause(f), checks)


def _losses(p: MismatchProvenance) -> str:
    worse = "worse" if p.test_loss > p.train_loss else "no worse"
    means = f"{p.test_loss:.3g} nats, that of the {p.n_train:,} training rows {p.train_loss:.3g} nats"
    return f"The mean loss of the test rows is {means}: the model does {worse} on what it did not see."


def _found(cards: Sequence[Fact], n_errors: int) -> str:
    if not cards:
        return "No slice and no group of training rows explains the errors." if n_errors else ""
    counts = Counter(card["severity"] for card in cards)
    parts: list[str] = []
    for name in ("high", "medium"):
        noun = "" if parts else " finding" if counts[name] == 1 else " findings"
        parts += [f"{counts[name]}{noun} of {name} severity"] if counts[name] else []
    parts += [few(counts["note"], "note")] if counts["note"] else []
    grave = [card["slice"] for card in cards if card["severity"] == "high" and card["slice"]][:3]
    above = f", above all about {listed([f'“{name[:LABEL]}”' for name in grave])}" if grave else ""
    return f"Found: {listed(parts)}{above}."


def _cause(f: MismatchFindings) -> str:
    """Say whether inputs or labels explain the difference of loss, by the comparison over all columns."""
    whole = f.shift.filter(pl.col("column").is_null(), measure="loss")
    known = {row["level"]: row for row in whole.iter_rows(named=True)}
    parts = {name: known[name] for name in ("inputs", "labels") if name in known}
    if len(parts) < 2:  # noqa: PLR2004 - both
        return ""
    inputs, labels = parts["inputs"], parts["labels"]
    if not (inputs["significant"] or labels["significant"]):
        return "Neither other inputs nor other labels change the loss beyond chance, taken over all rows."
    worse = tuple(name for name, d in parts.items() if d["significant"] and (d["value"] or 0.0) > 0)
    sizes = f"inputs {_moves(inputs)}, labels given the inputs {_moves(labels)}"
    return f"{_CAUSES[worse]} {sizes}."


def _moves(difference: Fact) -> str:
    if not difference["significant"]:
        return "move the loss no more than chance does"
    value = difference["value"] or 0.0
    return f"{'raise' if value > 0 else 'lower'} the loss by {abs(value):.2g} nats a row"


def _steps(cards: Sequence[Fact], *, known: bool) -> tuple[tuple[str, Inline], ...]:
    if not known:
        look = "Those that differ most come first; each says by how much, and whether chance does that."
        why = "With the labels of some hundred test rows the audit says which predictions are wrong, and why."
        return ("Look at the columns that differ.", look), ("Label some test rows.", why)
    if not cards:
        none = "No few training rows carry the errors: look at the traced rows and at what differs in test."
        return (("Look at the rows and columns below.", none),)
    look = "Each finding shows its training rows: correct wrong labels, drop rows that do not belong."
    again = "What one finding explains may settle others; the numbers below hold for this model only."
    return (
        (f"Begin with finding {cards[0]['finding']}.", cards[0]["advice"]),
        ("Go through the findings and look at their rows.", look),
        ("Audit again after each change.", again),
    )


def _trust(f: MismatchFindings, *, known: bool) -> Section:
    """Return checks, and predictions against refits: of findings first, then of single rows."""
    measured = f.findings.select("finding", "predicted_delta_loss", "measured_delta_loss").drop_nulls()
    groups = [Refit(f"finding {number}", "finding", *values) for number, *values in measured.iter_rows()]
    rows = f.verification.iter_rows()
    single = [Refit(f"{test} without {train}", "removed", *losses) for test, train, _, *losses in rows]
    of_group = "finding: change of the mean loss of its mispredicted test rows"
    of_row = "training row that was removed: change of the loss of the test row that it moves most"
    title = "predicted against measured (nats)"
    plots = (
        figures.compare(groups, ("proofs", f"Findings: {title}", of_group), words.moved),
        figures.compare(single, ("single-rows", f"Single training rows: {title}", of_row), words.moved),
    )
    sentence, enough = common.refits_of([*groups, *single], none=_NO_REFITS)
    return common.trust(f.health, sentence, common.charts(*plots), page=known, terminal=enough)


def _shift(f: MismatchFindings, slices: Sequence[Fact], *, known: bool) -> Section:
    significant = pl.col("significant")
    whole = f.shift.filter(pl.col("column").is_null() | pl.col("measure").is_in(["label", "conflict"]))
    differ = f.shift.filter(significant)["message"].head(20)
    inputs = f.shift.filter(significant & pl.col("column").is_not_null())["message"].head(6)
    columns: list[tuple[Block, ...]] = [(_apart(f),)] if f.shift.filter(_COVARIATE).height else []
    columns += [(blocks.Figure(chart),) for chart in _columns(f, slices)]
    page: list[Block] = [Sentence(message) for message in whole["message"] if message]
    page.append(blocks.Grid(tuple(columns)))
    page += [blocks.Group("All comparisons", (_comparisons(f),))] if len(f.shift) else []
    shown = [Only(blocks.PAGE, tuple(page)), Only(blocks.MARKDOWN, (blocks.List(tuple(differ)),))]
    shown += [] if known else [Only(blocks.TERMINAL, (blocks.List(tuple(inputs)),))]
    rank = 1 if known else 0
    return Section("Train against test", tuple(shown), rank=rank, key="shift", folded=True)


def _apart(f: MismatchFindings) -> Table:
    """List the columns that are distributed differently, the most different first."""
    differ = list(f.shift.filter(_COVARIATE).iter_rows(named=True))
    differ.sort(key=lambda d: (not d["significant"], -(d["value"] or 0.0)))
    most = max((d["value"] or 0.0 for d in differ), default=0.0) or 1.0
    chance = {None: "not tested", True: "no, beyond chance", False: "may be chance"}
    shown = differ[:_BARS]
    return Table(
        caption="How far the columns are apart",
        head=("column", "distance", "by chance?"),
        rows=tuple(
            (Cell(d["column"], LABEL), words.fixed(d["value"], 3), chance[d["significant"]]) for d in shown
        ),
        bars=tuple(min((d["value"] or 0.0) / most, 1.0) for d in shown),
        total=len(differ),
        rest=("column", "columns: see the table below"),
        lead="Distance of a column’s distribution in test from that in training, from 0 (alike) to 1.",
    )


def _columns(f: MismatchFindings, slices: Sequence[Fact]) -> list[Any]:
    """Draw the levels of the columns that differ most between training and test."""
    apart = f.shift.filter(_COVARIATE & pl.col("significant")).sort("value", descending=True, nulls_last=True)
    totals = f.provenance.n_train, f.provenance.n_test
    drawn: list[Any] = []
    for name in dict.fromkeys(apart["column"]):
        levels = [s for s in slices if s["column"] == name and s["second_column"] is None]
        levels.sort(key=lambda s: (-s["n_test"], s["level"]))
        if levels and len(drawn) < _DRAWN:
            drawn.append(figures.levels(name, levels[:_LEVELS], number=len(drawn), totals=totals))
    return drawn


def _comparisons(f: MismatchFindings) -> Table:
    facts = f.shift.select("column", "measure", "message", "p_value")
    return Table(
        caption="Comparisons of test with training; chance is the probability that it brings about as much",
        head=("column", "compared", "what differs", "chance"),
        rows=tuple(
            (Cell(column, LABEL) if column else "all columns", measure, message[:500], _chance(p_value))
            for column, measure, message, p_value in facts.head(_SHIFT).iter_rows()
        ),
        total=len(f.shift),
        rest=("comparison", "comparisons, all in shift.parquet"),
    )


def _chance(p: float | None) -> str:
    if p is None or not words.known(p):
        return words.MISSING
    return "below 0.0001" if p < 1e-4 else words.short(p, 2)  # noqa: PLR2004 - what is said


def _slice_table(slices: Sequence[Fact]) -> Section:
    head = (
        "slice", "training rows", "test rows", "wrong", "wrong without its training rows", "labelled",
        "of training", "of test", "mean loss", "harm of its training rows", "their share of the influence",
        "lift", "chance",
    )  # fmt: skip
    table = Table(
        caption="Slices, the most harmful first",
        head=head,
        rows=tuple(map(_slice, slices[:_SLICES])),
        total=len(slices),
        rest=("slice", "slices, all in slices.parquet next to this page"),
        style="wide",
    )
    lead = (
        "Levels, bins and words by how much the training rows in them harm the test rows in them; intervals "
        "are 95 %. Chance is the probability that labels differ as much without a cause, over all slices. "
        "Lift compares the influence of the slice’s own training rows with their share of all rows."
    )
    return Section("Slices", (table,), rank=2, key="slices", lead=lead)


def _slice(s: Fact) -> tuple[Inline, ...]:
    lift, harm = s["lift"], s["harm"]
    does = f"{'raise' if harm > 0 else 'lower'} the loss by {words.short(abs(harm), 2)} nats a test row"
    return (
        Cell(s["name"], NAME),
        *(words.count(s[name]) for name in ("n_train", "n_test", "n_errors", "errors_without")),
        Cell(s["rate_class"], 40),
        *(f"{rate} ({low} to {high})" for _, _, rate, low, high in figures.rate_rows(s)),
        f"{words.fixed(s['loss'])} nats",
        does if words.known(harm) else words.MISSING,
        words.share(s["influence_share"]),
        f"{words.fixed(lift, 0 if lift >= _MANY else 1)} times" if words.known(lift) else words.MISSING,
        _chance(s["p_value"]),
    )


def _model(f: MismatchFindings) -> tuple[Section, ...]:
    plot = figures.selection(f.selection) if f.selection["l2"].n_unique() > 1 else None
    return (Section("Model", (common.charts(plot),), rank=2, key="model"),) if plot else ()


def _line(one: Fact) -> tuple[Inline, ...]:
    rows = few(one["n_train_rows"], "training row") if one["n_train_rows"] else "all training rows"
    proved = f"{words.moved(one['predicted'])} (predicted), {words.moved(one['measured'])} (measured)"
    return (
        str(one["finding"]),
        one["severity"],
        Cell(one["slice"], NAME) if one["slice"] else one["title"][:NAME],
        f"{words.count(one['n_errors'])} wrong",
        rows,
        f"without, mean loss {proved}" if words.known(one["predicted"]) else "not proved",
    )


def _following(f: MismatchFindings, cards: Sequence[Fact], folder: str) -> Section:
    p = f.provenance
    if not p.command.startswith("audit "):
        return common.following(common.page_of(folder))
    command, chosen = _repeatable(p.command)
    condition = next((sql for one in cards if (sql := _condition(f, one["line"]))), "")
    out = shlex.quote(f"{folder or 'audit-mismatch'}-slice")
    trace = f"{command} --where {_quoted(condition)} --out {out}"
    traceable = condition and not chosen and len(command) <= _TYPED
    prove = f"audit verify {shlex.quote(folder)} --top 50" if folder and labelled(p) else ""
    whole_slice = "Trace every test row of the first slice, also those predicted right"
    return common.following(
        common.page_of(folder),
        ("Retrain without the rows that were found, and compare", prove),
        (whole_slice, trace if traceable else ""),
    )


def _repeatable(command: str) -> tuple[str, bool]:
    """Return a command without where it wrote and in which format, and whether it chose rows itself."""
    try:
        typed = shlex.split(command)
    except ValueError:  # a quote that is not closed: it was not typed
        return command, True
    kept: list[str] = []
    skip = False
    for word in typed:
        if not skip and word.partition("=")[0] not in _ELSEWHERE:
            kept.append(word)
        skip = not skip and word in _ELSEWHERE
    return shlex.join(kept), any(word.partition("=")[0] in ("--where", "--rows") for word in kept)


def _condition(f: MismatchFindings, line: Fact | None) -> str:
    """Write a slice as SQL, where it is one level of a column of names."""
    roles = {role.get("column"): role.get("role") for role in f.provenance.roles}
    if line is None or line["second_column"] or roles.get(line["column"]) != "categorical":
        return ""
    name, level = line["column"], line["level"].replace("'", "''")
    column = name if name.isidentifier() else '"' + name.replace('"', '""') + '"'
    return "" if level.startswith("(") else f"{column} = '{level}'"  # missing, or the rest


def _quoted(condition: str) -> str:
    """Quote for a shell, as a person would where nothing in it means something to a shell."""
    return f'"{condition}"' if set('"$`\\!').isdisjoint(condition) else shlex.quote(condition)
