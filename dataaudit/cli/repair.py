"""``audit apply``: carry out the decisions of a review; ``audit undo``: give the data back as they were."""

from __future__ import annotations

import json
import math
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from dataaudit.cli.bridge import OUTPUT, Arg, command
from dataaudit.cli.output import require_new
from dataaudit.cli.progress import Progress
from dataaudit.errors import AuditError, DataError
from dataaudit.options import INPUT, MODEL, LabelOptions, Opt

if TYPE_CHECKING:
    from dataaudit.audits.rerun import Standing
    from dataaudit.data.dataset import Dataset
    from dataaudit.findings.schemas import Findings
    from dataaudit.repair.annotations import Annotations
    from dataaudit.repair.apply import Repair
    from dataaudit.repair.consensus import Consensus
    from dataaudit.repair.plan import Plan
    from dataaudit.report.words import RowNames


SHOWN = 10
_ACTS = {"relabel": "relabelled", "drop": "dropped", "weight": "weighted", "keep": "kept", "unsure": "unsure"}

Folder = Annotated[Path, Arg("Findings of audit labels.", metavar="FOLDER")]
DecisionFile = Annotated[
    Path,
    Arg(
        "JSON lines or CSV: row_id, action (keep, relabel, drop, weight, unsure), label, weight.",
        metavar="DECISIONS",
    ),
]
Data = Annotated[str, Arg("The file that was audited; rows of a changed one are matched.", metavar="DATA")]
Out = Annotated[Path | None, Opt("The repaired file.", OUTPUT, flags="--out -o")]
DryRun = Annotated[bool, Opt("Only show what would change.", OUTPUT)]
InPlace = Annotated[bool, Opt("Replace DATA; DATA.bak keeps it as it was.", OUTPUT)]
Force = Annotated[bool, Opt("Replace another file that is there.", OUTPUT)]
NewClass = Annotated[bool, Opt("Allow a label that no audited row has.", INPUT)]
WeightColumn = Annotated[
    str | None,
    Opt("Where weights go; made if absent, with 1 in all other rows.", INPUT, shown="the audit's, or weight"),
]
Test = Annotated[str | None, Opt("Labelled rows to test both models on.", MODEL, metavar="SOURCE")]
Model = Annotated[bool, Opt("Compare the model before and after.", MODEL, flags="--model/--no-model")]
Format = Annotated[Literal["json"] | None, Opt("Also write what changes to stdout.", OUTPUT, shown="nothing")]


@command(OUTPUT)
def apply(
    folder: Folder,
    decisions: DecisionFile,
    data: Data,
    *,
    out: Out = None,
    dry_run: DryRun = False,
    in_place: InPlace = False,
    force: Force = False,
    new_class: NewClass = False,
    weight_column: WeightColumn = None,
    test: Test = None,
    model: Model = True,
    format: Format = None,  # noqa: A002 - the option is called --format
    progress: Progress,
) -> None:
    """Write the audited data with a review's decisions carried out, and a journal that undoes it."""
    from dataaudit.data.blob import open_blob
    from dataaudit.findings.schemas import Findings
    from dataaudit.repair.apply import place, repair, write_repair
    from dataaudit.repair.decisions import read_decisions
    from dataaudit.repair.plan import make_plan, require_files
    from dataaudit.report.words import RowNames

    target = None if dry_run and not (out or in_place) else place(data, out, in_place=in_place, force=force)
    findings, decided = Findings.read(folder), read_decisions(decisions)
    require_files(findings)
    blob = open_blob(data)
    plan = make_plan(
        findings,
        decided,
        blob=blob,
        new_class=new_class,
        weight_column=weight_column,
        read=_reader(findings, data),
    )
    done = repair(blob, plan)
    changes: dict[str, Any] = _changes(plan, dry_run=dry_run)
    with progress:
        sentences = _preview(plan, RowNames.of(findings.provenance), dry_run=dry_run)
        if not dry_run and target is not None:
            written = write_repair(done, data, target=target, in_place=in_place)
            changes["files"] = {name: path.as_posix() for name, path in written.items()}
            sentences += [*_written(written), *_kept(done)]
            if model:
                before = written["backup"].as_posix() if in_place else data
                weights = plan.weight_column if plan.only("weight") else None
                said, changes["model"] = _compared(
                    findings, target, source=before, test=test, weights=weights, progress=progress
                )
                sentences += said
            sentences += _next(findings, plan, target, journal=written["journal"], source=data)
        progress.close(sentences)
    if format == "json":
        sys.stdout.write(json.dumps(changes, ensure_ascii=True, indent=2) + "\n")


