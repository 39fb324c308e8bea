"""`plan`: what an audit would take, in numbers and in sentences."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from dataaudit.api.keywords import paired
from dataaudit.errors import SettingError
from dataaudit.memory import free_memory, in_bytes
from dataaudit.options import PlanOptions

if TYPE_CHECKING:
    from dataaudit.audits.plan.forecast import Planned

_MINUTE, _HOUR = 100, 6000  # seconds from which time is said in minutes, and in hours
_WIDE: Final = 26
_METHODS: Final = {
    "cholesky": "exact: a factor of the {p:,} × {p:,} Hessian",
    "dual": "exact: a factor of the {nk:,} × {nk:,} matrix of the rows",
    "solves": "exact: the rows that are shown are solved for",
    "classwise": "exact: a factor of an {n:,} × {n:,} matrix of the rows for each class",
    "projected": "estimates by {probes} random projections; rows that are shown are exact",
    None: "none: not even estimates fit",
}

_FUNCTIONS: Final = {"labels": "audit_labels", "mismatch": "audit_mismatch", "explain": "explain"}
ON_DISK: Final = "; rows stay on disk"


@dataclass(frozen=True)
class Plan:
    """What an audit would take.

    Attributes
    ----------
    audit : str
        Which: labels, mismatch or explain.
    rows, test_rows, columns, features, classes : int
        Rows with a label, of training where there are test rows too, columns that are used, features after
        encoding, classes.
    seconds : float
        Time on this machine.
    bytes : int
        Most memory that is held at a time for tables and matrices.
    limit : int
        Bytes that may be taken for these.
    fits : bool
        Whether it fits.
    method : str
        How the influence of rows on themselves is had.
    chosen_on : int
        Rows on which λ is chosen; 0 where it is given.
    stages : tuple of dict
        Name, seconds and bytes of each stage.
    command : str
        What to type next.
    planned : Planned
        What the numbers were made from.
    """

    audit: str
    rows: int
    test_rows: int
    columns: int
    features: int
    classes: int
    seconds: float
    bytes: int
    limit: int
    fits: bool
    method: str
    chosen_on: int
    stages: tuple[dict[str, Any], ...]
    command: str
    planned: Planned

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as they go into JSON.

        Returns
        -------
        dict
            By name; the bytes of Python and its libraries are apart.
        """
        from dataaudit.audits.plan.costs import LIBRARIES

        names = (
            "audit",
            "rows",
            "test_rows",
            "columns",
            "features",
            "classes",
            "seconds",
            "bytes",
            "limit",
            "fits",
            "method",
        )
        named = {name: getattr(self, name) for name in (*names, "chosen_on", "stages", "command")}
        sample = self.planned.sample
        return named | {
            "rows_are_counted": sample.exact,
            "files": list(sample.names),
            "file_bytes": sample.stored,
            "library_bytes": LIBRARIES,
            "machine": asdict(self.planned.speeds),
        }

    def __str__(self) -> str:
        """Return it for people, in lines of at most 80 characters."""
        from dataaudit.audits.plan.costs import LIBRARIES

        whole = {"name": "in all", "seconds": self.seconds, "bytes": self.bytes}
        lines = [*_data(self), "", f"{'stage':{_WIDE}}{'time':>10}{'memory':>12}"]
        for stage in (*self.stages, whole):
            taken = f"{_time(stage['seconds']):>10}{in_bytes(stage['bytes']):>12}"
            lines += [f"{stage['name']:{_WIDE}}{taken}"]
        lines += [f"Python and its libraries take about {in_bytes(LIBRARIES)} more.", ""]
        lines += [f"Method   {self.method}", f"λ        {_chosen(self)}", f"Memory   {_fit(self)}"]
        if not self.fits:
            lines += [f"         {line}" for line in _cure(self)]
        return "\n".join([*lines, "", f"Next     {self.command}"])

    def _repr_html_(self) -> str:
        """Return the stages with their time and memory for a notebook."""
        from dataaudit.report import blocks
        from dataaudit.writers.html import glance

        most = max((float(stage["seconds"]) for stage in self.stages), default=0.0) or 1.0
        rows = tuple((s["name"], _time(s["seconds"]), in_bytes(s["bytes"])) for s in self.stages)
        bars = tuple(float(stage["seconds"]) / most for stage in self.stages)
        head = ("stage", "time", "memory")
        table = blocks.Table(caption="Stages", head=head, rows=rows, bars=bars)
        verdict = "fits" if self.fits else "does not fit"
        report = blocks.Report(
            kind="plan",
            over=("Plan of an audit: ", blocks.Cell(_data(self)[0], 200)),
            name="",
            headline=f"It {verdict}, and takes about {_time(self.seconds)}",
            sentences=(f"It {_fit(self)}. The method is {self.method}.",),
            sections=(blocks.Section("Stages", (table,)),),
        )
        return glance(report, (("What to type next", self.command),))


