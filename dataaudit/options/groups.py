"""The options of every audit, a group for each, and what they may be."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from dataaudit.errors import SettingError
from dataaudit.options.option import (
    Opt,
    Options,
    Question,
    options_of,
    parse_question,
    require_factor,
    require_flip,
    require_solver,
    unknown,
)
from dataaudit.options.progress import NOT_KEPT, Checkpoint

StepCallback = Callable[[str, int, int], None]
Numbers = int | Sequence[int]
Severity = Literal["error", "warning", "note"]
Ranking = Literal["auto", "p-wrong", "leave-one-out", "self-influence"]
_OF_CLASSES: Final = "model fold_labels no_label pred_probs estimator versus"
_MACHINES: Final = "support vector machines tell classes apart: give numbers another shape, --basis rbf"
TaskName = Literal["classification", "regression", "count"]
Planned = Literal["labels", "mismatch", "explain"]
MODELS: Final = ("logistic", "svm", "rbf-svm")
GROUP_HINT: Final = "may be alike"  # a note that proposes a group holds it
# Panels of --help.
INPUT, ATTACK, MODEL, RANKING, TRACING, RUN = "Input", "Attack", "Model", "Ranking", "Tracing", "Run"
OUTPUT: Final = "Output"


def ignore_progress(stage: str, done: int, total: int) -> None:
    """Report no progress."""


def model_name(model: Any) -> str:
    """Return what sentences and tables call a model: one of ours, or a fitted one of scikit-learn."""
    if model is None or isinstance(model, str):
        return model or "logistic"
    model = model.net if is_module(model) else model
    last = model.steps[-1][1] if getattr(model, "steps", None) else model
    return f"own {type(last).__name__}"


def is_module(model: Any) -> bool:
    """Tell whether a model is a network of the user's: by its name, since torch need not be there yet."""
    return type(model).__name__ == "ModuleModel"


def _require_device_name(name: str) -> None:
    kind, colon, number = name.partition(":")
    if name != "cpu" and (kind != "cuda" or bool(colon) != number.isdecimal()):
        what = f"device is neither cpu nor a GPU of NVIDIA: got {name!r}"
        raise SettingError(what, "use cuda, or cuda:1 for the second one")