def _reader(findings: Findings, data: str) -> Callable[[], Dataset]:
    """Return what reads the labelled rows of a file as the audit did."""

    def read() -> Dataset:
        from dataaudit.training.encoded import read_labelled

        return read_labelled(data, LabelOptions.from_dict(findings.provenance.settings))[0]

    return read


def _changes(plan: Plan, *, dry_run: bool) -> dict[str, Any]:
    from dataaudit.repair.journal import described

    moves = [{"from": a, "to": b, "rows": rows} for (a, b), rows in plan.moves.items()]
    changes = [described(change) for change in plan.changes]
    return {
        "dry_run": dry_run,
        "run_id": plan.run_id,
        "decisions": plan.counts,
        "relabelled": moves,
        "changes": changes,
        "left_out": [{"row_id": name, "reason": reason} for name, reason in plan.missed.items()],
        "new_rows": plan.new,
    }


def _preview(plan: Plan, names: RowNames, *, dry_run: bool) -> list[str]:
    """Return what changes, in sentences, and the first rows."""
    from dataaudit.report.words import bare

    would = "would be " if dry_run else ""
    counts = plan.counts
    numbers = (
        f"{counts['relabel']:,} labels {would}changed, {counts['drop']:,} rows {would}dropped, "
        f"{counts['weight']:,} weights {would}set, {counts['keep']:,} rows kept as they are; "
        f"{plan.rows:,} rows in all."
    )
    said = [numbers]
    if plan.unsure:
        said.append(
            "1 row unsure, left as it is."
            if plan.unsure == 1
            else f"{plan.unsure:,} rows unsure, left as they are."
        )
    of = bare({name for move in plan.moves for name in move}, plan.label_column) if plan.moves else ""
    of = f"{_cell(of)}: " if of else ""
    said += [f"– {of}{rows:,} from {_cell(a)} to {_cell(b)}" for (a, b), rows in plan.moves.items()]
    for change in plan.changes[:SHOWN]:
        after = {"drop": "dropped", "weight": f"weight {change.weight}"}.get(change.action)
        row, now = names.one(change.row_id), after or _cell(change.label or "")
        said.append(f"– {_cell(row)}: {of}{_cell(change.before)} → {now}")
    more = len(plan.changes) - SHOWN
    said += [f"– … and {more:,} more rows"] if more > 0 else []
    if plan.elsewhere:
        said.append(f"{plan.elsewhere:,} decisions are on rows of other files: repair those one by one.")
    said += _changed(plan)
    return [*said, "Nothing was written."] if dry_run else said


def _changed(plan: Plan) -> Iterator[str]:
    """Say what has changed in the file since the audit, and which decisions are left out for it."""
    if plan.new is None:
        return
    matched = "the rows were matched by what they hold"
    yield f"The file has changed since the audit, so {matched}; {_rows(plan.new)} new or changed."
    if plan.missed:
        number = "1 decision is" if len(plan.missed) == 1 else f"{len(plan.missed):,} decisions are"
        yield f"{number} left out, as the row is not surely there:"
    first = list(plan.missed.items())[:SHOWN]
    yield from (f"– {_cell(name)}: {_cell(reason)}" for name, reason in first)
    if len(plan.missed) > SHOWN:
        yield f"– … and {len(plan.missed) - SHOWN:,} more, which --format json lists"


def _rows(number: int) -> str:
    return "1 row is" if number == 1 else f"{number:,} rows are"


def _cell(text: str) -> str:
    from dataaudit.escape import console_line

    return console_line(text, 80)


def _written(written: Mapping[str, Path]) -> list[str]:
    names = {"target": "The repaired data are", "journal": "The undo journal is", "backup": "The backup is"}
    return [f"{names[name]} {path.as_posix()}" for name, path in written.items()]


def _kept(done: Repair) -> Iterator[str]:
    """Say what of the file's layout is not kept, and what an exact way back takes on the disk."""
    if done.lost:
        listed = " and ".join([", ".join(done.lost[:-1])] * (len(done.lost) > 1) + [done.lost[-1]])
        yield f"Of the layout of the Parquet file this is not as it was: {listed}."
    from dataaudit.repair.journal import PACKED

    aside = done.journal.parts.get(PACKED, "")
    if aside:
        size = f"{len(aside) / 1e3:,.0f} kB"
        yield f"The journal holds the packed original as well ({size}), for an exact undo."


