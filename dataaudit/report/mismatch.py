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
from dataaudit.report.blocks import Block, Cell, Fold, Inline, Only, Report, Section, Table
from dataaudit.report.charts import lengths
from dataaudit.report.common import LABEL, NAME, Refit, few, listed, said
from dataaudit.report.rows import failures, values_of

Fact = dict[str, Any]

_NBSP: Final = "\N{NO-BREAK SPACE}"
_SLICES, _SHIFT = 40, 150
_SAID: Final = 3  # causes that the verdict names
_ALIKE: Final = 1.05  # times the training loss, up to which a test loss is no worse
_BY_PRODUCTS: Final = 2
_BARS: Final = 12  # columns compared by bars
_TYPED: Final = 300  # characters of a command that people would type again
_ELSEWHERE: Final = frozenset(("--out", "-o", "--format"))  # options that another command has its own of
_COVARIATE: Final = (pl.col("measure") == "covariate") & pl.col("column").is_not_null()
_CHANGED: Final = {  # what a cause is, by its kind
    "exchange": "Inputs changed",
    "column": "Inputs changed",
    "copies": "Labels contradict each other",
    "rates": "Class rates changed",
    "row": "A training row misleads",
    "rows": "Training rows mislead",
    "slice": "Labels given the inputs changed",
}
_SPLIT: Final = (
    "How the two tables differ, whatever that costs. The difference of loss is split into what other inputs "
    "explain and what other labels for the same inputs explain; it names no cause."
)
_NO_REFITS: Final = "Too few refits were made in this run to compare predicted with measured changes of loss."
_UNUSUAL: Final = (
    "Unusually badly, or wrong, means worse than 95 % of the training rows when they are left out."
)
_UNSEEN: Final = (
    "This holds if only the inputs changed: it is what training rows show when they are left out and weighed "
    "to be like the test rows. Labels that changed given the inputs cannot be seen without some test labels."
)


def report(f: MismatchFindings, *, folder: str = "", whole: MismatchFindings | None = None) -> Report:
    """Say how many predictions are wrong, which rows they trace back to, and what to type next.

    The records for programs have the names that rows have in `whole`, by default those shown.
    """
    named = findings.findings_of(whole, values_of(whole.cells)) if whole else ()
    p, rows = f.provenance, values_of(f.cells)
    cards, known = findings.findings_of(f, rows), labelled(f.provenance)
    train, test = few(p.n_train, "training row"), few(p.n_test, "test row")
    n_train, n_test = ("Training rows", words.count(p.n_train)), ("Test rows", words.count(p.n_test))
    columns, settings = common.run(p, (("Run", Cell(p.run_id)), n_train, n_test))
    trust, shift = _trust(f, known=known), _shift(f, known=known)
    harmful = Only(blocks.MARKDOWN, (findings.harmful_rows(f),))
    first = Section("Training rows that cost most", (harmful,), rank=1)
    section, traced = findings.section(f, cards), findings.traced(f, rows, cards)
    shown = (section, first, shift, trust, traced, _slice_table(f)) if known else (shift, trust)
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
    if p.is_number:
        share, rows = f"{100 * wrong / max(n, 1):.1f}{_NBSP}%", few(wrong, "labelled test row")
        return f"{rows} of {n:,} {'is' if wrong == 1 else 'are'} predicted unusually badly ({share})"
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
    p = f.provenance
    verdict = _changed(cards, p.n_errors)
    usual = _UNUSUAL if p.is_number else ""
    return said(
        common.unjudged(p),
        usual,
        _losses(p),
        *verdict,
        _found(cards),
        _by_products(cards),
        common.checked(f.health),
    )


def _changed(cards: Sequence[Fact], n_errors: int) -> list[str]:
    """Say what changed, by the first causes."""
    first = findings.causes(cards)[:_SAID]
    if not first and n_errors:
        return ["Neither inputs nor labels: nothing that was tried lowers the test loss beyond chance."]
    return [f"{_what(one)}: {_ended(one['title'])}" for one in first]


def _what(one: Fact) -> str:
    if one["kind"] == "slice" and not one["n_train_rows"]:
        return "Test has rows that training lacks"
    if one["cause"] == "level":
        return "The level of the labels changed"
    return _CHANGED.get(one["kind"], "Changed")


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith((".", "?", "!")) else f"{sentence}."


