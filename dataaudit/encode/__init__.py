"""Columns of a table to features of a model: roles, encoders, and the basis of the numeric block."""

from __future__ import annotations

from dataaudit.encode.basis import Basis, BasisSettings, fit_basis
from dataaudit.encode.encoding import Encoding, fit_encoding
from dataaudit.encode.feature import Columns, EncoderSettings, Feature, Role

__all__ = [
    "Basis",
    "BasisSettings",
    "Columns",
    "EncoderSettings",
    "Encoding",
    "Feature",
    "Role",
    "fit_basis",
    "fit_encoding",
]
