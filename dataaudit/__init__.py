"""Finds wrong labels, and the training rows behind wrong predictions, with influence functions.

The data go one way, and every noun is a frozen dataclass::

    source ─load→ Dataset ─encode→ Columns ─basis→ X, y ─minimise→ Fit ─prepare→ Prepared
                                                                        │ influence, leave-one-out, noise
    report, console, Parquet ←write─ Summary ←summarise─ Findings ←─────┘
    repaired data, undo journal ←apply─ Decisions ←review─┤
    SARIF, JUnit, exit code ←write─ Verdict ←judge(rules)─┘

The letters, in code, comments and docstrings:

==========  ===========================================================================================
n           rows (of training data)
d           features, columns of X
k           scores: classes − 1; class 0 is the reference with score 0, so binary has one, log p1/p0
p           parameters, (d + 1)·k, the intercepts last
m           right-hand sides of one solve
t, b        test rows; rows of one block
X, y        features (n, d), class numbers (n,)
theta, H    parameters (p,), Hessian of the objective (p, p)
l2          λ in R(θ) = mean loss + λ/2·‖θ‖² (intercepts free); scikit-learn's C is 1/(n·λ)
==========  ===========================================================================================

The folders, in the order of the data's way; each imports only from those above it:

===================  ==================================================================================
data                 files, globs, folders, stdin, queries and frames to a `Dataset`
model                blocks of rows, pointwise losses, linear models and torch modules, the objective
noise                which labels are likely wrong, and how many: by a model, and by looks at a sample
features             columns to features: numbers, categories, text, vectors, their basis
solvers              Newton's minimum; the inverse Hessian by Cholesky, dual, CG, LiSSA, Arnoldi
influence            self-influence, leave-one-out, groups of rows, the smallest set that flips
training             basis and regularisation chosen by leave-one-out loss; fitted models adopted
findings             the tables that an audit leaves, their schemas and provenance; the gate's verdict
audits               labels; explain, mismatch, shift, vulnerability: each the story of one question
checkpoint           what a run came to, kept until its findings are whole, for one that goes on after it
report               what a report shows, as blocks without a format
writers              one output format a file
repair, review       decisions applied and undone; the ranked rows decided one by one
gate                 facts about a dataset, rules over them, and the verdict
api, cli             what Python users call; the command `audit`
===================  ==================================================================================

At the root: `errors`, `secrets` (masked), `escape` (hostile text), `statistics`, `cells`, `files` (atomic
writes), and `options`, every one declared once.

Everything in ``__all__`` is public. It is loaded when it is first used: importing this package is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataaudit.api.auditor import LabelAuditor
    from dataaudit.api.audits import (
        Explanation,
        LabelAudit,
        MismatchAudit,
        Vulnerability,
        audit_labels,
        audit_mismatch,
        explain,
        vulnerability,
    )
    from dataaudit.api.influence import Influence
    from dataaudit.api.mlflow import log_mlflow
    from dataaudit.api.plan import Plan, plan
    from dataaudit.api.values import data_values
    from dataaudit.api.verify import verify
    from dataaudit.data.dataset import Dataset
    from dataaudit.data.load import load
    from dataaudit.data.sql.query import Query
    from dataaudit.errors import (
        AskTask,
        AuditError,
        BadTarget,
        ClusterError,
        DataError,
        EncodeError,
        FitError,
        MissingColumn,
        NotConverged,
        NotPositiveDefinite,
        SettingError,
        SolveError,
        TooLarge,
        UnreadableFile,
        WriteError,
    )
    from dataaudit.findings.schemas import Findings
    from dataaudit.influence.attack import ModuleAttack
    from dataaudit.influence.torch import ModuleInfluence
    from dataaudit.model.torch import ModuleModel

    __version__: str


__all__ = [
    "AskTask",
    "AuditError",
    "BadTarget",
    "ClusterError",
    "DataError",
    "Dataset",
    "EncodeError",
    "Explanation",
    "Findings",
    "FitError",
    "Influence",
    "LabelAudit",
    "LabelAuditor",
    "MismatchAudit",
    "MissingColumn",
    "ModuleAttack",
    "ModuleInfluence",
    "ModuleModel",
    "NotConverged",
    "NotPositiveDefinite",
    "Plan",
    "Query",
    "SettingError",
    "SolveError",
    "TooLarge",
    "UnreadableFile",
    "Vulnerability",
    "WriteError",
    "__version__",
    "audit_labels",
    "audit_mismatch",
    "data_values",
    "explain",
    "load",
    "log_mlflow",
    "plan",
    "verify",
    "vulnerability",
]

_HOMES = {
    "Dataset": "dataaudit.data.dataset",
    "Explanation": "dataaudit.api.audits",
    "Findings": "dataaudit.findings.schemas",
    "Influence": "dataaudit.api.influence",
    "MismatchAudit": "dataaudit.api.audits",
    "LabelAudit": "dataaudit.api.audits",
    "LabelAuditor": "dataaudit.api.auditor",
    "ModuleAttack": "dataaudit.influence.attack",
    "ModuleInfluence": "dataaudit.influence.torch",
    "ModuleModel": "dataaudit.model.torch",
    "audit_labels": "dataaudit.api.audits",
    "audit_mismatch": "dataaudit.api.audits",
    "data_values": "dataaudit.api.values",
    "explain": "dataaudit.api.audits",
    "Query": "dataaudit.data.sql.query",
    "load": "dataaudit.data.load",
    "log_mlflow": "dataaudit.api.mlflow",
    "plan": "dataaudit.api.plan",
    "Plan": "dataaudit.api.plan",
    "verify": "dataaudit.api.verify",
    "Vulnerability": "dataaudit.api.audits",
    "vulnerability": "dataaudit.api.audits",
}  # every other public name is an error


def __getattr__(name: str) -> Any:
    """Load a public name from the module that holds it."""
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 - 20 ms that --help does not need

        return version("dataaudit")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES.get(name, "dataaudit.errors")), name)
    globals()[name] = value  # the next access does not come here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
