"""Columns of a table to features of a model: roles, encoders, and the basis of the numeric block."""

from __future__ import annotations

from dataaudit.features.basis import Basis, BasisSettings, fit_basis
from dataaudit.features.columns import AnyColumns, Columns, Feature, Role
from dataaudit.features.encoding import Encoding, fit_encoding
from dataaudit.options import EncoderOptions

__all__ = [
    "AnyColumns",
    "Basis",
    "BasisSettings",
    "Columns",
    "EncoderOptions",
    "Encoding",
    "Feature",
    "Role",
    "fit_basis",
    "fit_encoding",
]
