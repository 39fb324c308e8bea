"""What each column is used as, decided from its type and its values, with a reason that a person understands.

The order of the questions is the order of ``_infer``: whether there is anything to learn from (missing,
constant), what the user said, then the type, and for integers and strings what they look like.

A column that numbers the rows says where a row stands in the file, and in a file sorted by label that is the
label: whole numbers, all different, that rise (or fall) in no more stretches than there are classes. A sorted
quantity, like incomes or points in time, does so too; it is known by numbers so far apart that chance alone
makes them differ, in steps that vary more than those of a sample of row numbers do.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataaudit.errors import EncodeError, MissingColumn, SettingError
from dataaudit.features.columns import Role, RoleName, counted, values_of
from dataaudit.features.numeric import ISO_DATE
from dataaudit.features.text import EMOJI, UNSPACED
from dataaudit.features.vector import cell_length, is_number
from dataaudit.options import EncoderOptions

MOSTLY = 0.5  # share of different values that makes long strings text, and a column named "id" an identifier
NEARLY_ALL = 0.95  # share of different values that makes short strings an identifier
FEW = 20  # with fewer rows, "all values differ" says nothing
WORDS_OF_TEXT = 4.0  # mean number of words from which strings are free text
STRETCH = 10  # rows in a rising stretch, at least on average; stretches of random numbers have two
CROWDED = 10  # n² / range from which on n random numbers hardly all differ: expect five pairs of equal ones
EVEN = 1.5  # spread of the steps by their mean; 1 for a random sample of row numbers
NOT_NUMBERS = 3  # different strings ("?", "NA") that may stand between numbers
_CAMEL_NAME = re.compile(r"[a-z](Id|ID|Nr|Key|UUID)$")
_WORD_NAME = re.compile(r"(?:^|[\s_.\-])(?:ids?|uuid|guid|nr|nbr|key|rowid)$|^(?:index|idx)$", re.IGNORECASE)
_INDEX_NAME = re.compile(r"Unnamed: \d+(?:\.\d+)*|__index_level_\d+__")  # of pandas
_NAMELESS = "column_1"  # what we call a first column without a name, as pandas writes its index into CSV
_CODE_NAME = re.compile(r"(?:^|[\s_.\-])(?:ids?|codes?|cd|key)$", re.IGNORECASE)
_CAMEL_CODE = re.compile(r"[a-z](Id|ID|Code|Key)$")
_SAMPLE = 1_000  # strings whose words are counted
# A word is two characters of Chinese, four of the other scripts without spaces, an emoji, or what is between
# blanks: good enough to tell a text from a name.
_WORD = (
    rf"\p{{Han}}{{1,2}}|[{UNSPACED}--\p{{Han}}][{UNSPACED}\p{{M}}--\p{{Han}}]{{0,3}}|[{EMOJI}]"
    rf"|[^\s{UNSPACED}{EMOJI}]+"
)
_CLOCK = (946_684_800, 4_102_444_800)  # seconds of the years 2000 to 2100
_DAYS = (19_000_101, 21_001_231)
_IDENTIFIER, _COUNTER = "an identifier", "it counts the rows"
BITS = 80.0  # that no two rows say alike by chance
WORDS = 5  # of a text that nobody writes twice by chance
EXCLUDED = "you excluded it"
NOT_NAMED = "not among the features that you named"
NAMES_GROUPS = "it names the groups"


@dataclass(frozen=True, slots=True)
class _Look:
    """What is asked of a column more than once."""

    series: pl.Series  # null where missing: NaN and the empty string too
    name: str
    n: int
    missing: int
    distinct: int  # different values, without missing

    @property
    def present(self) -> int:
        return self.n - self.missing

    @property
    def share(self) -> float:
        return self.distinct / max(self.present, 1)


def infer_roles(frame: pl.DataFrame, target: str, *, settings: EncoderOptions) -> tuple[Role, ...]:
    """Decide what every column but the target is used as."""
    named = {*settings.text, *settings.categorical, *settings.features}
    for column in (*settings.text, *settings.categorical, *settings.features):
        if column not in frame.columns:
            raise MissingColumn(column, [name for name in frame.columns if name != target], "the table")
        if column == target:
            raise SettingError(f"column {column!r} is the label, so no feature", "name other columns")
    classes = _classes(frame, target)
    roles = []
    for column in frame.columns:
        if column == target:
            continue
        if column == settings.group and column not in named:
            roles.append(Role(column, "left out", NAMES_GROUPS))
        elif column in settings.exclude:
            roles.append(Role(column, "left out", EXCLUDED))
        elif settings.features and column not in named:
            roles.append(Role(column, "left out", NOT_NAMED))
        else:
            role, reason = _infer(column, values_of(frame, column), settings, classes)
            roles.append(Role(column, role, reason))
    return tuple(roles)


def _classes(frame: pl.DataFrame, target: str) -> int:
    """Return the number of classes; 1 where they are not known."""
    labels = values_of(frame, target) if target in frame.columns else pl.Series([0])
    return 1 if labels.dtype.is_nested() or labels.dtype == pl.Object else labels.n_unique()


def _infer(name: str, series: pl.Series, settings: EncoderOptions, classes: int) -> tuple[RoleName, str]:
    dtype = series.dtype
    if series.null_count() == len(series):
        return "left out", "every value is missing"
    if dtype.is_nested() or dtype in (pl.Binary, pl.Object, pl.Unknown):
        return _infer_other(name, series, settings)
    look = _look(name, series)
    if look.present == 0:
        return "left out", "every value is missing"
    if look.distinct == 1 and look.missing == 0:
        return "left out", "the same value in every row"
    if name in settings.text:
        if dtype not in (pl.String, pl.Categorical, pl.Enum):
            raise EncodeError(f"column {name!r} is {dtype}, not text", "name a column of strings as text")
        return "text", "you named it as text"
    if name in settings.categorical:
        return "categorical", f"you named it as categorical; {_values(look)}"
    forced = name in settings.features
    if dtype == pl.Boolean:
        return "boolean", "true or false"
    if dtype.is_temporal():
        return "datetime", f"its type is {dtype}"
    if dtype.is_numeric():
        return _infer_number(look, forced=forced, classes=classes)
    if dtype != pl.String:
        return "categorical", f"its type is {dtype.base_type()}; {_values(look)}"
    return _infer_string(look, forced=forced, classes=classes)


def names_rows(role: Role) -> bool:
    """Tell whether a column was left out because it names or counts rows and says nothing of them."""
    return role.role == "left out" and role.reason.startswith((_IDENTIFIER, _COUNTER))


def _infer_other(name: str, series: pl.Series, settings: EncoderOptions) -> tuple[RoleName, str]:
    dtype = series.dtype
    if name in settings.text or name in settings.categorical:
        raise EncodeError(
            f"column {name!r} is {dtype}, not text or categories", f"leave {name!r} to be inferred"
        )
    if isinstance(dtype, pl.List | pl.Array):
        width = cell_length(series)
        if width is not None and width > 0:
            return "vector", f"every cell has {width:,} numbers"
        if width == 0:
            reason = "every cell is an empty list"
        elif isinstance(dtype, pl.List) and is_number(dtype.inner):
            lengths = series.list.len().drop_nulls()
            shortest, longest = int(lengths.min()), int(lengths.max())  # type: ignore[arg-type]
            reason = f"lists of {shortest} to {longest} numbers, and a vector needs one length"
        else:
            reason = f"a {dtype}: only lists of numbers can be used"
    elif isinstance(dtype, pl.Struct):
        reason = "a struct: unnest it to use its fields"
    else:
        reason = f"values of type {dtype.base_type()} have no encoding"
    if name in settings.features:
        raise EncodeError(f"column {name!r} cannot be used: {reason}", f"leave {name!r} out")
    return "left out", reason


def _infer_number(look: _Look, *, forced: bool, classes: int) -> tuple[RoleName, str]:
    series = look.series
    if look.distinct == 1:
        return "numeric", f"{series.drop_nulls()[0]} or missing: what counts is whether it is missing"
    if series.dtype.is_integer() and look.distinct == 2:  # noqa: PLR2004 - two values
        low, high = series.drop_nulls().unique().sort().to_list()
        return "boolean", f"integers with two values: {low} and {high}"
    if not forced and _whole(series) and (reason := _row_numbers(look, series, classes)):
        return "left out", reason
    if _whole(series) and _codes(look):
        return "categorical", f"codes, as its name says; {_values(look)}"
    return "numeric", f"numbers; {_values(look)}"


def _infer_string(look: _Look, *, forced: bool, classes: int) -> tuple[RoleName, str]:
    words = look.series.drop_nulls().unique(maintain_order=True)
    if look.distinct > 1:
        odd = _not_numbers(look, words)
        if odd is not None:
            numbers = look.series.str.strip_chars().cast(pl.Float64, strict=False)
            if not forced and (reason := _row_numbers(look, numbers, classes)):
                return "left out", reason
            if _codes(look):
                return "categorical", f"codes, as its name says; {_values(look)}"
            but = f", but for {', '.join(map(repr, odd))}" if odd else ""
            return "numeric", f"strings that are numbers{but}"
        if words.str.contains(ISO_DATE).all():
            return "datetime", "strings that are ISO dates"
    length = _mean_words(words)
    if length >= WORDS_OF_TEXT and look.share >= MOSTLY:
        return "text", f"{length:.0f} words a row, {look.share:.0%} of the texts different"
    if not forced:
        if look.present >= FEW and look.share >= NEARLY_ALL:
            return "left out", _identifier(look, "short strings")
        if _names_rows(look):
            return "left out", _identifier(look, "named like an identifier")
    return "categorical", _values(look)


def _look(name: str, series: pl.Series) -> _Look:
    if series.dtype.is_float():
        clean = series.set(~series.is_finite().fill_null(value=True), None)
    elif series.dtype in (pl.String, pl.Categorical, pl.Enum):
        text = series.cast(pl.String)
        clean = text.set((text == "").fill_null(value=False), None)
    else:
        clean = series
    missing = clean.null_count()
    return _Look(clean, name, len(series), missing, clean.n_unique() - (missing > 0))


def _names_rows(look: _Look) -> bool:
    if not (_WORD_NAME.search(look.name) or _CAMEL_NAME.search(look.name)):
        return False
    return look.share == 1.0 or (look.present >= FEW and look.share >= MOSTLY)


def _codes(look: _Look) -> bool:
    """Return whether numbers are names by the name of their column, and recur: 3 is no more than 1 there."""
    named = _CODE_NAME.search(look.name) or _CAMEL_CODE.search(look.name)
    return bool(named) and look.present >= FEW and look.share < MOSTLY


def _whole(series: pl.Series) -> bool:
    return series.dtype.is_integer() or bool((series == series.floor()).all())


def _row_numbers(look: _Look, numbers: pl.Series, classes: int) -> str:
    """Say how a column names or counts the rows; nothing if it does neither."""
    if look.present >= FEW and look.share == 1.0 and _whole(numbers):
        values = numbers.drop_nulls()
        values = values.cast(pl.Int128 if values.dtype.is_integer() else pl.Float64)
        if counts := _counts(values, classes):
            return counts
        if _INDEX_NAME.fullmatch(look.name) or (look.name == _NAMELESS and _crowded(values)):
            return _identifier(look, "named like the index of a data frame")
    return _identifier(look, "named like an identifier") if _names_rows(look) else ""


def _counts(values: pl.Series, classes: int) -> str:
    """Say how whole numbers, all different, count the rows; nothing if they do not."""
    steps, n = values.diff().drop_nulls().cast(pl.Float64), len(values)
    stretches = min(int((steps < 0).sum()), int((steps > 0).sum())) + 1
    if stretches > max(1, min(classes, n // STRETCH)) or _are_days(values):
        return ""
    first, last = int(values[0]), int(values[-1])
    if (steps.abs() == 1).all():
        return f"{_COUNTER} from {first} to {last}"
    if not _crowded(values):
        gaps = values.sort().diff().drop_nulls().cast(pl.Float64).to_numpy()
        if _are_times(values) or gaps.std() > EVEN * gaps.mean():
            return ""
    where = f" from {first} to {last}" if stretches == 1 else f" in {stretches} sorted stretches"
    return f"{_COUNTER}{where}, with gaps"


def _crowded(values: pl.Series) -> bool:
    """Whether whole numbers are so near each other that drawn at random some would be equal."""
    return CROWDED * (int(values.max()) - int(values.min())) <= len(values) ** 2  # type: ignore[arg-type]


def _are_times(values: pl.Series) -> bool:
    """Whether whole numbers are seconds since 1970, or a unit below them, by their size."""
    low, high = int(values.min()), int(values.max())  # type: ignore[arg-type]
    return any(_CLOCK[0] * unit <= low and high <= _CLOCK[1] * unit for unit in (1, 10**3, 10**6, 10**9))


def _are_days(values: pl.Series) -> bool:
    """Whether whole numbers are days like 20240131."""
    values = values.cast(pl.Float64)
    day, month = values % 100, values // 100 % 100
    return bool(
        values.is_between(*_DAYS).all() and day.is_between(1, 31).all() and month.is_between(1, 12).all()
    )


def _not_numbers(look: _Look, words: pl.Series) -> list[str] | None:
    """Return the few strings that are no numbers, or None if the column is not one of numbers.

    Codes stay categories: "0123" (a leading zero), and diagnoses with V57 and E905 among numbers.
    """
    # A look at the first thousand spares the parsing of long texts.
    parsed = words.head(_SAMPLE).str.strip_chars().cast(pl.Float64, strict=False)
    if parsed.null_count() > NOT_NUMBERS:
        return None
    stripped = words.str.strip_chars()
    parsed = stripped.cast(pl.Float64, strict=False)
    odd = words.filter(parsed.is_null())
    if len(odd) > NOT_NUMBERS or parsed.drop_nulls().n_unique() <= len(odd):
        return None
    if stripped.str.contains(r"^[+-]?0\d").any():
        return None
    rows = look.series.is_in(odd.to_list()).sum()
    return sorted(odd.to_list()) if rows <= look.present * (1.0 - MOSTLY) else None


def count_words(text: pl.Series) -> pl.Series:
    """Count the words of texts, in scripts without spaces by their usual length; an emoji is two."""
    return text.str.count_matches(_WORD) + text.str.count_matches(rf"[{EMOJI}]")


def _mean_words(words: pl.Series) -> float:
    sample = words.gather_every(max(1, len(words) // _SAMPLE)).head(_SAMPLE)
    return float(count_words(sample).cast(pl.Float64).mean() or 0.0)  # type: ignore[arg-type]


def _values(look: _Look) -> str:
    missing = f", {look.missing:,} missing" if look.missing else ""
    return f"{counted(look.distinct, 'different value')}{missing}"


def _identifier(look: _Look, what: str) -> str:
    return f"{_IDENTIFIER}: {what}, {look.distinct:,} different values in {look.present:,} rows"


def surprise(asked: pl.DataFrame, sample: pl.DataFrame, texts: Collection[str]) -> NDArray[np.float64]:
    """Return how many bits each of some rows says, by how rare its values are in a sample of all rows."""
    bits = np.zeros(asked.height)  # (m, columns), (s, columns) -> (m,)
    for name in asked.columns:
        if name in texts:
            words = count_words(asked[name].cast(pl.String)).fill_null(0)
            bits += np.where(words.to_numpy() >= WORDS, BITS, 0.0)
        elif not asked.schema[name].is_nested():
            bits += _bits(asked[name], sample[name])
    return bits


def _bits(asked: pl.Series, sample: pl.Series) -> NDArray[np.float64]:
    """Return −log₂ of the share of each value in a sample, at most that of one not in it."""
    counts = sample.alias("value").value_counts(name="count")
    values = asked.alias("value").to_frame()
    met = values.join(counts, on="value", how="left", nulls_equal=True, maintain_order="left")
    share = met["count"].fill_null(1).cast(pl.Float64).to_numpy() / max(len(sample), 1)
    bits: NDArray[np.float64] = -np.log2(np.clip(share, 1e-12, 1.0))
    return bits
