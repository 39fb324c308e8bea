"""What Python users call: one function per audit; it returns the tables, to keep or to look at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from dataaudit.api.keywords import paired, single
from dataaudit.errors import SettingError, WriteError
from dataaudit.options import (
    ExplainOptions,
    LabelOptions,
    MismatchOptions,
    VulnerabilityOptions,
    is_module,
)
from dataaudit.options.progress import foresee

if TYPE_CHECKING:
    import polars as pl

    from dataaudit.audits.vulnerability.tables import AttackResults
    from dataaudit.findings.redact import Level
    from dataaudit.findings.schemas import (
        AnyFindings,
        ExplanationFindings,
        Findings,
        MismatchFindings,
        VulnerabilityFindings,
    )

SUFFIXES = (".parquet", ".csv", ".ndjson", ".jsonl")


class Result:
    """The tables of an audit with their page."""

    tables: AnyFindings

    def write(self, folder: str | Path, *, redact: Level = "none") -> Path:
        """Write the tables, the provenance and ``report.html``.

        Parameters
        ----------
        folder : str or Path
            Made if absent.
        redact : {"none", "cells", "all"}
            What the page withholds, now and when it is written anew: nothing; the values of cells; also the
            names of rows, classes, columns and files. The tables next to it are whole.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        WriteError
            If the folder cannot be written to; nothing is left half-written.
        """
        from dataaudit.checkpoint.folder import finish
        from dataaudit.findings.redact import remember
        from dataaudit.writers.html import write_report

        tables = remember(self.tables, redact)
        path = tables.write(folder)
        write_report(tables, path / "report.html")
        finish(path)
        return path

    def _repr_html_(self) -> str:
        """Return the page for a notebook."""
        from dataaudit.writers.html import notebook

        return notebook(self.tables)


@dataclass(frozen=True)
class LabelAudit(Result):
    """The result of `audit_labels`.

    Attributes
    ----------
    tables : Findings
        All tables and the provenance.
    """

    tables: Findings

    @property
    def findings(self) -> Findings:
        """All tables and the provenance."""
        return self.tables

    @property
    def labels(self) -> pl.DataFrame:
        """One row per audited row, the most suspect first."""
        return self.findings.labels

    @property
    def health(self) -> pl.DataFrame:
        """Whether the numbers can be trusted."""
        return self.findings.health

    @property
    def by(self) -> pl.DataFrame:
        """Expected wrong labels of each level of the columns named under `by`, the most telling first."""
        return self.findings.by

    @property
    def expected(self) -> float:
        """Expected number of wrong labels: by a sample where one was looked at."""
        return self.findings.provenance.count[0]

    @property
    def interval(self) -> tuple[float, float]:
        """Ends of the 90 % interval of that number.

        Of a sample that was looked at it holds whatever the mistakes are like; of the model of the noise only
        if mistakes fall on the rows of a class at random.
        """
        return self.findings.provenance.count[1:]

    @property
    def expected_wrong(self) -> tuple[float, float, float]:
        """Expected number of wrong labels, and the ends of its 90 % interval."""
        return self.findings.provenance.count

    def sample(self, rows: int = 100, *, seed: int | None = None) -> pl.DataFrame:
        """Draw rows to look at for a count of the wrong labels that holds whatever the mistakes are like.

        Parameters
        ----------
        rows : int
            How many; each first part of them is a sample too, so that a reviewer may stop anywhere.
        seed : int, optional
            Of the draw; by default that of the audit, which `learn` expects.

        Returns
        -------
        pl.DataFrame
            row_id, row, order (from 1), inclusion_probability.

        Raises
        ------
        SettingError
            If rows is below 1.
        """
        from dataaudit.findings.sample import sample_of

        if rows < 1:
            raise SettingError(f"a sample has 1 row at least: got {rows}", "ask for 60 to 200")
        found = self.findings
        return sample_of(found.labels, rows, seed=found.provenance.seed if seed is None else seed)

    def learn(self, decisions: Any) -> LabelAudit:
        """Count the wrong labels by rows that were looked at, and order the others by what they teach.

        Parameters
        ----------
        decisions : str, Path or frame
            A file of `audit review` or of the page, or a frame with row_id, action (keep, relabel, drop,
            unsure) and label.

        Returns
        -------
        LabelAudit
            The same rows with learned `p_wrong` and `rank`; `reviewed` holds the action where there is one.
            `expected` and `interval` are by the sample where its first rows were looked at.

        Raises
        ------
        DataError
            If a decision is of another run or row, names a class that no row has, or comes twice.
        UnreadableFile
            If the file is no file of decisions.
        """
        from dataaudit.repair.decisions import read_decisions
        from dataaudit.review.learning import decisions_of, learn_from

        run = self.findings.provenance.run_id
        read = (
            read_decisions(decisions) if isinstance(decisions, str | Path) else decisions_of(decisions, run)
        )
        return LabelAudit(learn_from(self.findings, read))


@single(LabelOptions)
def audit_labels(source: Any, options: LabelOptions) -> LabelAudit:
    """Find the rows of a table whose labels are most likely wrong.

    Parameters
    ----------
    source : str, Path, sequence of these, frame or table
        A file (CSV, TSV, Parquet, NDJSON, JSON, Arrow, ARFF, a spreadsheet), an address of one, a glob, a
        folder, ``"-"`` for standard input, a frame of Polars or pandas, a dict of columns, a list of rows, or
        any table that gives an Arrow stream: of pyarrow, DuckDB, Ibis, Hugging Face.
    options : LabelOptions
        Or each of them as a keyword.

    Returns
    -------
    LabelAudit
        Tables as Polars frames, `.write(folder)`, and a view in notebooks.

    Raises
    ------
    AuditError
        For anything that the caller can fix, in one line with a hint.

    Examples
    --------
    >>> audit = dataaudit.audit_labels("mail.parquet", label="label", text="text")
    >>> audit.labels.head(20)
    """
    Thread(target=_import_ahead).start()  # torch takes a second, in which another thread reads and encodes
    from dataaudit.audits.plan.costs import foreseen
    from dataaudit.checkpoint.folder import keeping
    from dataaudit.data.scratch import Scratch
    from dataaudit.training.encoded import encode_training, engine_for, read_labelled

    step, own = options.step, not isinstance(options.model, str) and not is_module(options.model)
    table = isinstance(options.model, str) and options.outside is None and options.sample_weight is None
    with engine_for(options) as engine, Scratch(engine) as scratch:
        dataset, target = read_labelled(source, options, scratch=scratch if table else None, on_step=step)
        if options.outside is not None:
            from dataaudit.audits.outside.findings import outside_findings

            return LabelAudit(outside_findings(dataset, target, options, on_step=step))
        with keeping(options, dataset) as kept:
            scratch.kept = kept.kept
            training = None if own else encode_training(dataset, target, kept, on_step=step)
            if training is not None and isinstance(options.model, str):
                foresee(step, foreseen(training, options))
            from dataaudit.training.train import train, train_adopted

            if training is None:
                trained = train_adopted(dataset, target, kept, on_step=step)
            else:
                trained = train(training, kept, scratch=scratch, on_step=step)
            from dataaudit.audits.labels import label_findings

            found = label_findings(
                dataset, target, trained, settings=kept, command=options.command, on_step=step
            )
    return LabelAudit(found)


def _import_ahead() -> None:
    """Import what is needed once the data are there: torch, then what comes at the end, and the page last."""
    # A package first: where another thread has one of its modules and waits for it, neither goes on.
    for name in ("solvers", "training.train", "audits.labels", "report.labels"):
        import_module(f"dataaudit.{name}")
    import_module("scipy.optimize")
    from dataaudit.writers.html import make_ready

    make_ready()


@dataclass(frozen=True)
class MismatchAudit(Result):
    """The result of `audit_mismatch`.

    Attributes
    ----------
    tables : MismatchFindings
        All tables and the provenance.
    """

    tables: MismatchFindings

    @property
    def findings(self) -> pl.DataFrame:
        """What was found, the most severe first."""
        return self.tables.findings

    @property
    def slices(self) -> pl.DataFrame:
        """Every level, bin and term, by rank."""
        return self.tables.slices

    @property
    def traces(self) -> pl.DataFrame:
        """Which training rows are behind which test row."""
        return self.tables.traces

    @property
    def shift(self) -> pl.DataFrame:
        """How the test rows differ from the training rows."""
        return self.tables.shift

    @property
    def expected(self) -> pl.DataFrame:
        """Accuracy and loss of test rows without labels, if only their inputs changed."""
        return self.tables.expected


@paired(MismatchOptions)
def audit_mismatch(train: Any, test: Any, options: MismatchOptions) -> MismatchAudit:
    """Find the training rows, slices and columns behind wrong predictions, and prove it.

    Parameters
    ----------
    train : str, Path, sequence of these, frame or table
        Training rows; without `test`, all rows.
    test : the same, optional
        Test rows. Without labels only the inputs are compared.
    options : MismatchOptions
        Or each of them as a keyword.

    Returns
    -------
    MismatchAudit
        Tables as Polars frames, `.write(folder)`, and a view in notebooks.

    Raises
    ------
    AuditError
        For anything that the caller can fix, in one line with a hint.

    Examples
    --------
    >>> audit = dataaudit.audit_mismatch("train.parquet", "test.parquet", label="readmitted")
    >>> audit.findings["title"].head(3)
    """
    from dataaudit.audits.mismatch.audit import find_mismatch

    found = find_mismatch(train, test, options, command=options.command, on_step=options.step)
    return MismatchAudit(found)


@dataclass(frozen=True)
class Explanation(Result):
    """The result of `explain`.

    Attributes
    ----------
    tables : ExplanationFindings
        All tables and the provenance.
    """

    tables: ExplanationFindings

    @property
    def influences(self) -> pl.DataFrame:
        """The most harmful and most helpful training rows, the largest change of loss first."""
        return self.tables.influences

    @property
    def neighbours(self) -> pl.DataFrame:
        """The nearest training rows by cosine and by Euclidean distance."""
        return self.tables.neighbours

    @property
    def contributions(self) -> pl.DataFrame:
        """What each column or word of the row adds to its score, in log-odds."""
        return self.tables.contributions

    @property
    def models(self) -> pl.DataFrame:
        """What each of two models predicts, and how influence goes with distance; empty for one model."""
        return self.tables.models

    @property
    def versus(self) -> pl.DataFrame:
        """Every training row by each of two models: influence and distance; empty for one model."""
        return self.tables.versus

    @property
    def flip(self) -> str:
        """How few training rows flip the conclusion, in a sentence; empty where it was not asked."""
        return str(self.tables.provenance.flip.get("sentence", ""))

    @property
    def without(self) -> pl.DataFrame:
        """Errors and mean loss without the rows that were to leave: now, by one step, after a refit."""
        return self.tables.without


@paired(ExplainOptions)
def explain(train: Any, test: Any, options: ExplainOptions) -> Explanation:
    """Explain the prediction of one test row by the training rows and the columns behind it.

    Parameters
    ----------
    train : str, Path, sequence of these, frame or table
        Training rows; without `test`, all rows.
    test : the same, optional
        Test rows; they may lack the label.
    options : ExplainOptions
        Or each of them as a keyword.

    Returns
    -------
    Explanation
        Tables as Polars frames, `.write(folder)`, and a view in notebooks.

    Raises
    ------
    AuditError
        For anything that the caller can fix, in one line with a hint.

    Examples
    --------
    >>> why = dataaudit.explain("train.parquet", "test.parquet", label="readmitted", row=1742)
    >>> why.influences["effect"].head(3)
    >>> two = dataaudit.explain("train.csv", "test.csv", label="y", row=3, model="logistic", versus="rbf-svm")
    >>> two.models["model", "distance_correlation"]
    >>> less = dataaudit.explain("train.csv", "test.csv", label="y", row=3, without="hospital = 3")
    >>> less.without.select("scope", "errors_before", "errors_after")
    """
    from dataaudit.audits.explain.audit import explain_row

    found = explain_row(train, test, options, command=options.command, on_step=options.step)
    return Explanation(found)


@dataclass(frozen=True)
class Vulnerability(Result):
    """The result of `vulnerability`.

    Attributes
    ----------
    tables : VulnerabilityFindings
        All tables and the provenance.
    story : AttackResults
        What they were made from.
    """

    tables: VulnerabilityFindings
    story: AttackResults

    @property
    def shares(self) -> pl.DataFrame:
        """By the number of changed training rows, how many predictions flip and what that takes."""
        return self.tables.shares

    @property
    def attacks(self) -> pl.DataFrame:
        """Every attack: the test row before, as predicted, and after a true refit."""
        return self.tables.attacks

    @property
    def together(self) -> pl.DataFrame:
        """How many of several test rows flip at once by the same changes; empty where it was not asked."""
        return self.tables.together

    @property
    def changes(self) -> pl.DataFrame:
        """Every cell, or word, that was changed."""
        return self.tables.changes

    @property
    def fragile(self) -> pl.DataFrame:
        """All training rows, the most fragile first."""
        return self.tables.fragile

    def write_perturbed(self, path: str | Path) -> Path:
        """Write the training rows as the smallest attack that flips the one test row left them.

        Parameters
        ----------
        path : str or Path
            ``.parquet``, ``.csv`` or ``.ndjson``; what is there is replaced, whole or not at all.

        Returns
        -------
        Path
            The same.

        Raises
        ------
        SettingError
            If several test rows were attacked, and not `together`, or the suffix is unknown.
        WriteError
            If the file cannot be written, or is one that the rows were read from.
        """
        from dataaudit.audits.vulnerability.tables import perturbed_rows
        from dataaudit.data.paths import files_read
        from dataaudit.files import write_whole

        where = checked_path(path, files_read(self.tables.provenance))
        frame = perturbed_rows(self.story, id_column=self.tables.provenance.settings.get("id_column"))
        write_whole(where, _encoded(frame, where))
        return where


def checked_path(path: str | Path, sources: Iterable[str]) -> Path:
    """Return a path that changed data can be written to."""
    from dataaudit.data.paths import require_apart
    from dataaudit.files import require_writable

    where = Path(path)
    if where.suffix.lower() not in SUFFIXES:
        what = f"changed data cannot be written as {where.name!r}"
        raise SettingError(what, f"end the name in one of {', '.join(SUFFIXES)}")
    if not where.absolute().parent.is_dir():
        raise WriteError(f"there is no folder {where.parent.as_posix()}", "make it first")
    require_apart([where], sources, hint="name another file for the changed data")
    require_writable(where, hint="name another file for the changed data")
    return where


def _encoded(frame: pl.DataFrame, path: Path) -> bytes:
    """Return a frame as the bytes of a file."""
    import io

    out = io.BytesIO()
    if path.suffix.lower() == ".parquet":
        frame.write_parquet(out)
    elif path.suffix.lower() == ".csv":
        if any(kind.is_nested() for kind in frame.dtypes):
            raise SettingError("CSV has no vectors", "write to a .parquet file")
        frame.write_csv(out)
    else:
        frame.write_ndjson(out)
    return out.getvalue()


@paired(VulnerabilityOptions)
def vulnerability(train: Any, test: Any, options: VulnerabilityOptions) -> Vulnerability:
    """See how few training cells, changed how little, flip the predictions of test rows.

    For auditing one's own data (Koh & Liang 2017, section 5.2): 1, 2 and 10 training rows are changed step by
    step, with retraining, within what the data themselves allow. Nothing but the report comes of it, unless
    `Vulnerability.write_perturbed` is called.

    Parameters
    ----------
    train : str, Path, sequence of these, frame or table
        Training rows; without `test`, all rows.
    test : the same, optional
        Labelled test rows.
    options : VulnerabilityOptions
        Or each of them as a keyword.

    Returns
    -------
    Vulnerability
        Tables as Polars frames, `.write(folder)`, and a view in notebooks.

    Raises
    ------
    AuditError
        For anything that the caller can fix, in one line with a hint.

    Examples
    --------
    >>> found = dataaudit.vulnerability("train.parquet", "test.parquet", label="y")
    >>> found.shares.select("rows", "flipped", "attacked", "cells")
    >>> once = dataaudit.vulnerability("train.csv", "test.csv", label="y", rows=[3, 8, 11], together=True)
    >>> once.together.select("rows", "flipped", "attacked")
    """
    from dataaudit.audits.vulnerability.audit import audit_vulnerability

    found = audit_vulnerability(train, test, options, command=options.command, on_step=options.step)
    return Vulnerability(*found)