_MODEL: Final = "Logistic regression, or for two classes a support vector machine, linear or on RBF features."
_EXPLAINED: Final = "logistic; for two classes also svm and rbf-svm, support vector machines."
_VERSUS: Final = "Compare with this model: influence against distance, the rows behind each."
_SOLVER: Final = "Of the inverse Hessian: cholesky, dual; cg, lissa, arnoldi."
_SPLIT: Final = "Without TEST: share (.2) or number of rows to draw."
_WHERE: Final = "Trace the test rows that fulfil this: \"age = '[0-10)'\"; true: all."
_COMPONENTS: Final = "Also without the training loss, and without the inverse Hessian."
_FLIP: Final = (
    "Fewest rows whose removal flips the prediction (of a number, moves it past prediction:VALUE), turns the "
    "sign of coefficient:COLUMN=LEVEL, or rights half of the errors of slice:COLUMN=LEVEL. relabel: fewest "
    "labels that right, or flip, the prediction."
)
_WITHOUT: Final = 'What if: without the training rows that fulfil this, "hospital = 3"; proved by a refit.'
_TRUST: Final = "Say whether the rows behind it are its neighbours, as those of other test rows are."
_COUNTED: Final = 'With --without: count the errors of these test rows apart, "hospital = 3".'
_ATTACKED: Final = "Attack this test row, from 0."
_TOGETHER: Final = "Also by one change at once: those of --row, else the sample's rows of each label."
_WITHIN: Final = "How far a number may move: a share of its column's interquartile range."
TracedRows = Annotated[Numbers, Opt("Trace this test row, from 0.", TRACING, shown="mispredicted rows")]
TracedWhere = Annotated[str | None, Opt(_WHERE, TRACING, metavar="SQL")]
RowNumber = Annotated[int | None, Opt("Number of the test row in its file, from 0.", TRACING)]
RowName = Annotated[str | None, Opt("Name of the test row instead.", TRACING, metavar="NAME")]
Prove = Annotated[int, Opt("Findings to prove by refits.", TRACING)]
Id = Annotated[str | None, Opt("Column that names a row; else file and line.", INPUT, stored="id_column")]
Weight = Annotated[str | None, Opt("Column of row weights.", INPUT)]
_WEIGHTS: Final = "Weights of the training rows as an array, in their order, where no column has them."
GroupColumn = Annotated[str | None, Opt("Rows of one value are left out together.", INPUT)]
By = Annotated[Sequence[str], Opt("Say who mislabels: count wrong labels by its levels.", INPUT)]
Kinds = Literal["tfidf", "counts"]
TextFeatures = Annotated[Kinds, Opt("Weighted words, or the plain bag of words.", MODEL, place=-2)]
TextUnits = Literal["auto", "words", "characters"]
Shape = Literal["auto", "linear", "spline", "rbf"]
Basis = Annotated[Shape, Opt("Shape of numeric columns; auto picks by fit.", MODEL)]
Damping = Annotated[float, Opt("Added to the Hessian.", MODEL, metavar="δ", least=0)]
_DEVICE: Final = "Of products with dense features: cuda, cuda:1; of sparse ones always cpu."
_SCHEDULER: Final = "Pass over Parquet files on the workers of this Dask scheduler: tcp://host:8786."
_WORKERS: Final = "Start so many workers here, and pass over Parquet files on them."
_MEMORY: Final = "Most to take for tables and matrices: 4GiB, 500MB."
Memory = Annotated[
    int | str | None,
    Opt(_MEMORY, RUN, kind="size", metavar="SIZE", least=2**20, shown="a quarter of what is free"),
]
_TASK: Final = "What the label is: classes, measured numbers (ridge regression), or counts (Poisson)."
Task = Annotated[TaskName | None, Opt(_TASK, MODEL, shown="classification")]
Seed = Annotated[int, Opt("Seed of all that is random.", MODEL, place=1)]
_FITTED: Final = (
    "Or a fitted scikit-learn `LogisticRegression`, `LinearSVC`, `SVC`, `SGDClassifier` or `RidgeClassifier`,"
    " alone or last in a `Pipeline`; or a network, a `ModuleModel`."
)
_OWN: Final = "A network of your own: a `ModuleModel`."
Module = Annotated[Any, Opt(_OWN, stored=None)]
_PROBABILITIES: Final = "Rank by these out-of-sample probabilities: .npy, or a table with a column a class."
_MATRIX: Final = (
    "Or an array (n, K), its columns in the order of the sorted classes, or a frame whose columns are named "
    "by them; of any model, for every row in the order of the data, by a model that was not fitted on it."
)
_ESTIMATOR: Final = (
    "An unfitted classifier of scikit-learn, a pipeline or a search, with `predict_proba`: rows are ranked "
    "by what it says of each part of them when it is fitted on the others."
)
_MODELLED: Final = ("model", "l2", "basis", "solver", "damping", "refit")  # here
_SHOWN: Final = "a model fitted here"
_REFIT: Final = "Move a fitted model from its coefficients to its minimum, rather than refuse it."
Refit = Annotated[bool, Opt(_REFIT, stored=None)]
_CHECKPOINT: Final = (
    "Folder of the findings: until they are written what took long is kept in it, in `.unfinished`."
)
Folder = Annotated[Path | str | None, Opt(_CHECKPOINT, stored=None)]
Resume = Annotated[bool, Opt("Go on where a run into the same folder was stopped.", OUTPUT, stored=None)]


class ColumnOptions(Options):
    """What the user says about the columns; everything not said is inferred."""

    text: Annotated[Sequence[str], Opt("Column of running text.", INPUT)] = ()
    features: Annotated[Sequence[str], Opt("Use only this column.", INPUT)] = ()
    exclude: Annotated[Sequence[str], Opt("Leave this out.", INPUT)] = ()
    categorical: Annotated[Sequence[str], Opt("Numbers that are names.", INPUT)] = ()
    text_units: Annotated[TextUnits, Opt("Terms of texts; auto decides by their script.", INPUT)] = "auto"


def _require_encoding(name: str) -> None:
    try:
        "".encode(name)
    except (LookupError, ValueError) as error:
        from encodings.aliases import aliases  # noqa: PLC0415 - only for the hint

        raise unknown("encoding", name, ["utf-8", "utf-16", "cp1252", "latin-1", *aliases]) from error


class TextOptions(Options):
    """What the user says about text files whose bytes leave it open."""

    encoding: Annotated[
        str | None,
        Opt(
            "Of text files, where a guess is wrong: cp1251, utf-16.",
            INPUT,
            metavar="NAME",
            check=_require_encoding,
        ),
    ] = None
    no_header: Annotated[
        bool, Opt("The first line is a row; columns are then column_1, column_2 and so on.", INPUT)
    ] = False


