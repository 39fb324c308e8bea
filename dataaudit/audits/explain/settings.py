"""What is asked of an explanation, and whether it makes sense."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, cast

from dataaudit.audits.explain.flip import Question, parse_question
from dataaudit.audits.testset import MismatchSettings
from dataaudit.errors import SettingError
from dataaudit.features import EncoderSettings
from dataaudit.training.encoded import LabelSettings, ModelName, require_model
from dataaudit.training.required import require_text, require_whole

TOP = 10


@dataclass(frozen=True)
class ExplainSettings:
    """Everything that can be asked of an explanation.

    Attributes
    ----------
    label : str
        The label column; the test rows may lack it.
    row : int or None
        0-based record number of the test row in its file.
    row_id : str or None
        Its name; this or its number must be given.
    id_column : str or None
        A column of unique names for the rows.
    columns : EncoderSettings
        Roles of columns.
    basis : {"linear", "auto", "spline", "rbf"}
        Basis of the numeric block. Linear unless asked: its effects are read off column by column.
    l2 : float or None
        λ; None lets the leave-one-out loss choose.
    split_column : str or None
        In one source: the column that says ``train`` for the training rows.
    test_size : float or None
        In one source: share (below 1) or number of rows to draw for the test.
    top : int
        Harmful and helpful training rows, and neighbours by each measure, to show.
    show_components : bool
        Also give every shown row its influence without the training loss, and without H⁻¹.
    flip : str or None
        A conclusion to overturn, as `overturn.parse_question` reads it; of a logistic regression.
    seed : int
        Of everything random.
    model : str
        The model that is explained, one of `asked.MODELS` or of `fitted`.
    versus : str or None
        Another one to compare it with.
    fitted : tuple of str
        Names of models of the user's own.

    Raises
    ------
    SettingError
        If a value makes no sense.
    """

    label: str
    row: int | None = None
    row_id: str | None = None
    id_column: str | None = None
    columns: EncoderSettings = field(default_factory=EncoderSettings)
    basis: Literal["auto", "linear", "spline", "rbf"] = "linear"
    l2: float | None = None
    split_column: str | None = None
    test_size: float | None = None
    top: int = TOP
    show_components: bool = False
    flip: str | None = None
    seed: int = 0
    model: str = "logistic"
    versus: str | None = None
    fitted: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the values."""
        require_text(self, "label", "row_id", "id_column", "split_column", "flip")
        require_whole(self, "row", "top", "seed")
        if (self.row is None) == (self.row_id is None):
            got = "neither row nor row_id" if self.row is None else "both row and row_id"
            raise SettingError(f"one test row must be named: got {got}", "give its number, such as --row 17")
        if self.row is not None and self.row < 0:
            raise SettingError(f"rows are counted from 0: got {self.row}", "use --row 0 for the first one")
        if self.top < 1:
            raise SettingError(f"top must be 1 or more: got {self.top}", "leave it out")
        self._check_models()
        _ = (
            self.of_pair,
            self.question,
            [self.asked_of(name) for name in self.models],
        )  # they check themselves

    def _check_models(self) -> None:
        for name in self.models:
            if name not in self.fitted:
                require_model(name)
        if self.model == self.versus:
            what = f"both models are {self.model}: there is nothing to compare"
            raise SettingError(what, "name another one as versus")
        if self.flip is not None and self.model != "logistic":
            what = f"flip is searched for a logistic regression: got model {self.model}"
            raise SettingError(what, "leave one of them out")
        if set(self.models) <= set(self.fitted) and (self.l2 is not None or self.basis != "linear"):
            what = "a model of your own has its ridge and its features already"
            raise SettingError(what, "leave l2 and basis out")

    @property
    def models(self) -> tuple[str, ...]:
        """The model that is explained, and the one that it is compared with."""
        return (self.model,) if self.versus is None else (self.model, self.versus)

    def asked_of(self, model: str) -> LabelSettings:
        """Return what is asked of the training rows for one of the models."""
        asked = self.of_pair.of_training
        if model in self.fitted:
            return asked
        # An RBF machine has a basis of its own; linear is what explanations have where nothing is said.
        basis = "auto" if model == "rbf-svm" and self.basis == "linear" else self.basis
        return replace(asked, model=cast("ModelName", model), basis=basis)

    @property
    def of_pair(self) -> MismatchSettings:
        """What is asked of the training and test rows."""
        return MismatchSettings(
            label=self.label,
            id_column=self.id_column,
            columns=self.columns,
            basis=self.basis,
            l2=self.l2,
            split_column=self.split_column,
            test_size=self.test_size,
            seed=self.seed,
        )

    @property
    def question(self) -> Question | None:
        """The conclusion to overturn."""
        return None if self.flip is None else parse_question(self.flip)
