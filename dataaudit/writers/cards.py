"""One row of the review list as the page shows it: everything a string, cut to length, safe to print."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup, escape

from dataaudit.escape import block, line
from dataaudit.report import words
from dataaudit.summary import Cell, Neighbour, ReviewRow, Term, excerpt


@dataclass(frozen=True, slots=True)
class Detail:
    """How much of a row is shown: characters of its line, text and neighbours, and numbers of each."""

    line: int = 110
    text: int = 600
    near: int = 140
    terms: int = 6
    neighbours: int = 3
    columns: int = 40


FULL: Final = Detail()


@dataclass(frozen=True, slots=True)
class Near:
    """A nearest row."""

    row_id: str
    label: str
    similarity: str
    excerpt: str
    picture: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A row to look at, in words."""

    rank: int
    row_id: str
    label: str
    suggested: str
    wrong: str
    tone: str
    loss: str
    begin: str
    short: str
    sentences: tuple[str, ...]
    picture: str
    text: Markup | None
    columns: tuple[tuple[str, Markup], ...]
    more_columns: int
    against: tuple[tuple[str, str], ...]
    support: tuple[tuple[str, str], ...]
    other: tuple[Near, ...]
    same: tuple[Near, ...]
    sort_loss: str
    sort_self: int


_LIKELY: Final = 0.5
_BEGIN: Final = 220  # characters
_AGAINST: Final = Markup("<mark>{}</mark>")
_PICTURE: Final = Markup('<img class="px" src="{}" alt="{}" width="{}" height="{}">')
_LARGE, _SMALL = 112, 56  # of pictures, on the page
_FOR: Final = Markup("<em>{}</em>")


def card(row: ReviewRow, detail: Detail = FULL) -> Card:
    """Return the card of a row.

    Parameters
    ----------
    row : ReviewRow
    detail : Detail
        What is cut.

    Returns
    -------
    Card
    """
    single, begin = len(row.cells) == 1, excerpt(row.cells)
    marks = marker(row.evidence)
    cells = [(line(c.column, 80), picture_or_text(c, detail.text, marks)) for c in row.cells]
    near = {same: [n for n in row.neighbours if n.same_label == same] for same in (False, True)}
    return Card(
        rank=row.rank,
        row_id=line(row.row_id, 160),
        label=line(row.label, 60),
        suggested=line(row.suggested_label, 60),
        wrong=words.share(row.p_wrong),
        tone="p" if row.p_wrong is not None and row.p_wrong >= _LIKELY else "p lo",
        loss=words.fixed(row.loo_loss),
        begin=line(begin, _BEGIN),
        short=line(begin, detail.line),
        sentences=_sentences(row),
        picture=row.picture,
        text=cells[0][1] if single else None,
        columns=() if single else tuple(cells[: detail.columns]),
        more_columns=0 if single else max(0, len(cells) - detail.columns),
        against=_terms([t for t in row.evidence if t.contribution < 0], detail),
        support=_terms([t for t in row.evidence if t.contribution > 0], detail),
        other=tuple(_near(n, detail) for n in near[False][: detail.neighbours]),
        same=tuple(_near(n, detail) for n in near[True][: detail.neighbours]),
        sort_loss=f"{row.loo_loss:.4g}" if words.known(row.loo_loss) else "0",
        sort_self=row.rank_self_influence,
    )


def _sentences(row: ReviewRow) -> tuple[str, ...]:
    label, suggested = line(row.label, 60), line(row.suggested_label, 60)
    probability = words.share(row.loo_p_label)
    loss, inside = words.fixed(row.loo_loss), words.fixed(row.train_loss)
    removed, relabelled = _moves(row.delta_loss_if_removed), _moves(row.delta_loss_if_relabelled)
    left_out = f"Left out of training, the row gets “{label}” with probability {probability}: "
    left_out += f"a loss of {loss} nats ({inside} when trained on)."
    change = f"Removing it {removed}; relabelling it “{suggested}” {relabelled}."
    return left_out, change, f"Number {words.count(row.rank_self_influence)} by self-influence."


def _moves(change: float) -> str:
    if not words.known(change):
        return "changes its loss by an unknown amount"
    return f"{'raises' if change >= 0 else 'lowers'} its loss by {words.fixed(abs(change))}"


def _terms(terms: list[Term], detail: Detail) -> tuple[tuple[str, str], ...]:
    return tuple((line(words.term(t), 60), words.signed(t.contribution)) for t in terms[: detail.terms])


def _near(neighbour: Neighbour, detail: Detail) -> Near:
    return Near(
        row_id=line(neighbour.row_id, 160),
        label=line(neighbour.label, 60),
        similarity=words.fixed(neighbour.similarity),
        excerpt=line(neighbour.excerpt, detail.near) if detail.near and not neighbour.picture else "",
        picture=neighbour.picture,
    )


Marker = tuple[re.Pattern[str] | None, dict[str, Markup]]
PLAIN: Final[Marker] = (None, {})  # marks nothing


def marker(evidence: tuple[Term, ...]) -> Marker:
    """Find the words of a text that are evidence, the longest first; a pair may be parted by anything."""
    found = [(t.level.casefold(), t.contribution) for t in evidence if t.role == "text" and t.level]
    tags = {word: _AGAINST if contribution < 0 else _FOR for word, contribution in found}
    if not tags:
        return PLAIN
    parts = (r"\W+".join(map(re.escape, term.split())) for term in sorted(tags, key=len, reverse=True))
    return re.compile(rf"(?<!\w)({'|'.join(parts)})(?!\w)", re.IGNORECASE), tags


def picture_or_text(cell: Cell, length: int, marks: Marker) -> Markup:
    """Return a cell for the page: its text with the evidence marked, or its picture with its size as name."""
    if cell.picture:
        return _PICTURE.format(cell.picture, cell.text, _LARGE, _LARGE)
    return marked(block(cell.text, length), marks)


def begins(text: str, picture: str, *, length: int) -> str:
    """Return how a row begins, cut to length, or its picture with that as name."""
    said = line(text, length)
    return _PICTURE.format(picture, said, _SMALL, _SMALL) if picture else said


def marked(text: str, marker: Marker) -> Markup:
    """Return the text with its evidence marked; everything else is escaped."""
    pattern, tags = marker
    if pattern is None:
        return escape(text)
    pieces = []
    for at, piece in enumerate(pattern.split(text)):  # odd pieces are the matches
        tag = tags.get(" ".join(re.split(r"\W+", piece.casefold()))) if at % 2 else None
        pieces.append(tag.format(piece) if tag else escape(piece))
    return Markup("").join(pieces)