class ClassOptions(Options):
    """How labels are read as classes."""

    fold_labels: Annotated[bool, Opt("Classes that differ in case or blanks only are one.", INPUT)] = False
    no_label: Annotated[Sequence[str], Opt("Read this label as none.", INPUT, metavar="LABEL")] = ()


class EncoderOptions(ColumnOptions):
    """How columns become features."""

    text_features: TextFeatures = "tfidf"
    max_levels: Annotated[int, Opt("Levels of a category with a feature of their own.", least=1)] = 100
    min_df: Annotated[int, Opt("Rows in which a term must occur, for tf-idf.", least=1)] = 2
    counts_min_df: Annotated[int, Opt("Rows in which a term must occur, for counts.", least=1)] = 5
    group: str | None = None  # column of groups, no feature unless it is named as one

    def __post_init__(self) -> None:
        super().__post_init__()
        also = (
            ("text", "categorical"),
            ("text", "exclude"),
            ("categorical", "exclude"),
            ("features", "exclude"),
        )
        for first, second in also:
            for column in set(getattr(self, first)).intersection(getattr(self, second)):
                what = f"column {column!r} is named under both {first} and {second}"
                raise SettingError(what, "name it under one of them")

    def without(self, gone: Collection[str]) -> Self:
        """Return what is asked of the other columns."""
        lists = (self.features, self.text, self.categorical, self.exclude)
        features, text, categorical, exclude = (tuple(c for c in one if c not in gone) for one in lists)
        return replace(self, features=features, text=text, categorical=categorical, exclude=exclude)


class RunOptions(Options):
    """What a run may take of the machine."""

    memory: Memory = None

    @property
    def limit(self) -> int | None:
        """The bytes that were asked for; None where nothing was said."""
        return None if self.memory is None else int(self.memory)


class ClusterOptions(Options):
    """Who passes over the rows, where that is not this process."""

    scheduler: Annotated[str | None, Opt(_SCHEDULER, RUN, metavar="ADDRESS", stored=None)] = None
    workers: Annotated[int | None, Opt(_WORKERS, RUN, least=1, stored=None)] = None
    client: Annotated[Any, Opt("A `distributed.Client` whose workers do that.", stored=None)] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        asked = [n for n in ("scheduler", "workers", "client") if getattr(self, n) is not None]
        if len(asked) > 1:
            raise SettingError(f"{' and '.join(asked)} each say who works", "give one of them")

    @property
    def spread(self) -> bool:
        """Whether workers pass over the rows."""
        return self.scheduler is not None or self.workers is not None or self.client is not None


