"""When two cells say the same, or almost: forms that are equal then, whatever type holds the cells."""

from __future__ import annotations

from typing import Final

import polars as pl

FIGURES: Final = 3  # of a number with decimals


def hashable(name: str, dtype: pl.DataType) -> pl.Expr:
    """Return cells whose hash is that of what they say, whatever the type that holds them."""
    cell = pl.col(name)
    if dtype.is_float():
        return cell.cast(pl.Float64).fill_nan(None)
    if dtype.is_decimal():
        return cell.cast(pl.Float64)
    if isinstance(dtype, pl.Categorical | pl.Enum):
        return cell.cast(pl.String)
    return cell


def normal_form(name: str, dtype: pl.DataType, *, text: bool) -> pl.Expr:
    """Return what almost equal cells have in common.

    Parameters
    ----------
    name : str
        The column.
    dtype : pl.DataType
        Its type.
    text : bool
        Whether it holds running text.

    Returns
    -------
    pl.Expr
        Texts without case and punctuation and with one digit for all; names without case; numbers with
        decimals by three figures.
    """
    cell = hashable(name, dtype)
    if text:
        bare = cell.cast(pl.String).str.to_lowercase().str.replace_all(r"[\d]+", "0")
        return bare.str.replace_all(r"[^\p{L}\p{N}]+", " ").str.strip_chars()
    if isinstance(dtype, pl.String | pl.Categorical | pl.Enum):
        return cell.str.strip_chars().str.to_lowercase()
    return cell.round_sig_figs(FIGURES) if dtype.is_float() else cell