def _losses(p: MismatchProvenance) -> str:
    worse = "worse" if p.test_loss > _ALIKE * p.train_loss else "no worse"
    means = f"{p.test_loss:.3g} nats, that of the {p.n_train:,} training rows {p.train_loss:.3g} nats"
    return f"The mean loss of the test rows is {means}: the model does {worse} on what it did not see."


def _found(cards: Sequence[Fact]) -> str:
    first = findings.causes(cards)
    counts = Counter(one["severity"] for one in first)
    parts = [
        f"{few(counts[name], 'cause')} of {name} severity" for name in ("high", "medium") if counts[name]
    ]
    under, small = sum(one["under"] is not None for one in cards), len(findings.notes(cards))
    parts += [few(under, "by-product")] * bool(under) + [few(small, "note")] * bool(small)
    return f"Found: {listed(parts)}." if parts else ""


def _by_products(cards: Sequence[Fact]) -> str:
    """Name the first of what disappears with a cause."""
    under = [f"“{one['about'][:LABEL]}”" for one in cards if one["under"] is not None]
    more = len(under) - _BY_PRODUCTS
    named = [*under[:_BY_PRODUCTS], *([f"{more:,} more"] if more > 0 else [])]
    return f"Gone, or nearly, once its cause is fixed: {listed(named)}." if under else ""


def _steps(cards: Sequence[Fact], *, known: bool) -> tuple[tuple[str, Inline], ...]:
    if not known:
        look = "Those that differ most come first; each says by how much, and whether chance does that."
        why = "With the labels of some hundred test rows the audit says which predictions are wrong, and why."
        return ("Look at the columns that differ.", look), ("Label some test rows.", why)
    first = findings.causes(cards)[:_SAID]
    if not first:
        none = "No column and no few training rows carry the errors: look at what differs in test."
        return (("Look at the rows and columns below.", none),)
    again = "What one cause explains may settle others; the numbers below hold for this model only."
    steps = [(f"Finding {one['finding']}: {one['about']}.", one["advice"]) for one in first]
    return (*steps, ("Audit again after each change.", again))


def _trust(f: MismatchFindings, *, known: bool) -> Section:
    """Return checks, and predictions against refits: of findings first, then of single rows."""
    measured = f.findings.select("finding", "predicted_delta_loss", "measured_delta_loss").drop_nulls()
    groups = [Refit(f"finding {number}", "finding", *values) for number, *values in measured.iter_rows()]
    rows = f.verification.iter_rows()
    single = [Refit(f"{test} without {train}", "removed", *losses) for test, train, _, *losses in rows]
    of_group = "finding: change of the mean test loss by the fix that is worth most"
    of_row = "training row that was removed: change of the loss of the test row that it moves most"
    title = "predicted against measured (nats)"
    plots = (
        figures.compare(groups, ("proofs", f"Findings: {title}", of_group), words.moved),
        figures.compare(single, ("single-rows", f"Single training rows: {title}", of_row), words.moved),
    )
    sentence, enough = common.refits_of([*groups, *single], none=_NO_REFITS)
    return common.trust(f.health, sentence, common.charts(*plots), page=known, terminal=enough)


def _shift(f: MismatchFindings, *, known: bool) -> Section:
    significant = pl.col("significant")
    whole = f.shift.filter(pl.col("column").is_null() | pl.col("measure").is_in(["label", "conflict"]))
    differ = f.shift.filter(significant)["message"].head(20)
    inputs = f.shift.filter(significant & pl.col("column").is_not_null())["message"].head(6)
    said = tuple(dict.fromkeys(message for message in whole["message"] if message))
    columns: list[tuple[Block, ...]] = [(blocks.List(said),)] if said else []
    columns += [(_apart(f),)] if f.shift.filter(_COVARIATE).height else []
    page: list[Block] = [blocks.Grid(tuple(columns))]
    page += [Fold("All comparisons", (_comparisons(f),))] if len(f.shift) else []
    shown = [Only(blocks.PAGE, tuple(page)), Only(blocks.MARKDOWN, (blocks.List(tuple(differ)),))]
    shown += [] if known else [Only(blocks.TERMINAL, (blocks.List(tuple(inputs)),))]
    rank = 1 if known else 0
    return Section("Train against test", tuple(shown), rank=rank, key="shift", lead=_SPLIT, folded=True)


