"""Columns of a table to features of a model: roles, encoders, and the basis of the numeric block."""

from __future__ import annotations

from dataaudit.encode.encoding import Encoding, fit_encoding
from dataaudit.encode.feature import Columns, EncoderSettings, Feature, Role

__all__ = ["Columns", "EncoderSettings", "Encoding", "Feature", "Role", "fit_encoding"]
