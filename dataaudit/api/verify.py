"""`verify`: the audit of findings once more, and true refits of what they say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataaudit.errors import SettingError
from dataaudit.memory import limited
from dataaudit.options import RunOptions, ignore_progress, is_module

if TYPE_CHECKING:
    from dataaudit.audits.rerun import Rerun


def verify(
    folder: str | Path,
    source: Any = None,
    *,
    test: Any = None,
    top: int = 50,
    memory: int | str | None = None,
    model: Any = None,
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
    memory : int or str, optional
        Most bytes to take, or text such as "4GiB"; by default as the audit was asked.
    model : ModuleModel, optional
        The network of the findings, where they are of one: it is not on disk.
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
    from dataaudit.audits.rerun import rerun_labels, rerun_mismatch
    from dataaudit.files import require_folder
    from dataaudit.findings.schemas import Findings, MismatchFindings, MismatchProvenance, Provenance
    from dataaudit.findings.tables import read_provenance
    from dataaudit.writers.html import write_report

    if top < 1:
        raise SettingError(f"top must be 1 or more: got {top}", "leave it out")
    path, step = Path(folder), on_step or ignore_progress
    require_folder(path, hint="copy the findings to a folder that you may write to")
    known = read_provenance(path)
    kind = known.get("kind")
    asked = RunOptions(memory=known.get("settings", {}).get("memory") if memory is None else memory)
    if is_module(model):
        from dataaudit.training.networks.network import framed

        (source, test), model = framed((source, test), model)
    with limited(asked.limit):
        if kind == MismatchProvenance.KIND:
            done = rerun_mismatch(
                MismatchFindings.read(path), source, test_source=test, top=top, model=model, on_step=step
            )
        elif kind == Provenance.KIND:
            done = rerun_labels(Findings.read(path), source, top=top, model=model, on_step=step)
        else:
            what = f"{path.as_posix()} holds {kind}, which has nothing to refit"
            raise SettingError(what, "name the folder of audit labels or audit mismatch")
    done.findings.write(path)
    write_report(done.findings, path / "report.html")
    return done
