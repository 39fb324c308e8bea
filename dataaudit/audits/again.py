"""The same audit once more, from what its folder says of itself, with more refits.

The data are read again and must have the content hash that the findings were made from. Everything random is
seeded, so training again gives the same predictions; how far they are from those on disk is reported, and the
refits say how far either is from the truth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import polars as pl

from dataaudit.agreement import Agreement, agreement
from dataaudit.audits.asked import LabelSettings, StepCallback, encode_training, no_step, read_labelled
from dataaudit.audits.labels import label_findings
from dataaudit.audits.mismatch import mismatch_findings
from dataaudit.audits.pair import MismatchSettings, Pair, read_pair
from dataaudit.audits.tested import predict
from dataaudit.audits.train import train
from dataaudit.audits.verify import Refit
from dataaudit.encode import EncoderSettings
from dataaudit.errors import DataError
from dataaudit.findings import Findings
from dataaudit.mismatch_findings import MismatchFindings
from dataaudit.sources import Dataset
from dataaudit.tablefolder import schema

REFITS = schema("what text, change text, predicted real, measured real")
# Nats by which a prediction may differ when it is made again: other libraries and processors round otherwise.
SAME = 1e-6
AGAIN = "run the audit again"

_Settings = TypeVar("_Settings", LabelSettings, MismatchSettings)


@dataclass(frozen=True)
class Rerun:
    """An audit made again.

    Attributes
    ----------
    findings : Findings or MismatchFindings
        Those on disk, with the new refits and checks.
    refits : pl.DataFrame
        What was changed, and the change of loss, predicted and measured, in nats.
    difference : float
        Largest difference between a prediction on disk and the same one made again, in nats.
    """

    findings: Findings | MismatchFindings
    refits: pl.DataFrame
    difference: float

    @property
    def reproduced(self) -> bool:
        """Whether the predictions on disk came out again."""
        return self.difference <= SAME

    @property
    def agreement(self) -> Agreement:
        """Predicted against measured, over all refits."""
        rows = self.refits.iter_rows(named=True)
        return agreement([Refit(at, r["change"], r["predicted"], r["measured"]) for at, r in enumerate(rows)])

    @property
    def spearman(self) -> float:
        """Rank correlation of predicted and measured; nan for fewer than two refits."""
        found = self.refits.select(pl.corr("predicted", "measured", method="spearman")).item()
        return float("nan") if found is None else float(found)


def rerun_labels(
    findings: Findings, source: Any = None, *, top: int, on_step: StepCallback = no_step
) -> Rerun:
    """Audit labels again and refit the first rows.

    Parameters
    ----------
    findings : Findings
        As read from disk.
    source : str, Path, sequence of these, or frame, optional
        Where the data are now; by default where they were.
    top : int
        Rows to remove, and to relabel.
    on_step : callable
        Called with (stage, done, total).

    Returns
    -------
    Rerun
        The findings with the refits.

    Raises
    ------
    DataError
        If the data are not those of the findings.
    """
    known = findings.provenance
    if not known.roles:
        raise DataError("these findings are of a model of your own, which is not on disk", AGAIN)
    settings = replace(_settings(LabelSettings, known.settings), verify=2 * top)
    dataset, target = read_labelled(_source(source, known.settings, "source"), settings, on_step=on_step)
    _require_same(dataset, known.origins)
    trained = train(encode_training(dataset, target, settings, on_step=on_step), settings, on_step=on_step)
    again = label_findings(dataset, target, trained, settings=settings, on_step=on_step)
    columns = ["delta_loss_if_removed", "delta_loss_if_relabelled"]
    refits = again.verification.select(pl.col("row_id").alias("what"), "change", "predicted", "measured")
    return Rerun(
        replace(findings, verification=again.verification, health=again.health),
        refits.cast(REFITS),
        _difference(findings.labels, again.labels, on=["row_id"], columns=columns),
    )


def rerun_mismatch(
    tables: MismatchFindings,
    train_source: Any = None,
    *,
    test_source: Any = None,
    top: int,
    on_step: StepCallback = no_step,
) -> Rerun:
    """Audit a mismatch again; refit the findings and the strongest traces.

    Parameters
    ----------
    tables : MismatchFindings
        As read from disk.
    train_source, test_source : str, Path, sequence of these, or frame, optional
        Where the data are now; by default where they were.
    top : int
        Findings, and training rows, to remove.
    on_step : callable
        Called with (stage, done, total).

    Returns
    -------
    Rerun
        The findings with the refits.

    Raises
    ------
    DataError
        If the data are not those of the findings.
    """
    known = tables.provenance
    settings = replace(_settings(MismatchSettings, known.settings), verify=top, prove=top)
    one = settings.split_column is not None or settings.test_size is not None
    sources = _source(train_source, known.settings, "train"), None
    if not one:
        sources = sources[0], _source(test_source, known.settings, "test")
    on_step("read", 0, 1)
    pair = read_pair(*sources, settings)
    on_step("read", 1, 1)
    _require_same(pair.train, known.origins)
    _require_same(pair.test, known.test_origins)
    if pair.y is None:
        raise DataError("the test rows have no labels, so no loss can be measured", "add their labels")
    again = _audit_again(pair, settings, on_step=on_step)
    columns = ["influence", "delta_loss_if_removed"]
    same = _difference(tables.traces, again.traces, on=["test_row_id", "train_row_id"], columns=columns)
    return Rerun(
        replace(tables, verification=again.verification, health=again.health),
        _mismatch_refits(again),
        same,
    )


def _audit_again(pair: Pair, settings: MismatchSettings, *, on_step: StepCallback) -> MismatchFindings:
    asked = settings.of_training
    trained = train(encode_training(pair.train, pair.target, asked, on_step=on_step), asked, on_step=on_step)
    assert pair.y is not None  # noqa: S101 - asked above
    tested = predict(trained, pair.test, pair.y)
    return mismatch_findings(pair, trained, tested, settings=settings, command="", on_step=on_step)


def _mismatch_refits(again: MismatchFindings) -> pl.DataFrame:
    """Return the refits of findings, then those of traces."""
    done = pl.col("measured").is_not_null() & pl.col("predicted").is_not_null()
    name = pl.concat_str(pl.lit("finding "), pl.col("finding").cast(pl.String))
    of_findings = again.remedies.filter(done & (pl.col("remedy") != "ridge")).select(
        name.alias("what"), pl.col("remedy").alias("change"), "predicted", "measured"
    )
    pair = pl.concat_str(pl.col("train_row_id"), pl.lit(", on test row "), pl.col("test_row_id"))
    of_traces = again.verification.select(pair.alias("what"), "change", "predicted", "measured")
    return pl.concat([of_findings.cast(REFITS), of_traces.cast(REFITS)])


def _difference(old: pl.DataFrame, new: pl.DataFrame, *, on: Sequence[str], columns: Sequence[str]) -> float:
    """Return the largest difference of some columns; infinite where rows are not the same."""
    both = old.select(*on, *columns).join(new.select(*on, *columns), on=on, how="full", coalesce=True)
    gaps = both.select((pl.col(c) - pl.col(f"{c}_right")).abs() for c in columns)
    if len(both) != len(old) or len(both) != len(new) or sum(gaps.null_count().row(0)):
        return float("inf")
    return max((float(worst) for worst in gaps.max().row(0) if worst is not None), default=0.0)


def _settings(kind: type[_Settings], known: Mapping[str, Any]) -> _Settings:
    """Return the settings that a provenance holds."""
    names = {f.name for f in fields(kind)}
    values = {name: _frozen(value) for name, value in known.items() if name in names}
    columns = {name: _frozen(value) for name, value in known["columns"].items()}
    return kind(**{**values, "columns": EncoderSettings(**columns)})


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _source(given: Any, known: Mapping[str, Any], name: str) -> Any:
    """Return where the data are, as given now or then."""
    if given is not None:
        return given
    then = known.get(name)
    if not then or "-" in then:
        raise DataError("these findings are of data that came from no file", "name a file that has them now")
    return list(then)


def _require_same(dataset: Dataset, origins: Sequence[Mapping[str, Any]]) -> None:
    """Refuse data with another content."""
    then = sorted(str(origin["sha256"]) for origin in origins)
    if sorted(o.sha256 for o in dataset.origins) == then:
        return
    known = {str(origin["sha256"]) for origin in origins}
    changed = next((o.path for o in dataset.origins if o.sha256 not in known), dataset.origins[0].path)
    raise DataError(f"{changed} has changed since it was audited: its content hash differs", AGAIN)