class TrainingOptions(ColumnOptions, TextOptions, RunOptions):
    """What is asked of the training rows."""

    NESTED: ClassVar[Mapping[str, type[Options]]] = {"columns": EncoderOptions}

    label: Annotated[str, Opt("Column that is audited.", INPUT, flags="--label -l")]
    id: Id = None
    text_features: TextFeatures = "tfidf"
    basis: Basis = "linear"  # its effects are read off column by column
    weight: Weight = None
    sample_weight: Annotated[Any, Opt(_WEIGHTS, stored=None)] = None
    l2: Annotated[float | None, Opt("Ridge; by default chosen.", MODEL, metavar="λ", above=0)] = None
    seed: Seed = 0
    device: Annotated[str, Opt(_DEVICE, RUN, metavar="NAME", check=_require_device_name, stored=None)] = "cpu"
    command: str = ""  # how the audit was called, for the provenance
    kept: Checkpoint = field(default=NOT_KEPT, init=False, repr=False, compare=False)
    on_step: StepCallback | None = field(default=None, repr=False, compare=False)  # of (stage, done, total)

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.columns  # checks itself
        own = [model for model in self.named.values() if not isinstance(model, str)]
        if self.weight is not None and self.sample_weight is not None:
            raise SettingError("weight and sample_weight each weigh the rows", "give one of them")
        if self.refit and not own:
            raise SettingError("refit is for a fitted model: got none", "leave refit out")
        for name in _OF_CLASSES.split() if self.is_number else ():
            value = getattr(self, name, None)
            if value is not None and value is not False and str(value) not in ("()", "logistic"):
                what = f"{name} is for classes, and the task is {self.task}: got {name} {str(value)[:40]}"
                machine = name in ("model", "versus")
                raise SettingError(what, _MACHINES if machine else f"leave {name} out")
        usual = next(option.default for option in options_of(self) if option.name == "basis")
        if len(own) == len(self.named) and (self.l2 is not None or self.basis != usual):
            what = "a model of your own has its ridge and its features already"
            raise SettingError(what, "leave l2 and basis out")
        if "rbf-svm" in self.named and self.basis not in ("auto", "rbf", usual):
            raise SettingError(f"rbf-svm is a basis of its own: got basis {self.basis}", "use svm with it")

    def keeping(self, kept: Checkpoint) -> Self:
        """Return the same for a run whose stages are kept; what is derived from it later keeps nothing."""
        made = replace(self)
        object.__setattr__(made, "kept", kept)
        return made

    @property
    def columns(self) -> EncoderOptions:
        """What the encoder is asked."""
        return replace(self.part(EncoderOptions), group=self.group)

    @property
    def step(self) -> StepCallback:
        """Who hears of progress."""
        return self.on_step or ignore_progress

    @property
    def conditions(self) -> tuple[str | None, str | None]:
        """SQL conditions on training and on test rows, whose columns are read, features or not."""
        return None, None

    @property
    def weighs(self) -> bool:
        """Whether rows have weights."""
        return self.weight is not None or self.sample_weight is not None

    def to_dict(self) -> dict[str, Any]:
        """Return the options as the provenance keeps them; of weights that are in no column their hash."""
        if self.sample_weight is None:
            return super().to_dict()
        from hashlib import sha256  # noqa: PLC0415 - few audits have such

        text = repr([float(one) for one in self.sample_weight])
        return super().to_dict() | {"sample_weight": sha256(text.encode()).hexdigest()}

    @property
    def by(self) -> Sequence[str]:
        """Columns by whose levels wrong labels are counted."""
        return ()

    @property
    def group(self) -> str | None:
        """Column whose rows of one value leave training together."""
        return None

    @property
    def task(self) -> TaskName | None:
        """What the label is; None where nobody said, and it is taken for classes if it does not look else."""
        return None

    @property
    def is_number(self) -> bool:
        """Whether the label is a number."""
        return self.task in ("regression", "count")

    @property
    def model(self) -> Any:
        """What is trained, or a fitted model."""
        return "logistic"

    @property
    def named(self) -> dict[str, Any]:
        """The model by its name."""
        return {model_name(self.model): self.model}

    @property
    def solver(self) -> str:
        """How the Hessian is inverted."""
        return "auto"

    @property
    def damping(self) -> float:
        """What is added to the Hessian."""
        return 0.0

    @property
    def checkpoint(self) -> Path | str | None:
        """Folder of the findings, where what took long is kept."""
        return None

    @property
    def resume(self) -> bool:
        """Whether a run is gone on with."""
        return False

    @property
    def refit(self) -> bool:
        """Whether a fitted model is moved to its minimum."""
        return False


class OutsideOptions(Options):
    """Whose probabilities rows are ranked by, where it is not a model that is fitted here."""

    pred_probs: Annotated[
        Any, Opt(_PROBABILITIES, RANKING, metavar="FILE", shown=_SHOWN, python=_MATRIX, stored=None)
    ] = None
    estimator: Annotated[Any, Opt(_ESTIMATOR, stored=None)] = None
    folds: Annotated[int, Opt("Parts of the rows, for `estimator`.", least=2, stored=None)] = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.outside is None:
            return
        if self.pred_probs is not None and self.estimator is not None:
            raise SettingError("pred_probs and estimator each say what a row gets", "give one of them")
        usual = {option.name: option.default for option in options_of(self)}
        said = [name for name in _MODELLED if getattr(self, name) != usual[name]]
        weighs = self.pred_probs is not None and getattr(self, "weighs", False)
        said += ["workers"] * getattr(self, "spread", False) + ["weight"] * weighs
        if said:
            what = f"{self.outside} fits no model here: {said[0]} says how one is to be"
            raise SettingError(what, f"leave {said[0]} out")
        if getattr(self, "rank", None) == "self-influence":
            raise SettingError(f"{self.outside} has no self-influence", "use rank p-wrong or leave-one-out")

    @property
    def outside(self) -> str | None:
        """Which option has the probabilities."""
        named = ("pred_probs", "estimator")
        return next((name for name in named if getattr(self, name) is not None), None)

    def to_dict(self) -> dict[str, Any]:
        """Return the options as the provenance keeps them; of probabilities their file."""
        kept = super().to_dict()
        if self.estimator is not None:
            return kept | {"estimator": f"own {type(self.estimator).__name__}", "folds": self.folds}
        if self.pred_probs is None:
            return kept
        file = isinstance(self.pred_probs, str | Path)
        return kept | {"pred_probs": str(self.pred_probs) if file else "given"}


