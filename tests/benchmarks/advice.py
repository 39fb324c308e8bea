"""The advice of the first finding, carried out by scikit-learn, which knows of the audit only its tables.

What is done is read from words: from ``fix``, ``columns`` and ``levels`` of the finding and from ``detail``
of the fix that is worth most, as a person would.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import polars as pl
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

Fact = dict[str, Any]
Frames = tuple[pl.DataFrame, pl.DataFrame]
NUMBER = r"[-+]?[\d,]*\.?\d+(?:e[-+]?\d+)?"


def errors_by_advice(train: pl.DataFrame, test: pl.DataFrame, tables: Any, one: Fact) -> str:
    """Return the errors of an independent model before and after the advice of the first finding."""
    if tables.findings.is_empty():
        return "none"
    train, test = (side.drop(one.get("exclude", [])) for side in (train, test))
    row = tables.findings.row(0, named=True)
    detail = tables.fixes.filter(pl.col("best") & (pl.col("finding") == 1))["detail"][0]
    before = errors(train, test, one)
    try:
        after = carried_out(train, test, (row, detail), one)
    except NotImplementedError as error:
        return f"not carried out: {error}"
    return f"{before} → {after} by {row['fix']}"


def errors(train: pl.DataFrame, test: pl.DataFrame, one: Fact, weight: Any = None) -> int:
    """Fit and count the mispredicted rows."""
    return int((predicted(train, test, one, weight) != test[one["label"]].to_numpy()).sum())


def predicted(train: pl.DataFrame, test: pl.DataFrame, one: Fact, weight: Any = None) -> Any:
    """Fit a logistic regression with C = 1, and predict."""
    label, text = one["label"], one.get("text")
    columns = [name for name in train.columns if name != label and name in test.columns and name != text]
    dated = [name for name in columns if train[name].dtype.is_temporal()]
    train, test = (side.with_columns(pl.col(dated).to_physical().cast(pl.Float64)) for side in (train, test))
    numeric = [name for name in columns if train[name].dtype.is_numeric()]
    levels = [name for name in columns if name not in numeric]
    numbers = make_pipeline(SimpleImputer(add_indicator=True, strategy="median"), StandardScaler())
    parts = [("numbers", numbers, numeric)] if numeric else []
    parts += [("levels", OneHotEncoder(handle_unknown="ignore", min_frequency=2), levels)] if levels else []
    parts += [("words", TfidfVectorizer(min_df=2, sublinear_tf=True), text)] if text else []
    model = make_pipeline(ColumnTransformer(parts), LogisticRegression(max_iter=3000))
    sides = [
        side.with_columns(
            pl.col(levels).cast(pl.String).fill_null("?"), pl.col(numeric).cast(pl.Float64, strict=False)
        ).to_pandas()
        for side in (train, test)
    ]
    model.fit(sides[0], train[label].to_numpy(), logisticregression__sample_weight=weight)
    return model.predict(sides[1])


def carried_out(train: pl.DataFrame, test: pl.DataFrame, found: tuple[Fact, str], one: Fact) -> int:
    """Do what the finding says, and count the errors."""
    (row, detail), label = found, one["label"]
    columns = row["columns"]
    match row["fix"]:
        case "exchange":
            names = dict(zip(columns, [*columns[1:], columns[0]], strict=True))
            return errors(train, test.rename(names).select(test.columns), one)
        case "scale" | "fill" | "set missing" | "draw" | "rename" | "rank":
            return errors(train, mended(train, test, found, one), one)
        case "leave out column":
            return errors(train.drop(columns), test.drop(columns), one)
        case "remove":
            return errors(train.filter(~meant(train, test, found, one)), test, one)
        case "relabel":
            at = meant(train, test, found, one)
            return errors(train.with_columns(pl.when(at).then(other(train, test, detail, one)).otherwise(label).alias(label)), test, one)  # fmt: skip  # noqa: E501
        case "reweigh" | "offset" if row["kind"] == "rates":
            share = [dict(side[label].value_counts(normalize=True).iter_rows()) for side in (train, test)]
            return errors(train, test, one, [share[1].get(y, 0.0) / share[0][y] for y in train[label]])
        case "offset":  # train on rows that are labelled as these: one half of them, the other one is judged
            inside = mask(test, row, one, train)
            wrong = predicted(train, test, one) != test[label].to_numpy()
            half = np.random.default_rng(0).random(test.height) < 0.5
            for some in (half, ~half):
                more = pl.concat([train, test.filter(inside & some)], how="vertical_relaxed")
                there = inside & ~some
                new = predicted(more, test, one) != test[label].to_numpy()
                wrong[there] = new[there]
            return int(wrong.sum())
    raise NotImplementedError(row["fix"])


def mended(train: pl.DataFrame, test: pl.DataFrame, found: tuple[Fact, str], one: Fact) -> pl.DataFrame:
    """Return the test rows with other cells in a column."""
    (row, detail), random = found, np.random.default_rng(1)
    name = row["columns"][0]
    old, known = test[name], train[name]
    drawn = known.drop_nulls() if known.null_count() < len(known) else known
    cells = drawn[random.integers(0, len(drawn), len(old)).tolist()]
    if row["fix"] == "rename":
        pairs = re.findall(r"“(.*?)” to “(.*?)”", detail)
        return test.with_columns(old.cast(pl.String).replace(dict(pairs)).cast(known.dtype, strict=False))
    if row["fix"] == "rank":
        ranks = (old.rank("average").cast(pl.Float64) - 0.5) / max(1, old.count())
        to = np.nanquantile(known.cast(pl.Float64).to_numpy(), ranks.fill_null(0.5).to_numpy())
        return test.with_columns(pl.Series(name, to).set(old.is_null(), None))
    said = detail.partition("of the test rows ")[2]
    at = re.search(r"where it is (.*)", said)
    there = pl.Series([True] * len(old))
    if at and at[1] != "missing":
        values = at[1].strip("“”")
        numeric = old.dtype.is_numeric()
        there = (
            (old.cast(pl.Float64) == float(values.replace(",", "")))
            if numeric
            else (old.cast(pl.String) == values)
        )
    elif at:
        there = old.is_null()
    elif "training never has" in said:
        there = ~old.is_in(known.unique().implode())
    there = there.fill_null(value=False)
    match row["fix"]:
        case "set missing":
            return test.with_columns(
                old.to_frame().select(pl.when(~there).then(pl.col(name)).alias(name))[name]
            )
        case "draw":
            return test.with_columns(cells.zip_with(there, old.cast(known.dtype, strict=False)).alias(name))
        case "fill":
            value = re.match(r"set to “?([^,”]*)", said) or re.match(r"“?(.*?)”? where", said)
            if value is None:
                raise NotImplementedError(detail)
            filled = pl.Series([value[1]] * len(old)).cast(known.dtype, strict=False)
            return test.with_columns(filled.zip_with(there, old.cast(known.dtype, strict=False)).alias(name))
    return test.with_columns(scaled(old.cast(pl.Float64), said).alias(name))


def scaled(values: pl.Series, said: str) -> pl.Series:
    """Undo a change of scale that is said in words."""
    if said.startswith("with the other sign"):
        return -values
    for words, sign in (("less", -1.0), ("plus", 1.0)):
        if found := re.search(rf"\b{words} ({NUMBER})", said):
            values = values + sign * float(found[1].replace(",", ""))
    if found := re.search(rf"taken from ({NUMBER})", said):
        values = float(found[1]) - values
    if found := re.search(rf"divided by ({NUMBER})", said):
        values = values / float(found[1].replace(",", ""))
    elif found := re.search(rf"multiplied by ({NUMBER})", said):
        values = values * float(found[1].replace(",", ""))
    elif "freed of" in said:
        raise NotImplementedError(said)
    return values


def meant(train: pl.DataFrame, test: pl.DataFrame, found: tuple[Fact, str], one: Fact) -> pl.Series:
    """Return which training rows a finding is about."""
    (row, detail), label = found, one["label"]
    if row["kind"] == "copies":
        rest = [name for name in train.columns if name != label and name in test.columns]
        labels = test.group_by(rest).agg(pl.col(label).alias("theirs"))
        both = train.join(labels, on=rest, how="left", nulls_equal=True, maintain_order="left")
        return (
            both.select((pl.col("theirs").list.len() > 0) & ~pl.col(label).is_in("theirs"))
            .to_series()
            .fill_null(value=False)
        )
    if row["kind"] in ("row", "rows"):
        named = [int(re.search(r"(\d+)$", name)[1]) for name in row["train_row_ids"]]  # type: ignore[index]
        return pl.Series(np.isin(np.arange(train.height), named))
    inside = mask(train, row, one, train)
    if of_class := re.search(r"that are “(.*?)”", detail):
        inside &= (train[label].cast(pl.String) == of_class[1]).to_numpy()
    return pl.Series(inside)


def mask(frame: pl.DataFrame, row: Fact, one: Fact, train: pl.DataFrame) -> Any:
    """Return which rows are in the slice of a finding."""
    inside = np.ones(frame.height, dtype=bool)
    for name, level in zip(row["columns"], row["levels"], strict=True):
        inside &= within(frame[name], level, is_text=name == one.get("text"), known=train).to_numpy()
    return inside


def within(column: pl.Series, level: str, *, is_text: bool, known: pl.DataFrame) -> pl.Series:
    """Return which cells a level is said of."""
    if is_text:
        return column.str.to_lowercase().str.contains(rf"\b{re.escape(level)}\b").fill_null(value=False)
    if level == "(missing)":
        return column.is_null()
    if level == "(not in training)":
        return ~column.is_in(known[column.name].unique().implode()).fill_null(value=False)
    found = re.fullmatch(r"([<≥>]) (.+)|\[(.+), (.+)\)", level)
    text = column.cast(pl.String)
    if found is None:
        numeric = column.dtype.is_numeric() and re.fullmatch(NUMBER, level)
        same = (column == float(level)) if numeric else (text == level)
        return same.fill_null(value=False)

    def value(said: str) -> Any:
        return pl.Series([said]).cast(column.dtype)[0] if column.dtype.is_temporal() else float(said)

    if found[1] == "<":
        return (column < value(found[2])).fill_null(value=False)
    if found[1] in ("≥", ">"):
        return (column >= value(found[2]) if found[1] == "≥" else column > value(found[2])).fill_null(
            value=False
        )
    return ((column >= value(found[3])) & (column < value(found[4]))).fill_null(value=False)


def other(train: pl.DataFrame, test: pl.DataFrame, detail: str, one: Fact) -> pl.Expr:
    """Return the labels that training rows get instead."""
    label, classes = pl.col(one["label"]), sorted(train[one["label"]].unique().drop_nulls())
    if "the other way round" in detail:
        return label.replace(dict(zip(classes, classes[::-1], strict=True)))
    if "as the test rows are" in detail:
        rest = [name for name in train.columns if name != one["label"] and name in test.columns]
        theirs = test.group_by(rest).agg(pl.col(one["label"]).mode().first().alias("theirs"))
        joined = train.join(theirs, on=rest, how="left", nulls_equal=True, maintain_order="left")["theirs"]
        return pl.lit(joined)
    if pairs := re.findall(r"“(.*?)” as “(.*?)”", detail):
        return label.replace(dict(pairs))
    if new := re.search(r"labelled “(.*?)”$", detail):
        return pl.lit(new[1]).cast(train[one["label"]].dtype)
    raise NotImplementedError(detail)
