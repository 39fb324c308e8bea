"""What every provenance says: of any audit, and of one that has training and test rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dataaudit.findings.tables import Record


@dataclass(frozen=True, kw_only=True)
class AuditRecord(Record):
    """Where findings come from: every setting, seed, version and content hash of a run.

    Attributes
    ----------
    version, command : str
        Version of dataaudit; the command, or the call, that made this.
    target : str
        Name of the label column.
    n_features : int
        Encoded features.
    classes : tuple of str
        In the order of the model; the first is the reference.
    l2 : float
        Ridge of the mean loss (the paper's weight decay).
    basis, solver, solver_reason : str
        What was chosen, in words for people.
    gradient_norm : float
        Largest absolute component of the gradient at the fit, in nats.
    seed : int
        Seed of everything random.
    settings, versions : mapping
        The resolved settings; versions of Python and of the libraries.
    origins, roles : tuple of mappings
        Files (path, format, sha256, rows); columns (column, role, reason).
    notes : tuple of str
        Decisions to state to the user, in full sentences.
    """

    version: str
    command: str
    target: str
    n_features: int
    classes: tuple[str, ...]
    l2: float
    basis: str
    solver: str
    solver_reason: str
    gradient_norm: float
    seed: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    origins: tuple[Mapping[str, Any], ...] = ()
    roles: tuple[Mapping[str, str], ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PairRecord(AuditRecord):
    """The same, of training rows and test rows; `origins` are the files of the former.

    Attributes
    ----------
    train, test : str
        Names of the data as given.
    n_train, n_test : int
        Training rows, test rows that can be judged.
    test_origins : tuple of mappings
        Files of the test rows.
    """

    train: str
    test: str
    n_train: int
    n_test: int
    test_origins: tuple[Mapping[str, Any], ...] = ()
