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

The modules, each importing only from those above it:

==============================  =======================================================================
errors                          everything that can go wrong for a user, as one tree
masking                         passwords, taken out of whatever is shown
picture, celltext, likeness     pixels as a small picture; a cell as people see it; which are almost equal
sources                         files, globs, folders, stdin, queries and frames to a `Dataset`
rows, tensor_rows, losses       blocks of rows; a module's rows; pointwise losses with slope and bend
encode, models, module_model    columns to features; pure functions of (θ, block), and a user's torch module
objective                       R(θ), its gradient and Hessian
fit, solvers, solver_names      Newton; Cholesky in the primal and the dual, and which of them; by products
                                alone: conjugate gradients, LiSSA, a low rank
influence, leaveout, noise      self-influence, one-step leave-one-out, which labels are likely wrong
hinge, kernelmap                support vector machines: their minimum, and their kernel as features
classifiers, arrays             what a fitted scikit-learn classifier minimised; matrices as users have them
module_influence                the same for a module, at whatever point its training ended
conclusions, groups, strongest  groups of rows and their effect; the strongest influences on each test row
path, selection                 basis and λ by leave-one-out loss
fitted                          a user's own scikit-learn model, taken as it is
fragility                       the smallest set of rows that overturns a conclusion
lowlevel                        `Influence`, for people with a matrix and a model
folder, tablefolder,            the tables on disk: the only meeting of tensors and frames; one module a
provenance, findings,           kind of findings
mismatch_findings,
explanation_findings,
vulnerability_findings
audits                          each the story of one question
repair                          decisions applied to the data, and undone from a journal
review                          the ranked rows one by one: a queue, keys, decisions, when to stop
gate                            facts about a dataset, rules over them, and the verdict on it
summary, writers                what a report shows, and one output format a file
result                          what every audit returns: tables, a folder, a page
api, api_mismatch,              what Python users call, one module a question
api_explain, api_verify,
api_vulnerability
cli                             the command `audit`
==============================  =======================================================================

Everything in ``__all__`` is public. It is loaded when it is first used: importing this package is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataaudit.api import LabelAudit, audit_labels
    from dataaudit.api_explain import Explanation, explain
    from dataaudit.api_mismatch import MismatchAudit, audit_mismatch
    from dataaudit.api_verify import verify
    from dataaudit.api_vulnerability import Vulnerability, vulnerability
    from dataaudit.errors import (
        AuditError,
        BadTarget,
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
    from dataaudit.findings import Findings
    from dataaudit.lowlevel import Influence
    from dataaudit.module_influence import ModuleInfluence
    from dataaudit.module_model import ModuleModel
    from dataaudit.sources import Dataset, Query, load

    __version__: str

__all__ = [
    "AuditError",
    "BadTarget",
    "DataError",
    "Dataset",
    "EncodeError",
    "Explanation",
    "Findings",
    "FitError",
    "Influence",
    "LabelAudit",
    "MismatchAudit",
    "MissingColumn",
    "ModuleInfluence",
    "ModuleModel",
    "NotConverged",
    "NotPositiveDefinite",
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
    "explain",
    "load",
    "verify",
    "vulnerability",
]

_HOMES = {
    "Dataset": "dataaudit.sources",
    "Explanation": "dataaudit.api_explain",
    "Findings": "dataaudit.findings",
    "Influence": "dataaudit.lowlevel",
    "MismatchAudit": "dataaudit.api_mismatch",
    "LabelAudit": "dataaudit.api",
    "ModuleInfluence": "dataaudit.module_influence",
    "ModuleModel": "dataaudit.module_model",
    "audit_labels": "dataaudit.api",
    "audit_mismatch": "dataaudit.api_mismatch",
    "explain": "dataaudit.api_explain",
    "Query": "dataaudit.sources",
    "load": "dataaudit.sources",
    "verify": "dataaudit.api_verify",
    "Vulnerability": "dataaudit.api_vulnerability",
    "vulnerability": "dataaudit.api_vulnerability",
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
