"""An audit of a mismatch by every solver: the traces are those of the factor, to the solver's tolerance."""

import numpy as np
import polars as pl
import pytest
from audits.mismatch.test_audit import patients

import dataaudit
from dataaudit.errors import SettingError, SolveError

QUIET = {"label": "y", "prove": 0, "verify": 0}


def table():
    return patients(300, 0, children=5, ill=4), patients(200, 1, children=20, ill=0)


def several(words):
    random = np.random.default_rng(0)
    x = random.normal(size=(400, 2))
    y = np.array(list("abc"))[(x @ random.normal(size=(2, 3)) + random.gumbel(size=(400, 3))).argmax(1)]
    frame = pl.DataFrame({"u": x[:, 0], "v": x[:, 1], "y": y})
    return frame[:250], frame[250:]


def texts(words):
    return words.frame[:200].drop("id"), words.frame[200:].drop("id")


@pytest.mark.parametrize("kind", ["table", "several classes", "text"])
def test_traces_are_those_of_the_factor(kind, words):
    train, test = {"table": lambda _: table(), "several classes": several, "text": texts}[kind](words)
    asked = QUIET | {"l2": 0.01, "damping": 0.02}
    found = {name: dataaudit.audit_mismatch(train, test, solver=name, **asked) for name in
             ("cholesky", "dual", "cg", "arnoldi", "lissa")}  # fmt: skip
    keys = ["test_row_id", "train_row_id"]
    truth = found["cholesky"].traces
    assert truth.height > 20
    for name, near in (("dual", 1e-9), ("cg", 1e-6), ("arnoldi", 0.2), ("lissa", 0.5)):
        audit = found[name]
        both = truth.join(audit.traces, on=keys)
        assert both.height > 0.7 * truth.height
        a, b = both["influence"].to_numpy(), both["influence_right"].to_numpy()
        assert np.linalg.norm(a - b) <= near * np.linalg.norm(a), name
        provenance = audit.tables.provenance
        assert provenance.solver == name
        assert provenance.settings["damping"] == 0.02
        assert "damping 0.02 is added to the Hessian" in provenance.solver_reason
        assert any("Damping 0.02" in note for note in provenance.notes)
        assert any(f"by {name} are estimates" in note for note in provenance.notes) == (
            name in ("cg", "arnoldi", "lissa")
        )
        same = audit.tables.harmful.select("train_row_id", "self_influence").join(
            found["cholesky"].tables.harmful.select("train_row_id", "self_influence"), on="train_row_id"
        )
        np.testing.assert_allclose(same["self_influence"], same["self_influence_right"], rtol=1e-6)


def test_a_residual_that_is_large_is_said():
    train, test = table()
    audit = dataaudit.audit_mismatch(train, test, solver="lissa", l2=0.01, damping=0.02, **QUIET)
    check = audit.tables.health.row(by_predicate=pl.col("check") == "solver residual", named=True)
    assert not check["ok"]
    assert 1e-8 < check["value"] < 1
    assert check["message"].startswith("The lissa solver inverts the Hessian with damping 0.02 to a relative")
    assert ", so influences are estimates. That is rough: single influences may be off" in check["message"]
    notes = audit.tables.provenance.notes
    assert any("by lissa are estimates" in note and "Use cholesky or cg" in note for note in notes)


def test_lissa_that_has_not_converged_is_refused(words):
    train, test = texts(words)
    with pytest.raises(
        SolveError, match=r"residual of [\d.]+, that .* Hint: raise the damping, use another solver"
    ):
        dataaudit.audit_mismatch(train, test, solver="lissa", l2=1e-7, **QUIET)


def test_labels_take_a_factor_and_damping():
    train, _ = table()
    labels = {
        name: dataaudit.audit_labels(
            train, label="y", basis="linear", l2=0.01, verify=0, top=0, solver=name, damping=0.02
        )
        for name in ("cholesky", "dual")
    }
    one, other = (audit.labels.sort("row_id")["self_influence"].to_numpy() for audit in labels.values())
    np.testing.assert_allclose(one, other, rtol=1e-8)
    plain = dataaudit.audit_labels(train, label="y", basis="linear", l2=0.01, verify=0, top=0)
    assert (one < plain.labels.sort("row_id")["self_influence"].to_numpy()).all()
    with pytest.raises(SettingError, match=r"'lissa' has no leave-one-out .*use one of auto, cholesky, dual"):
        dataaudit.audit_labels(train, label="y", solver="lissa")
    with pytest.raises(SettingError, match="did you mean 'dual'"):
        dataaudit.audit_labels(train, label="y", solver="daul")
