"""What every audit leaves: each table declared once, by kind of findings.

A folder of findings is all that later steps (reports, gates, repairs) read. Losses are in nats, probabilities
in [0, 1], contributions in log-odds. Rows are named by `row_id`, unique within the training rows and within
the test rows. Sentences are stored where their facts are not: `message` of health and shift, `effect` of
contributions, `title` and `advice` of findings, `detail` of fixes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final

import polars as pl

from dataaudit.errors import DataError
from dataaudit.findings.record import AGAIN, AuditRecord, PairRecord
from dataaudit.findings.sentences import column_effects, expected, removals, traces
from dataaudit.findings.tables import PROVENANCE, Tables, read_provenance, schema

HEALTH: Final = schema(  # one row per check of the audit itself
    "check own, value real, limit real, ok flag, message named",  # stored: it has numbers that no column has
)
RANDOM: Final = "random mistakes"  # the check that a count by looks does not need
SPELLINGS, NO_LABEL = "spellings of a class", "class that is no label"
RESTATED, COUNTER, GROUPS, COPIES = "restated label", "row counter", "groups", "copies"
DATA_CHECKS: Final = (SPELLINGS, NO_LABEL, RESTATED, COUNTER, GROUPS, COPIES)  # before any model, in `health`
SELECTION: Final = schema(  # every λ and basis that was tried
    "basis own, l2 real, loo_loss real, standard_error real, chosen flag",  # mean leave-one-out loss of a row
    "rows whole",  # it was measured on: bases compare on some rows, λ of the best one on all
)
CELLS: Final = schema("row_id train, column column, cell text")
PAIR_CELLS: Final = schema("row_id train, column column, cell text, part own")  # part is train or test

LABELS: Final = schema(
    "row_id train, row whole, source file, line whole",  # record in its file, from 0; line, from 1
    "label class, predicted_label class, p_label real",  # as it stands; the likeliest; P(label) in the fit
    "train_loss real, self_influence real, leverage real",
    "loo_loss real, loo_p_label real",  # leave-one-out: without the row, and without its group
    # Of the row itself, when its whole group is removed, and when it alone is relabelled.
    "delta_loss_if_removed real, delta_loss_if_relabelled real",
    "suggested_label class, p_wrong real",  # likeliest other class; P(label is wrong)
    "rank whole, rank_self_influence whole",  # from 1, most suspect first
)
LEARNED: Final = schema(  # further columns of them, once decisions were learned from
    "first_p_wrong real, first_rank whole, reviewed own, reviewed_label class",  # as before; what was decided
)
CONTENT: Final = "content"  # a further column of them: the hash of a row's cells, without its label
GROUPED: Final = schema(  # of `labels`, in their order, where rows leave together or are copies
    "group_rows whole, group_conflicts whole",  # rows that leave together, this one too; with another label
    "copy_rows whole, copy_conflicts whole, copy_set whole",  # the same of copies; a number for them, or null
)
QUANTITIES: Final = schema(
    "residual real, noise real"
)  # likewise, where labels are numbers: r/σ, and σ in their unit
ESTIMATED: Final = schema("estimated flag")  # likewise, where leverage and what follows from it are in some
EVIDENCE: Final = schema(
    "row_id train, position whole, column column, level level, cell text, contribution real",  # for its label
)
NEIGHBOURS: Final = schema(
    "row_id train, position whole, neighbour_row_id train, neighbour_label class, similarity real",  # cosine
    "same_label flag",
)
VERIFICATION: Final = schema("row_id train, change own, predicted real, measured real")  # own loss
NOISE: Final = schema("truth class, label class, rate real")  # P(label | truth)
SAMPLE: Final = schema("row_id train, row whole, order whole, inclusion_probability real")  # `noise.sample`
LEVELS: Final = schema("row_id train, column column, level level")  # of each row, by the columns asked for
BY: Final = schema(  # `noise.levels`
    "column column, level level, n whole, expected_wrong real, low real, high real",  # 90 % interval
    "share real, times_average real, p_value real",  # wrong of the level; that by the share in all rows
    "significant flag",  # more than by chance
    "rank whole, kind own, position whole",  # kind: values, numbers, dates; place among those of its column
    "others_predicted real, others_measured real",  # change of the others' mean leave-one-out loss without it
    "together flag",  # whether it is among the levels of `without`
)
WITHOUT: Final = schema(  # several levels of a column left out at once
    "column column, n whole, others_predicted real, others_measured real"
)
BUDGET: Final = schema("share real, rows whole")  # rows to check for a share of the expected wrong labels


def _widened(frame: pl.DataFrame, wanted: pl.Schema) -> pl.DataFrame:
    """Return a table with the last columns of its schema, null where an earlier version had none."""
    later = {name: pl.lit(None, kind) for name, kind in wanted.items() if name not in frame.columns}
    return frame.with_columns(**later) if list(wanted)[: frame.width] == frame.columns else frame


@dataclass(frozen=True, kw_only=True)
class Provenance(AuditRecord):
    """Where the findings of an audit of labels come from."""

    KIND = "labels"

    dataset: str  # name of the data as given
    n_rows: int
    n_classes: int
    ranking: str  # p-wrong, leave-one-out or self-influence
    ranking_reason: str  # one sentence
    expected_wrong: float  # wrong labels, in rows, and the ends of the 90 % interval
    expected_low: float
    expected_high: float
    # What may be said of that number without looks: identified, overlapping, random, undetermined.
    claim: Mapping[str, Any] = field(default_factory=dict)
    learned: Mapping[str, Any] = field(default_factory=dict)  # what decisions teach, see `review.learning`

    @property
    def count(self) -> tuple[float, float, float]:
        """Number of wrong labels and the ends of its 90 % interval: by the sample where there is one."""
        if self.counted:
            return self.learned["expected"], self.learned["low"], self.learned["high"]
        return self.expected_wrong, self.expected_low, self.expected_high

    @property
    def counted(self) -> bool:
        """Whether rows drawn for it say how many labels are wrong, whatever the mistakes are."""
        return "expected" in self.learned

    @property
    def overlapping(self) -> bool:
        """Whether nothing can be said of the number: contradictions are what the columns leave open."""
        return not self.counted and bool(self.claim.get("overlapping", False))

    @property
    def has_interval(self) -> bool:
        """Whether an interval is claimed: by a sample, or as the suspected rows look random."""
        return self.counted or (self.claim.get("identified", True) and self.claim.get("random", True))


@dataclass(frozen=True, kw_only=True)
class Findings(Tables):
    """The tables of one audit, checked on construction, and their provenance.

    Attributes
    ----------
    labels : pl.DataFrame
        One row per audited row, sorted by `rank`; further columns may follow the fixed ones.
    health : pl.DataFrame
        One row per check of the audit itself.
    evidence, neighbours, cells : pl.DataFrame
        Of the top rows: what speaks for or against the label (log-odds), nearest rows, cell texts.
    selection : pl.DataFrame
        Mean loss of left-out rows (nats) of every λ and basis that was tried, and on how many rows: bases are
        compared on some, λ of the best one is chosen on all, so that losses compare within one number. Rows
        leave one at a time, or a fifth at a time where there are more than two classes.
    verification : pl.DataFrame
        Changes of a row's own loss (nats), predicted and measured by a true refit.
    noise, budget : pl.DataFrame
        P(label | truth); rows to check for a share of the expected wrong labels.
    by, without, levels : pl.DataFrame
        Expected wrong labels of each level of the columns asked for; the change of the others' loss without
        several of them; the levels of each row. Empty where none was asked for.
    sample : pl.DataFrame
        Rows to look at for an honest count, in their order; each first part of it is a sample too. Empty in
        findings of earlier versions.
    provenance : Provenance

    Raises
    ------
    DataError
        If a table has other columns or types than its schema, or `labels` is not sorted by rank.
    """

    OPEN_END = frozenset({"labels"})
    RANKED = frozenset({"labels", "by"})
    LATER = frozenset({"sample", "by", "without", "levels"})

    labels: Annotated[pl.DataFrame, LABELS]
    health: Annotated[pl.DataFrame, HEALTH]
    evidence: Annotated[pl.DataFrame, EVIDENCE]
    neighbours: Annotated[pl.DataFrame, NEIGHBOURS]
    cells: Annotated[pl.DataFrame, CELLS]
    selection: Annotated[pl.DataFrame, SELECTION]
    verification: Annotated[pl.DataFrame, VERIFICATION]
    noise: Annotated[pl.DataFrame, NOISE]
    budget: Annotated[pl.DataFrame, BUDGET]
    sample: Annotated[pl.DataFrame, SAMPLE]
    by: Annotated[pl.DataFrame, BY]
    without: Annotated[pl.DataFrame, WITHOUT]
    levels: Annotated[pl.DataFrame, LEVELS]
    provenance: Provenance


INFLUENCES: Final = schema(
    "test_row_id test, test_row whole, train_row_id train, train_row whole, label class",
    "influence real, delta_loss_if_removed real, relative_influence real",  # positive is harmful
    "kind own, effect words, rank whole",  # harmful or helpful; by size of the change
    "without_train_loss real, without_hessian real",  # parts of the formula, or null
    "place whole, place_without_train_loss whole, place_without_hessian whole",  # by size among all rows
    "delta_prediction_if_removed real",  # of a number, in its unit; null of classes
)
NEAREST: Final = schema(
    "test_row_id test, measure own, rank whole",  # cosine or Euclidean distance of the encoded features
    "train_row_id train, train_row whole, label class, value real",
    "influence real, delta_loss_if_removed real, effect words",
)
CONTRIBUTIONS: Final = schema(  # to the predicted class over its rival
    "column column, level level, cell text, contribution real",
    "effect text, rank whole",  # stored: it writes a number by the type of its column
)
FEATURES: Final = schema(  # which column, or term, of a training row carries its influence
    "train_row_id train, column column, level level, value text, finite_effect real, gradient real",
    "effect words, rank whole",
)
PROBABILITIES: Final = schema("class class, probability real")
FLIP: Final = schema(
    "position whole, train_row_id train, train_row whole, label class",
    "new_label class",  # null where rows are removed
)
LEFT_OUT: Final = schema(  # what leaving rows out does: now, predicted by one Newton step, after a refit
    "scope own, n whole",  # prediction, slice (of labelled test rows), test (all of them)
    "errors_before whole, errors_predicted whole, errors_after whole",
    "loss_before real, loss_predicted real, loss_after real",  # mean, in nats
)
LEFT_OUT_CLASSES: Final = schema("class class, n whole, n_removed whole")  # of the training rows
TURNED: Final = schema(  # the explained row, and labelled test rows whose predicted class changes
    "test_row_id test, test_row whole, label class, in_slice flag",
    "predicted_label class, predicted_by_step class, predicted_without class",
    "p_before real, p_predicted real, p_after real",  # of the label, or of the explained class
    "loss_before real, loss_predicted real, loss_after real",
)
MODELS: Final = schema(
    "model own, predicted_label class, p_predicted real, explained_label class, p_explained real, loss real",
    "l2 real, basis own, n_features whole",
    "distance_correlation real, nearest_share real",  # of |influence| and distance
)
VERSUS: Final = schema(
    "train_row_id train, train_row whole, label class, same_class flag, distance real",  # in encoded columns
    "model own, influence real, delta_loss_if_removed real, place whole",  # change: of the first rows
)
TRUST: Final = schema(  # of a row and of other test rows, how far the rows behind predictions are
    "measure own, value real, usual real",  # helpful, harmful: geometric mean place; nearest: mean distance
    "n_as_far whole, n_others whole, p_value real",
)


@dataclass(frozen=True, kw_only=True)
class ExplanationProvenance(PairRecord):
    """Which prediction it is."""

    KIND = "explanation"

    test_row_id: str
    test_row: int  # its number in its file
    label: str | None  # None where it has none that training knows
    predicted_label: str
    rival_label: str  # the label where it is another one, else the next likeliest class
    explained_label: str  # whose loss it is
    probability: float  # of the explained class
    loss: float
    model: str = "logistic"  # or svm, rbf-svm, own and its class
    # What was to be flipped, and what that takes: conclusion, sentence, found, relabel, rows, share, before,
    # predicted, measured.
    flip: Mapping[str, Any] = field(default_factory=dict)
    # What leaving rows out does: condition, where, sentence, rows, share, changes, tests, before, after.
    without: Mapping[str, Any] = field(default_factory=dict)
    # How far two models agree: models, order_correlation (Spearman over all rows), shared of the first `of`.
    versus: Mapping[str, Any] = field(default_factory=dict)
    # How usual the row is: rows, n_train, n_others, helpful, usual, as_far, p_value, unusual, farthest,
    # sentence.
    trust: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ExplanationFindings(Tables):
    """The tables of one explanation, and their provenance."""

    LATER = frozenset({"without", "without_classes", "turned", "trust"})
    UPGRADES = MappingProxyType(
        {
            "flip": lambda frame: _widened(frame, FLIP),
            "influences": lambda frame: _widened(frame, INFLUENCES),
        }
    )

    influences: Annotated[pl.DataFrame, INFLUENCES, removals]  # largest change of loss first
    neighbours: Annotated[pl.DataFrame, NEAREST, removals]
    contributions: Annotated[pl.DataFrame, CONTRIBUTIONS]
    features: Annotated[pl.DataFrame, FEATURES, column_effects]
    probabilities: Annotated[pl.DataFrame, PROBABILITIES]  # of every class, the likeliest first
    cells: Annotated[pl.DataFrame, PAIR_CELLS]  # of all rows that are named
    flip: Annotated[pl.DataFrame, FLIP]  # rows whose removal flips the conclusion, in that order
    without: Annotated[pl.DataFrame, LEFT_OUT]
    without_classes: Annotated[pl.DataFrame, LEFT_OUT_CLASSES]
    turned: Annotated[pl.DataFrame, TURNED]  # the explained row first
    models: Annotated[pl.DataFrame, MODELS]  # of two, the one that is explained first
    versus: Annotated[pl.DataFrame, VERSUS]  # every training row by each of two models
    trust: Annotated[pl.DataFrame, TRUST]
    health: Annotated[pl.DataFrame, HEALTH]
    provenance: ExplanationProvenance


FINDINGS: Final = schema(  # causes by what fixing them is worth, then their by-products, then notes
    "finding whole, kind own, cause own, severity own",  # `audits.mismatch.suspects`; high, medium, note
    "title text, columns columns, levels levels, slice text",  # of a slice, a level for every column
    "n_train_rows whole, train_row_ids trains",  # the first of them; none where it is about all rows
    "n_test_rows whole, n_errors whole, test_row_ids tests",  # its test rows; which of them are wrong
    "fix own, advice text",  # the one of `fixes` that is worth most; both stored, as is the title
    "worth real, worth_low real, worth_high real",  # loss that it takes from all test rows, in nats; 95 %
    "share real, errors_before whole, errors_after whole",  # of the test loss; wrong among the judged rows
    "z real, p_value real",  # worth over its standard error; chance that any suspect is worth as much
    "predicted_delta_loss real, measured_delta_loss real",  # of a judged row; null where nothing is refitted
    "under whole, left real",  # whose by-product it is; share of its worth left once that is fixed
    "features named",  # columns that carry it
    "larger whole",  # coefficients that are larger than any of its columns or levels; null where it has none
)
FIXES: Final = schema(  # what was tried for each finding, and what came of it
    "finding whole, fix own, detail text, worth real, errors_before whole, errors_after whole",
    "loss_before real, loss_after real",  # mean of the judged test rows, in nats
    "predicted real, measured real, best flag",  # change of that mean by one Newton step, and by a refit
    "rows whole, own_rows whole",  # judged test rows, and those of them that the finding is about
    "own_errors_before whole, own_errors_after whole, own_loss_before real, own_loss_after real",
)
PROFILES: Final = schema(  # of the columns of the first findings: bins or levels, each with its share of rows
    "finding whole, column column, position whole, level level, part own, share real",  # train, test, fixed
)
SLICES: Final = schema(  # every level, cut and word, those whose labels differ most first
    "column column, level level, n_train whole, n_test whole, n_errors whole, loss real",  # mean, in nats
    "rate_class class, rate_train real, rate_test real",  # shares of the class that differs most
    "harm real, evidence real, p_value real, rank whole",  # first order; that labels differ; nats
)
COLUMN_EFFECTS: Final = schema(
    "train_row_id train, column column, level level, value text, finite_effect real, gradient real",
    "rank whole, finding whole",
)
TRACES: Final = schema(  # test row by training row: the most harmful and most helpful ones
    "test_row_id test, test_row whole, train_row_id train, train_row whole",
    "influence real, delta_loss_if_removed real, relative_influence real, effect words, rank whole",
)
RESPONSIBLE: Final = schema(  # every traced test row: how many training rows carry it
    "test_row_id test, test_row whole, label class, predicted_label class, p_label real, loss real",
    "effective_rows real, top_share real",
)
HARMFUL: Final = schema(  # training rows that harm the wrong test rows most, in nats of their summed loss
    "train_row_id train, train_row whole, label class, harm_on_errors real, harm_on_test real",
    "self_influence real, leverage real, rank whole",
)
SHIFT: Final = schema(  # how the test rows differ
    "column column, measure own, level level, value real, low real, high real, p_value real, n whole",
    "significant flag, message text",  # stored: it says shares and counts of both sides
)
EXPECTED: Final = schema(  # of test rows without labels, had only the inputs shifted: accuracy, loss in nats
    "measure own, value real, low real, high real",  # with a 90 % interval; null where it cannot be known
    "rows whole, unlike whole",  # test rows that it is about; those left out, as no training row is like them
    "effective_rows real",  # training rows that are left once weighed to be like test
    "message words",
)
TRACE_REFITS: Final = schema(
    "test_row_id test, train_row_id train, change own, predicted real, measured real"
)


@dataclass(frozen=True, kw_only=True)
class MismatchProvenance(PairRecord):
    """How badly the model does."""

    KIND = "mismatch"

    n_errors: int  # wrong predictions among the test rows
    train_loss: float  # mean, in nats
    test_loss: float  # nan where test has no labels
    n_judged: int = 0  # labelled test rows that fixes were tried on


def _slices(frame: pl.DataFrame) -> pl.DataFrame:
    """Return slices of version 0.1, which were measured by lift."""
    lacking = [name for name in SLICES if name not in frame.columns]
    return frame.with_columns(**dict.fromkeys(lacking, pl.lit(None))).select(SLICES.names()).cast(SLICES)


def _of_suspects(frame: pl.DataFrame) -> pl.DataFrame:
    """Return findings of version 0.1, which named no columns and measured no worth, with empty columns."""
    if "kind" in frame.columns:
        return _widened(frame, FINDINGS)
    rows = pl.when(pl.col("n_train_rows") > 0).then(pl.lit("rows")).otherwise(pl.lit("rates"))
    known = {"kind": pl.when(pl.col("slice") != "").then(pl.lit("slice")).otherwise(rows)}
    lists = {name: pl.lit([], pl.List(pl.String)) for name in ("columns", "levels")}
    words = {name: pl.lit("") for name in ("cause", "fix")}
    added = {**known, **lists, **words}
    empty = [name for name in FINDINGS if name not in frame.columns and name not in added]
    whole = frame.with_columns(**added, **dict.fromkeys(empty, pl.lit(None)))
    return whole.select(FINDINGS.names()).cast(FINDINGS)


@dataclass(frozen=True, kw_only=True)
class MismatchFindings(Tables):
    """The tables of one audit of a mismatch, and their provenance."""

    LATER = frozenset({"fixes", "expected", "profiles"})
    UPGRADES = MappingProxyType({"findings": _of_suspects, "slices": _slices})

    findings: Annotated[pl.DataFrame, FINDINGS]
    fixes: Annotated[pl.DataFrame, FIXES]
    profiles: Annotated[pl.DataFrame, PROFILES]
    slices: Annotated[pl.DataFrame, SLICES]
    features: Annotated[pl.DataFrame, COLUMN_EFFECTS]
    traces: Annotated[pl.DataFrame, TRACES, traces]
    responsible: Annotated[pl.DataFrame, RESPONSIBLE]
    harmful: Annotated[pl.DataFrame, HARMFUL]
    shift: Annotated[pl.DataFrame, SHIFT]
    expected: Annotated[pl.DataFrame, EXPECTED, expected]
    health: Annotated[pl.DataFrame, HEALTH]
    cells: Annotated[pl.DataFrame, PAIR_CELLS]
    selection: Annotated[pl.DataFrame, SELECTION]
    verification: Annotated[pl.DataFrame, TRACE_REFITS]  # strongest traces, refitted without the training row
    provenance: MismatchProvenance


SHARES: Final = schema(  # by the number of training rows that an attack may change
    "rows whole, attacked whole, flipped whole, share real, low real, high real",  # with a 90 % interval
    "cells real, changed_rows real, size real",  # medians of what a flip took
    "by_leverage whole, by_leverage_before whole, by_test whole, by_original whole",  # flips that checks see
)
ATTACKS: Final = schema(  # the test row before, as predicted, and after a true refit
    "test_row_id test, test_row whole, label class, predicted_label class, rows whole, flipped flag",
    "loss_before real, loss_predicted real, loss_after real, p_before real, p_predicted real, p_after real",
    "cells whole, changed_rows whole, size real, steps whole",
    "by_leverage flag, by_leverage_before flag, by_test flag, by_original flag",
    "margin_before real, margin_after real",  # lead of the label over the strongest other class, in log-odds
)
TOGETHER: Final = schema(  # several test rows attacked at once, by the same changes
    "group whole, label class, rows whole, attacked whole, flipped whole",  # null where labels differ
    "loss_before real, loss_predicted real, loss_after real",  # mean of the test rows
    "cells whole, changed_rows whole, size real, steps whole",
    "by_leverage flag, by_leverage_before flag, by_test flag, by_original flag",
)
TOGETHER_ROWS: Final = schema(  # what becomes of each
    "group whole, rows whole, test_row_id test, test_row whole, label class, predicted_label class",
    "flipped flag, margin_before real, margin_after real",
    "p_before real, p_predicted real, p_after real, loss_before real, loss_predicted real, loss_after real",
)
TOGETHER_CHANGES: Final = schema(
    "group whole, rows whole, train_row_id train, train_row whole, label class",
    "column column, kind own, before text, after text, size real",  # as of `CHANGES`
)
CHANGES: Final = schema(  # every cell, or word, that an attack changed
    "test_row_id test, test_row whole, rows whole, train_row_id train, train_row whole, label class",
    "column column, kind own, before text, after text",
    "size real",  # a share of the column's spread; of pixels the largest change, in levels
)
FRAGILE: Final = schema(  # training rows, by what changing them could add to the attacked rows' loss
    "train_row_id train, train_row whole, label class",
    "reach real, magnitude real, column column",  # first-order gain; |I_pert,loss|/n
    "chosen whole, leverage real, rank whole",  # largest attacks that picked the row
)
PARTS: Final = schema(
    "train_row_id train, column column, level level, kind own, reach real, magnitude real, rank whole"
)
DOMAIN: Final = schema(  # what may change in each column
    "column column, kind own, reason text, spread real, low real, high real, decimals whole, levels whole"
)


@dataclass(frozen=True, kw_only=True)
class VulnerabilityProvenance(PairRecord):
    """What was attacked."""

    KIND = "vulnerability"

    n_correct: int  # test rows predicted correctly
    n_attacked: int  # of those
    leverage_limit: float  # what 99 % of the training rows do not exceed


@dataclass(frozen=True, kw_only=True)
class VulnerabilityFindings(Tables):
    """The tables of one audit of vulnerability, and their provenance."""

    LATER = frozenset({"together", "together_rows", "together_changes"})
    UPGRADES = MappingProxyType({"attacks": lambda frame: _widened(frame, ATTACKS)})

    shares: Annotated[pl.DataFrame, SHARES]
    attacks: Annotated[pl.DataFrame, ATTACKS]
    changes: Annotated[pl.DataFrame, CHANGES]
    together: Annotated[pl.DataFrame, TOGETHER]
    together_rows: Annotated[pl.DataFrame, TOGETHER_ROWS]
    together_changes: Annotated[pl.DataFrame, TOGETHER_CHANGES]
    fragile: Annotated[pl.DataFrame, FRAGILE]
    parts: Annotated[pl.DataFrame, PARTS]  # columns, or words, of the first fragile rows, by reach
    domain: Annotated[pl.DataFrame, DOMAIN]
    cells: Annotated[pl.DataFrame, PAIR_CELLS]
    health: Annotated[pl.DataFrame, HEALTH]
    provenance: VulnerabilityProvenance


AnyFindings = Findings | MismatchFindings | ExplanationFindings | VulnerabilityFindings

KINDS: Final = {
    kind.RECORD.KIND: kind
    for kind in (Findings, MismatchFindings, ExplanationFindings, VulnerabilityFindings)
}


def read_findings(folder: str | Path) -> AnyFindings:
    """Read the findings in a folder, whatever their kind."""
    kind = read_provenance(Path(folder)).get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        what = f"{(Path(folder) / PROVENANCE).as_posix()} is of no kind that this version reads: got {kind!r}"
        raise DataError(what, AGAIN)
    found: AnyFindings = KINDS[kind].read(folder)
    return found
