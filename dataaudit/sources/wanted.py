"""Which columns are wanted of a source, and how a name from outside is shown on one line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dataaudit.errors import MissingColumn, SettingError

_SHOWN = 300  # characters of a name in a message: enough for any path, too few to flood a terminal


@dataclass(frozen=True, slots=True)
class Wanted:
    """The columns to read.

    Attributes
    ----------
    target : str
        Label column; empty for a table without one.
    columns : tuple of str or None
        Feature columns; None for all but `exclude`.
    exclude : tuple of str
        Columns to leave out.
    id_column : str or None
        Column that names the rows.
    """

    target: str
    columns: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    id_column: str | None = None

    def __post_init__(self) -> None:
        """Refuse a target that is also something else."""
        if self.target in self.exclude:
            raise SettingError(f"column {self.target!r} is both the label and excluded", "name it once")
        if self.target and self.target == self.id_column:
            raise SettingError(f"column {self.target!r} is both the label and the id", "name two columns")

    def choose(self, names: Sequence[str], where: str) -> list[str]:
        """Return the wanted ones of `names`, in their order, the id column included.

        Parameters
        ----------
        names : sequence of str
            Columns that the source has.
        where : str
            The source, for the message.

        Returns
        -------
        list of str
            Columns to read.

        Raises
        ------
        MissingColumn
            If the target, the id column or one of `columns` is not there.
        """
        have = set(names)
        must = [name for name in (self.target, self.id_column, *(self.columns or ())) if name]
        for name in must:
            if name not in have:
                raise MissingColumn(name, names, where)
        free = have - set(self.exclude) if self.columns is None else set()
        take = free.union(must)
        return [name for name in names if name in take]

    def check_excluded(self, names: Iterable[str], where: str) -> None:
        """Raise MissingColumn for a name in `exclude` that no file has.

        Parameters
        ----------
        names : iterable of str
            Columns of all files together: one that only some files have may be excluded.
        where : str
            The source, for the message.

        Raises
        ------
        MissingColumn
            If a column to exclude is nowhere.
        """
        known = list(dict.fromkeys(names))
        for name in self.exclude:
            if name not in known:
                raise MissingColumn(name, known, where)


def shown(name: str) -> str:
    """Return `name` with everything unprintable escaped, so that it can stand in one line and in UTF-8.

    Parameters
    ----------
    name : str
        A path or other text from outside; may hold newlines, escape codes or undecodable bytes.

    Returns
    -------
    str
        Printable, at most a few hundred characters.
    """
    safe = "".join(c if c.isprintable() else repr(c)[1:-1] for c in name)
    return safe if len(safe) <= _SHOWN else safe[:_SHOWN] + "…"