def _compared(
    findings: Findings,
    target: Path,
    *,
    source: str,
    test: str | None,
    weights: str | None,
    progress: Progress,
) -> tuple[list[str], dict[str, Any] | None]:
    """Return the model before and after; what keeps it from being compared does not undo the repair."""
    from dataclasses import asdict

    from dataaudit.audits.rerun import compare
    from dataaudit.findings.record import plain

    try:
        before, after = compare(
            findings, target, source=source, test=test, weight_column=weights, on_step=progress.step
        )
    except AuditError as error:
        return [f"The model was not compared: {error}"], None
    both: dict[str, Any] = plain({"before": asdict(before), "after": asdict(after)})
    return _sentences(before, after), both


def _sentences(before: Standing, after: Standing) -> list[str]:
    rows = f"{before.rows:,}" if before.rows == after.rows else f"{before.rows:,} → {after.rows:,}"
    loss = f"Mean leave-one-out loss: {before.loo_loss:.4f} → {after.loo_loss:.4f} nats a row ({rows} rows)."
    if math.isfinite(before.error):  # nats are by the noise, which is another one afterwards
        loss = f"Mean size of left-out errors: {before.error:.4g} → {after.error:.4g} ({rows} rows)."
    said = [
        loss,
        f"Labels expected to be wrong: {_count(before.expected_wrong)} → {_count(after.expected_wrong)}.",
    ]
    if math.isfinite(after.test_error):
        error = f"{before.test_error:.4g} → {after.test_error:.4g}"
        said.append(f"On {after.test_rows:,} test rows: mean size of errors {error}.")
    elif after.test_rows:
        said.append(
            f"On {after.test_rows:,} test rows: accuracy {before.test_accuracy:.2%} → "
            f"{after.test_accuracy:.2%}, mean loss {before.test_loss:.4f} → {after.test_loss:.4f} nats."
        )
    return said


def _count(rows: float) -> str:
    return f"{rows:,.0f}" if rows == rows else "unknown"  # noqa: PLR0124 - nan is not itself


def _next(findings: Findings, plan: Plan, target: Path, *, journal: Path, source: str) -> list[str]:
    """Return the commands to type next."""
    was = Path(source)
    ends = "".join(was.suffixes[-2:] if was.suffix in (".gz", ".zst") else was.suffixes[-1:])
    back = target.with_name(f"{was.name.removesuffix(ends)}.back{ends}")
    undo = shlex.join(["audit", "undo", journal.as_posix(), "-o", back.as_posix()])
    return [f"To undo it: {undo}", f"To audit again: {_again(findings, plan, target)}"]


def _again(findings: Findings, plan: Plan, target: Path) -> str:
    """Return the command of the findings with the new file, and with another folder."""
    known = findings.provenance
    weights = ["--weight", plan.weight_column]
    needed = weights if plan.only("weight") and not known.settings.get("weight") else []
    words = shlex.split(known.command) if known.command.startswith("audit labels ") else []
    sources = list(known.settings.get("source") or ())
    if len(sources) != 1 or words.count(sources[0]) != 1:
        return shlex.join(["audit", "labels", target.as_posix(), "--label", plan.label_column, *needed])
    words[words.index(sources[0])] = target.as_posix()
    for option in ("--out", "-o"):
        if option in words[:-1]:
            at = words.index(option)
            del words[at : at + 2]
    return shlex.join([*words, *needed, "--out", f"{target.name.partition('.')[0]}-findings-2"])


Export = Annotated[
    Path,
    Arg("Export of Label Studio or Argilla, or CSV, JSON, Parquet, Excel with row_id.", metavar="FILE"),
]
Findings_ = Annotated[Path, Arg("Findings of audit labels that were exported.", metavar="FOLDER")]
DecisionsOut = Annotated[
    Path | None,
    Opt(
        "The decisions; JSON lines, or CSV by its name.",
        OUTPUT,
        flags="--out -o",
        shown="decisions.jsonl in FOLDER",
    ),
]
Kind = Annotated[
    Literal["labelstudio", "argilla", "table"] | None,
    Opt("What FILE is; a table has a row a line.", INPUT, flags="--from", shown="by its content"),
]
LabelColumn = Annotated[
    str | None,
    Opt("Column with the class, or name of the control or question.", INPUT, shown="by its name"),
]