class LabelOptions(OutsideOptions, ClassOptions, ClusterOptions, TrainingOptions):
    """What is asked of an audit of labels."""

    group: GroupColumn = None
    by: By = ()
    task: Task = None
    model: Annotated[Any, Opt(_MODEL, MODEL, choices=MODELS, place=-1, python=_FITTED)] = "logistic"
    basis: Basis = "auto"
    solver: Annotated[
        str, Opt("Of the inverse Hessian: cholesky, dual.", MODEL, check=require_factor, metavar="NAME")
    ] = "auto"
    damping: Damping = 0.0
    rank: Annotated[Ranking, Opt("Order of the list; auto is p-wrong.", RANKING)] = "auto"
    top: Annotated[int, Opt("Rows with evidence and neighbours.", RANKING)] = 100
    verify: Annotated[int, Opt("True refits to check against.", RANKING)] = 12
    refit: Refit = False
    checkpoint: Folder = None
    resume: Resume = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for column, role in ((self.label, "label"), (self.id, "id"), (self.weight, "weight")):
            if column and column == self.group:
                raise SettingError(f"column {column!r} is both the {role} and the group", "name two columns")
        if self.spread and (self.model != "logistic" or self.sample_weight is not None):
            name = "sample_weight" if self.model == "logistic" else model_name(self.model)
            what = f"{name} takes all rows in this process, not on workers"
            raise SettingError(what, "use logistic, the default, or leave the workers out")

    def to_dict(self) -> dict[str, Any]:
        """Return the options as the provenance keeps them, without a fitted model."""
        return super().to_dict() | ({} if isinstance(self.model, str) else {"model": "logistic"})


class PairOptions(TrainingOptions):
    """What is asked of training and test rows: two sources, or one that is split."""

    split_column: Annotated[str | None, Opt("Without TEST: says train for the training rows.", INPUT)] = None
    test_size: Annotated[float | None, Opt(_SPLIT, INPUT, metavar="SIZE", above=0)] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.split_column is not None and self.test_size is not None:
            raise SettingError("split_column and test_size both split the rows", "give one of them")


class MismatchOptions(PairOptions):
    """What is asked of an audit of a mismatch."""

    task: Task = None
    solver: Annotated[str, Opt(_SOLVER, MODEL, check=require_solver, metavar="NAME")] = "auto"
    damping: Damping = 0.0
    rows: TracedRows = ()
    where: TracedWhere = None
    k: Annotated[
        int, Opt("Harmful and helpful training rows per test row.", TRACING, flags="--top", least=1)
    ] = 20
    traced: Annotated[int, Opt("Test rows with traces.")] = field(default=2000, init=False)
    prove: Prove = 20
    checkpoint: Folder = None
    resume: Resume = False
    verify: Annotated[int, Opt("Strongest traces to prove by refits.")] = 12
    model: Module = "logistic"

    @property
    def numbers(self) -> tuple[int, ...]:
        """Numbers of the test rows that are asked for."""
        return (self.rows,) if isinstance(self.rows, int) else tuple(self.rows)


class PlanOptions(LabelOptions, PairOptions):
    """What is asked of a plan: as the audit is to be asked that it is for."""

    audit: Annotated[Planned, Opt("Which audit it is for.", INPUT, flags="--for")] = "labels"
    solver: Annotated[str, Opt(_SOLVER, MODEL, check=require_solver, metavar="NAME")] = "auto"
    rows: TracedRows = ()
    where: TracedWhere = None
    prove: Prove = 20
    row: RowNumber = None
    row_id: RowName = None