def _apart(f: MismatchFindings) -> Table:
    """List the columns that are distributed differently, the most different first."""
    differ = list(f.shift.filter(_COVARIATE).iter_rows(named=True))
    differ.sort(key=lambda d: (not d["significant"], -(d["value"] or 0.0)))
    beyond = {None: "not tested", True: "yes", False: "no"}
    shown = differ[:_BARS]
    return Table(
        caption="How far the columns are apart",
        head=("column", "distance", "beyond chance"),
        rows=tuple(
            (Cell(d["column"], LABEL), words.fixed(d["value"], 3), beyond[d["significant"]]) for d in shown
        ),
        bars=lengths([d["value"] for d in shown]),
        total=len(differ),
        rest=("column", "columns: see the table below"),
        lead="Distance of a column’s distribution in test from that in training, from 0 (alike) to 1.",
    )


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


def _slice_table(f: MismatchFindings) -> Section:
    """List every slice; which of them are causes is said above."""
    numbers = f.provenance.is_number
    rate = words.fixed if numbers else words.share
    what = "Means are of the labels" if numbers else "Shares are of the class whose labels differ most"
    cut = pl.col("level").str.contains("^[<≥>] ")  # says itself on which side
    between = pl.when(cut).then(pl.lit(" ")).otherwise(pl.lit(" = "))
    named = f.slices.sort("rank").with_columns(name=pl.concat_str("column", between, "level"))
    table = Table(
        caption="All slices, those whose labels differ most first",
        head=(
            "slice",
            "rows",
            "test rows",
            "wrong",
            "mean loss",
            *(("mean of training", "mean of test") if numbers else ("class", "of training", "of test")),
            "chance",
        ),
        rows=tuple(
            (
                Cell(s["name"], NAME),
                *(words.count(s[name]) for name in ("n_train", "n_test", "n_errors")),
                words.fixed(s["loss"]),
                *(() if numbers else (Cell(s["rate_class"], LABEL),)),
                *(rate(s[f"rate_{part}"]) for part in ("train", "test")),
                _chance(s["p_value"]),
            )
            for s in named.head(_SLICES).iter_rows(named=True)
        ),
        total=len(named),
        rest=("slice", "slices, all in slices.parquet next to this page"),
        lead=f"Rows are those of training, the loss is the mean of its test rows in nats. {what}; chance is "
        "the probability that they differ as much without a cause.",
    )
    return Section("Slices", (Fold("All slices", (table,)),), rank=2, key="slices")


def _model(f: MismatchFindings) -> tuple[Section, ...]:
    plot = figures.selection(f.selection) if f.selection["l2"].n_unique() > 1 else None
    return (Section("Model", (common.charts(plot),), rank=2, key="model"),) if plot else ()


def _line(one: Fact) -> tuple[Inline, ...]:
    under = f"by-product of {one['under']}" if one["under"] is not None else one["severity"]
    worth = f"worth {words.nats(one['worth'])} nats ({words.share(one['share'], 0)})"
    wrong = f"{words.became(*(words.count(one[f'errors_{when}']) for when in ('before', 'after')))} wrong"
    return str(one["finding"]), under, Cell(one["about"], NAME), worth, wrong, one["title"][:NAME]


def _following(f: MismatchFindings, cards: Sequence[Fact], folder: str) -> Section:
    p = f.provenance
    if not p.command.startswith("audit "):
        return common.following(common.page_of(folder))
    command, chosen = _repeatable(p.command)
    condition = next((sql for one in findings.causes(cards) if (sql := _condition(f, one))), "")
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


def _condition(f: MismatchFindings, one: Fact) -> str:
    """Write a slice as SQL, where it is levels of columns of names."""
    roles = {role.get("column"): role.get("role") for role in f.provenance.roles}
    parts = []
    for name, level in zip(one["columns"], one["levels"], strict=False):
        if one["kind"] != "slice" or roles.get(name) != "categorical" or level.startswith("("):
            return ""  # missing, or the rest
        column = name if name.isidentifier() else '"' + name.replace('"', '""') + '"'
        parts.append(f"{column} = '" + level.replace("'", "''") + "'")
    return " and ".join(parts)


def _quoted(condition: str) -> str:
    """Quote for a shell, as a person would where nothing in it means something to a shell."""
    return f'"{condition}"' if set('"$`\\!').isdisjoint(condition) else shlex.quote(condition)
