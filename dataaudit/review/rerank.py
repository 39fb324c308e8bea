"""The model that learns from decisions, on a thread of its own: a reviewer never waits for it."""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING

from dataaudit.errors import AuditError
from dataaudit.findings.schemas import Findings
from dataaudit.review.progress import be, meant
from dataaudit.review.session import Review

if TYPE_CHECKING:
    from dataaudit.audits.rerank import Reordered
    from dataaudit.audits.rerun import Opened


Asked = tuple[dict[str, str], frozenset[str]]  # row → its class as decided; rows that were dropped


class Reranker:
    """Orders of the queue, made in the background."""

    def __init__(
        self, findings: Findings, opened: Opened, *, review: Review, batch: int, on_news: Callable[[], None]
    ) -> None:
        self._findings, self._opened, self._batch, self._on_news = findings, opened, batch, on_news
        self._asked: SimpleQueue[Asked] = SimpleQueue()
        self._found: SimpleQueue[Reordered] = SimpleQueue()
        self._known = len(review.decisions)  # decisions that the model has learned from
        if self._known:
            self._asked.put(learned(review))
        self.status = "the model is being trained"
        Thread(target=self._work, daemon=True).start()

    def update(self, review: Review) -> None:
        """Ask for a new order if a batch of decisions is full."""
        number = len(review.decisions)
        if abs(number - self._known) >= self._batch:
            self._known = number
            self._asked.put(learned(review))

    def newest(self, review: Review) -> Review:
        """Return the review in the newest order; itself if there is none."""
        found = None
        while not self._found.empty():
            found = self._found.get()
        if found is None:
            return review
        return review.reordered(found.p_wrong, found.suggested, order=found.order)

    def _work(self) -> None:
        from dataaudit.audits.rerank import reorderer  # noqa: PLC0415 - torch takes a second

        try:
            model = reorderer(self._findings, self._opened, on_step=self._step)
            self._say("")
            while True:
                asked = self._asked.get()
                while not self._asked.empty():
                    asked = self._asked.get()
                self._say("the order is being renewed")
                self._found.put(model.after(*asked))
                number = len(asked[0]) + len(asked[1])
                self._say(f"the order knows {number:,} {be(number, 'decision', 'decisions')}")
        except AuditError as error:
            self._say(f"the order stays as it is: {error}")
        except Exception as error:  # noqa: BLE001 - a traceback would be written over the screen
            self._say(f"the order stays as it is: {type(error).__name__}: {error}")

    def _step(self, stage: str, done: int, total: int) -> None:
        self._say(f"the model is being trained: {stage} {f'{done}/{total}' if total > 1 else ''}".rstrip())

    def _say(self, status: str) -> None:
        if status != self.status:
            self.status = status
            self._on_news()


def learned(review: Review) -> Asked:
    """Return what a review teaches: classes that were given or kept, and rows that were dropped."""
    queue, labels, dropped = review.queue, dict[str, str](), list[str]()
    for name, decision in review.decisions.items():
        act = meant(queue, decision)
        if act == "drop":
            dropped.append(name)
        elif act == "keep" or decision.label is not None:
            labels[name] = decision.label or queue.labels[queue.places[name]]
    return labels, frozenset(dropped)