class ExplainOptions(PairOptions):
    """What is asked of an explanation."""

    row: RowNumber = None
    row_id: RowName = None
    model: Annotated[
        Any, Opt(_EXPLAINED, MODEL, choices=MODELS, place=-1, metavar="NAME", python=_FITTED)
    ] = "logistic"
    task: Task = None
    versus: Annotated[Any, Opt(_VERSUS, MODEL, choices=MODELS, place=-1, metavar="NAME", python=_FITTED)] = (
        None
    )
    top: Annotated[int, Opt("Harmful and helpful training rows, and neighbours.", TRACING, least=1)] = 10
    show_components: Annotated[bool, Opt(_COMPONENTS, TRACING)] = False
    flip: Annotated[str | None, Opt(_FLIP, TRACING, metavar="WHAT", check=parse_question)] = None
    without: Annotated[str | None, Opt(_WITHOUT, TRACING, metavar="SQL")] = None
    where: Annotated[str | None, Opt(_COUNTED, TRACING, metavar="SQL")] = None
    trust: Annotated[bool, Opt(_TRUST, TRACING)] = False
    refit: Refit = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.row is None) == (self.row_id is None):
            got = "neither row nor row_id" if self.row is None else "both row and row_id"
            raise SettingError(f"one test row must be named: got {got}", "give its number, such as --row 17")
        if len(self.named) == 1 and self.versus is not None:
            what = f"both models are {self.model}: there is nothing to compare"
            raise SettingError(what, "name another one as versus")
        for name, asked in (("flip is searched", self.flip), ("without is measured", self.without)):
            known = self.model == "logistic" or (asked is self.without and is_module(self.model))
            if asked is not None and not known:
                what = f"{name} for a logistic regression: got model {next(iter(self.named))}"
                raise SettingError(what, "leave one of them out")
        if (question := self.question) is not None:
            require_flip(question, is_number=self.is_number)
        if self.where is not None and self.without is None:
            what = "where counts the test rows of a slice for without: got no without"
            raise SettingError(what, "say which training rows to leave out: --without \"ward = 'a'\"")

    @property
    def named(self) -> dict[str, Any]:
        """The model that is explained, and the one that it is compared with, by their names."""
        if self.versus is None:
            return super().named
        name = model_name(self.versus)
        twice = not isinstance(self.versus, str) and name in super().named
        return super().named | {f"{name} (2)" if twice else name: self.versus}

    @property
    def conditions(self) -> tuple[str | None, str | None]:
        """SQL conditions on training and on test rows."""
        return self.without, self.where

    @property
    def question(self) -> Question | None:
        """The conclusion to flip."""
        return None if self.flip is None else parse_question(self.flip)

    def of_model(self, name: str) -> "ExplainOptions":
        """Return what is asked of one of the models; an RBF machine has a basis of its own."""
        free = self._free(name) | {"without": None, "where": None}
        alone = replace(self, versus=None, flip=None, refit=False, model=self.named[name], **free)
        return replace(alone, refit=self.refit) if not isinstance(alone.model, str) else alone

    def _free(self, name: str) -> dict[str, Any]:
        if not isinstance(self.named[name], str):
            return {"l2": None, "basis": "linear"}
        return {"basis": "auto"} if name == "rbf-svm" and self.basis == "linear" else {}

    def to_dict(self) -> dict[str, Any]:
        """Return the options as the provenance keeps them, with the names of the models."""
        models = self.named
        own = tuple(name for name, model in models.items() if not isinstance(model, str))
        names = dict(zip(("model", "versus"), (*models, None), strict=False))
        return super().to_dict() | names | {"fitted": own}


class Limits(Options):
    """How much of a training row may change."""

    within: Annotated[float, Opt(_WITHIN, ATTACK, metavar="SHARE", least=0, most=1)] = 0.1
    swaps: Annotated[int, Opt("Category cells that may change in a training row.", ATTACK)] = 1
    words: Annotated[int, Opt("Words of a text that may be removed or added.", ATTACK)] = 3


class VulnerabilityOptions(Limits, PairOptions):
    """What is asked of an audit of vulnerability."""

    NESTED: ClassVar[Mapping[str, type[Options]]] = {**PairOptions.NESTED, "limits": Limits}

    task: Task = None
    rows: Annotated[Numbers, Opt(_ATTACKED, ATTACK, flags="--row", shown="a sample", place=-2)] = ()
    tests: Annotated[int, Opt("Correctly predicted test rows in the sample.", ATTACK, least=1, place=-1)] = 20
    together: Annotated[bool, Opt(_TOGETHER, ATTACK, place=-1)] = False
    model: Module = "logistic"

    @property
    def numbers(self) -> tuple[int, ...]:
        """Numbers of the test rows that are asked for."""
        return (self.rows,) if isinstance(self.rows, int) else tuple(self.rows)