@command(OUTPUT)
def import_(
    file: Export,
    folder: Findings_ = Path("audit-findings"),
    *,
    out: DecisionsOut = None,
    kind: Kind = None,
    label_column: LabelColumn = None,
    new_class: NewClass = False,
    force: Force = False,
    progress: Progress,
) -> None:
    """Take over what people decided in Label Studio, in Argilla or in a spreadsheet, as decisions."""
    from dataaudit.findings.schemas import Findings
    from dataaudit.repair.annotations import read_annotations
    from dataaudit.repair.consensus import consensus
    from dataaudit.repair.decisions import write_decisions
    from dataaudit.review.loop import CHANGES, NAME, repair_commands
    from dataaudit.writers.exports import safe

    target = out or folder / NAME
    findings = Findings.read(folder)
    require_new(target, [file], force=force)
    found = read_annotations(file, kind=kind, column=label_column)
    made = consensus(found, findings, written=safe, new_class=new_class)
    if not made.decisions.rows:
        what = f"{file.as_posix()} holds no decision: {' '.join(_left_out(found, made))}"
        raise DataError(what, "fill a column new_label, or name the column with --label-column")
    write_decisions(target, made.decisions)
    changed = [row.row_id for row in made.decisions.rows if row.action in CHANGES]
    progress.close(
        [
            *_taken(found, made, file),
            f"The decisions are {target.as_posix()}",
            *repair_commands(findings, changed, folder=folder, decisions=target),
        ]
    )


def _taken(found: Annotations, made: Consensus, file: Path) -> Iterator[str]:
    """Say what was taken from the file, and what was left out."""
    names = {"labelstudio": "Label Studio", "argilla": "Argilla"}
    what = names.get(found.kind) or f"a table, classes in column {_cell(found.column)}"
    acts = ", ".join(f"{made.counts[act]:,} {name}" for act, name in _ACTS.items() if made.counts[act])
    number = len(made.decisions.rows)
    said = "1 decision is" if number == 1 else f"{number:,} decisions are"
    yield f"{said} taken from {_cell(file.as_posix())} ({what}): {acts}."
    yield from _left_out(found, made)


def _left_out(found: Annotations, made: Consensus) -> Iterator[str]:
    if made.undecided:
        why = "whose label is as it was" if found.edited else "without a decision"
        yield f"Left out: {_number(made.undecided)} {why}."
    if made.split:
        some = "; ".join(f"{_cell(name)}: {votes}" for name, votes in list(made.split.items())[:SHOWN])
        yield f"Left out: {_number(len(made.split))} on which annotators disagree ({_cell(some)})."
    if made.unknown:
        some = ", ".join(map(_cell, made.unknown[:3]))
        more = ", …" if len(made.unknown) > 3 else ""  # noqa: PLR2004 - a line's worth
        yield f"Left out: {_number(len(made.unknown))} that the findings do not have ({some}{more})."


def _number(rows: int) -> str:
    return "1 row" if rows == 1 else f"{rows:,} rows"


JournalFile = Annotated[Path, Arg("What audit apply wrote: *.journal.jsonl.", metavar="JOURNAL")]
Original = Annotated[Path | None, Opt("The data as they were.", OUTPUT, flags="--out -o")]
Repaired = Annotated[Path | None, Opt("The repaired file.", INPUT, shown="next to the journal")]
ReplacesRepaired = Annotated[bool, Opt("Replace the repaired file; FILE.bak keeps it.", OUTPUT)]


@command(OUTPUT)
def undo(
    journal: JournalFile,
    *,
    out: Original = None,
    data: Repaired = None,
    in_place: ReplacesRepaired = False,
    force: Force = False,
    progress: Progress,
) -> None:
    """Write the data as they were before a repair, their content hash checked."""
    from dataaudit.repair.undo import undo as run

    done = run(journal, out, repaired=data, in_place=in_place, force=force)
    how = "byte for byte" if done.identical else "its content; how it is packed or laid out may differ"
    said = [f"{done.path.as_posix()} is {done.journal.source} as it was before the repair, {how}."]
    if done.backup:
        said.append(f"The repaired file is kept as {done.backup.as_posix()}")
    progress.close(said)