@paired(PlanOptions)
def plan(source: Any, test: Any, options: PlanOptions) -> Plan:
    """Say what an audit would take, before anything runs: rows, features, bytes, time, method.

    A sample of the rows is read and encoded, and the speed of this machine is measured; that takes about two
    seconds, however large the data are.

    Parameters
    ----------
    source : str, Path, sequence of these, frame or table
        What the audit is to be given: all rows, or those of training.
    test : the same, optional
        Test rows, for `audit_mismatch` and `explain`.
    options : PlanOptions
        Or each of them as a keyword, `audit` saying for which it is.

    Returns
    -------
    Plan
        The numbers; printed, they are a page for people.

    Raises
    ------
    AuditError
        For anything that the caller can fix, in one line with a hint.

    Examples
    --------
    >>> forecast = dataaudit.plan("mail.parquet", label="label", text="text")
    >>> forecast.rows, forecast.fits
    >>> print(forecast)
    >>> dataaudit.plan("train.csv", "test.csv", label="y", audit="mismatch").seconds
    """
    from dataaudit.audits.plan.costs import PATH_ROWS
    from dataaudit.audits.plan.forecast import plan_labels, plan_pair
    from dataaudit.model.costs import PROBES

    if options.outside is not None:
        raise SettingError(f"{options.outside} fits no model here", "audit labels at once: it takes seconds")
    split = options.split_column is not None or options.test_size is not None
    if options.audit == "labels" and (test is not None or split):
        raise SettingError("an audit of labels has no test rows", "say --for mismatch, or leave them out")
    if options.audit != "labels" and test is None and not split:
        raise SettingError("there are no test rows", "give a second source, --split-column or --test-size")
    planned = plan_labels(source, options) if options.audit == "labels" else plan_pair(source, test, options)
    shape, size, found = planned.shape, planned.costs.size, planned.costs
    whole = shape.rows if shape.is_sparse else min(shape.rows, PATH_ROWS)
    return Plan(
        audit=options.audit,
        rows=shape.rows,
        test_rows=planned.test,
        columns=sum(role.role != "left out" for role in planned.roles),
        features=shape.features,
        classes=shape.classes,
        seconds=found.seconds,
        bytes=found.bytes,
        limit=planned.limit,
        fits=planned.fits,
        method=_METHODS[found.method].format(p=size.p, n=size.n, nk=size.n * size.k, probes=PROBES)
        + (ON_DISK if found.on_disk else ""),
        chosen_on=0 if options.l2 is not None else whole,
        stages=tuple(asdict(stage) for stage in found.stages),
        command=_next(options, planned),
        planned=planned,
    )


def _data(plan: Plan) -> list[str]:
    """Say what the data are."""
    sample, about = plan.planned.sample, "" if plan.planned.sample.exact else "about "
    files = sample.names[0] if len(sample.names) == 1 else f"{len(sample.names):,} files"
    test = f" and {about}{plan.test_rows:,} to be tested" if plan.test_rows else ""
    rows = f"{about}{plan.rows:,} rows{test}"
    counted = f"{rows} of {files} ({in_bytes(sample.stored)}), {plan.classes:,} classes"
    kinds: dict[str, int] = {}
    for role in plan.planned.roles:
        kinds[role.role] = kinds.get(role.role, 0) + 1
    used = ", ".join(f"{number:,} {kind}" for kind, number in kinds.items())
    seen = "" if plan.rows <= sample.frame.height else "about "
    return [counted, f"columns: {used}", f"{seen}{plan.features:,} features once they are encoded"]


def _chosen(plan: Plan) -> str:
    if not plan.chosen_on:
        return "given"
    some = "all rows" if plan.chosen_on >= plan.rows else f"{plan.chosen_on:,} of the rows"
    return f"chosen on {some}"


def _fit(plan: Plan) -> str:
    verb = "fits" if plan.fits else "does not fit"
    return f"{verb}: it takes {in_bytes(plan.bytes)}, {in_bytes(plan.limit)} may be taken"


def _cure(plan: Plan) -> list[str]:
    """Say what to do where it does not fit."""
    if plan.bytes <= free_memory():
        return [f"{in_bytes(free_memory())} are free: give more with --memory"]
    return ["more than is free here: use fewer rows, --features, or a larger machine"]


def _next(options: PlanOptions, planned: Planned) -> str:
    """Return what to type, with the memory that it takes where that is there."""
    typed = options.command
    words = shlex.split(typed) if typed.startswith("audit plan ") else []
    if not words:
        return f"dataaudit.{_FUNCTIONS[options.audit]} with the same arguments"
    words[1] = options.audit
    needed = planned.costs.bytes
    more = not planned.fits and needed <= free_memory()
    for name in ("--format", "--for", *(("--memory",) if more else ())):
        if name in words[:-1]:
            at = words.index(name)
            del words[at : at + 2]
    if more:
        words += ["--memory", f"{-(-needed // 2**29) / 2:g}GiB"]
    return shlex.join(words)


def _time(seconds: float) -> str:
    if seconds < _MINUTE:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"  # noqa: PLR2004 - two digits
    return f"{seconds / 60:.0f} min" if seconds < _HOUR else f"{seconds / 3600:.1f} h"
