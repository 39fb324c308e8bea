"""What Python users call to prove findings: retrain, and compare with what was predicted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataaudit.audits.again import Rerun


def verify(
    folder: str | Path,
    source: Any = None,
    *,
    test: Any = None,
    top: int = 50,
    on_step: Callable[[str, int, int], None] | None = None,
) -> Rerun:
    """Retrain without the rows that findings speak of, and compare with what was predicted.

    Parameters
    ----------
    folder : str or Path
        What an audit of labels or of a mismatch wrote. Its refits, its checks and its page are renewed.
    source, test : str, Path, sequence of these, or frame, optional
        Where the data are now, if elsewhere than they were; `test` for a mismatch of two tables.
    top : int
        Rows to remove, and for labels to relabel; for a mismatch findings as well.
    on_step : callable, optional
        Called with (stage, done, total).

    Returns
    -------
    Rerun
        The refits as a Polars frame, their `agreement` with the predictions, and whether those were
        `reproduced`.

    Raises
    ------
    AuditError
        If the folder holds no findings, or the data are not the ones that were audited.

    Examples
    --------
    >>> proof = dataaudit.verify("audit-findings", top=50)
    >>> proof.agreement.slope, proof.reproduced
    """
    from dataaudit.audits.again import rerun_labels, rerun_mismatch
    from dataaudit.audits.asked import no_step
    from dataaudit.errors import SettingError
    from dataaudit.findings import Findings, Provenance
    from dataaudit.folder import read_provenance
    from dataaudit.mismatch_findings import MismatchFindings, MismatchProvenance
    from dataaudit.writers.html import write_report

    if top < 1:
        raise SettingError(f"top must be 1 or more: got {top}", "leave it out")
    path, step = Path(folder), on_step or no_step
    kind = read_provenance(path).get("kind")
    if kind == MismatchProvenance.KIND:
        done = rerun_mismatch(MismatchFindings.read(path), source, test_source=test, top=top, on_step=step)
    elif kind == Provenance.KIND:
        done = rerun_labels(Findings.read(path), source, top=top, on_step=step)
    else:
        what = f"{path.as_posix()} holds {kind}, which has nothing to refit"
        raise SettingError(what, "name the folder of audit labels or audit mismatch")
    done.findings.write(path)
    write_report(done.findings, path / "report.html")
    return done
