"""Figure 4: two models that are both right, for different reasons.

    python examples/paper/figure4_two_models.py --data ../shared/data

Koh & Liang (2017), section 5.1: dogs against fish, 900 images each; a logistic regression on the features of
the Inception network, and an RBF support vector machine on pixels. In the machine influence falls with the
distance in pixels, images of the test image's class help and those of the other one harm: it is a soft
nearest neighbour. In the network influence hardly goes with distance, and either class may help or harm.

Here: two digits of MNIST, 3 against 5, 900 each, and a small convolutional network that is trained on the
*other* eight digits; its last hidden layer, standardised and frozen, is below a logistic regression of the
two. Nothing is downloaded. Digits are easy to tell apart by their pixels, dogs and fish are not: at the
paper's λ = 0.001 seven in ten digits are no support vectors, and what is none has no influence, near or far,
so that the rank correlation over all images says little. At λ = 0.03 nine in ten are. The table has both,
over all images and over those that pull at all. γ is 1.5 over the median squared distance. The machine has a
free intercept, the paper's has none; its influence is that of the smooth hinge, t = 0.001, as there.

Test images: those that both models get right, at a margin below 1 for the machine, where its loss has a
slope. The table has the mean over many, drawn at random, the picture the one among them whose rank
correlation in the machine is the median. ``--quick`` takes 300 of each digit and 50 test images.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from paper import Floats, arguments, block, digits, keep, loss_at, pearson, spearman, trained
from sklearn.svm import SVC
from torch import Tensor

from dataaudit.influence.influence import loss_gradients
from dataaudit.model.objective import Objective
from dataaudit.model.rows import Block
from dataaudit.solvers import Cholesky, Prepared
from dataaudit.solvers.newton import Fit, FitSettings, minimise, minimise_hinge
from dataaudit.training.sklearn import take

PAIR, SEED = (3, 5), 0
L2S = (1e-3, 1e-2, 3e-2)  # the paper's first
DRAWN = (3e-2, 1e-3)  # machine, network
WIDTH = 1.5  # γ times the median squared distance
REFITS = 10
BATCH = 100  # images of a step of the network


@dataclass(frozen=True)
class Machine:
    """A model at its minimum, its H⁻¹, and the test images in its features."""

    name: str
    objective: Objective
    fit: Fit
    exact: Prepared
    X_test: Tensor

    def test(self, rows: Tensor, y: Tensor) -> Block:
        """Return some test images."""
        return block(self.X_test[rows], y[rows])

    def margins(self, y: Tensor) -> Tensor:
        """Return the margin of every test image; positive is right."""
        return (2.0 * y - 1.0) * self.objective.model.scores(self.fit.theta, block(self.X_test, y))[:, 0]

    def removed(self, tests: Block) -> Floats:
        """Return the predicted change of each test loss without each training image."""  # -> (n, t)
        model, rows = self.objective.model, self.objective.rows
        solved = self.exact.solve(loss_gradients(model, self.fit.theta, tests))
        parts = [model.pair_influences(self.fit.theta, solved, one) for one in rows.blocks()]
        found: Floats = (-torch.cat(parts) / rows.n).numpy()
        return found

    def pulls(self) -> Floats:
        """Return how hard each training image pulls: the magnitude of its loss's slope."""
        s = self.objective.scores(self.fit.theta)
        found: Floats = self.objective.model.loss.slope(s, self.objective.rows.y)[:, 0].abs().numpy()
        return found


def network(data: Path, *, images: int, epochs: int) -> Callable[[Tensor], Tensor]:
    """Train a convolutional network on the other digits; return its last hidden layer as a function."""
    torch.manual_seed(SEED)
    others = tuple(digit for digit in range(10) if digit not in PAIR)
    X, y = digits(data, "train", classes=others)
    X, y = X[:images].float(), y[:images]
    layers = torch.nn.Sequential(
        *(torch.nn.Unflatten(1, (1, 28, 28)), torch.nn.Conv2d(1, 8, 5), torch.nn.ReLU()),
        *(torch.nn.MaxPool2d(2), torch.nn.Conv2d(8, 16, 5), torch.nn.ReLU(), torch.nn.MaxPool2d(2)),
        *(torch.nn.Flatten(), torch.nn.Linear(256, 128), torch.nn.ReLU(), torch.nn.Linear(128, len(others))),
    )
    optimiser = torch.optim.Adam(layers.parameters(), lr=2e-3)
    for _ in range(epochs):
        order = torch.randperm(len(X))
        for start in range(0, len(X), BATCH):
            batch = order[start : start + BATCH]
            optimiser.zero_grad()
            torch.autograd.backward(torch.nn.functional.cross_entropy(layers(X[batch]), y[batch]))
            optimiser.step()
    X_test, y_test = digits(data, "test", classes=others)
    hidden = layers[:-1]
    with torch.no_grad():
        right = float((layers(X_test.float()).argmax(1) == y_test).double().mean())
    print(f"network: {len(X):,} images of the other eight digits, {epochs} epochs; {right:.1%} right")

    def features(images: Tensor) -> Tensor:
        with torch.no_grad():
            found: Tensor = hidden(images.float()).double()
        return found

    return features


def on_features(X: Tensor, y: Tensor, X_test: Tensor, *, l2: float) -> Machine:
    """Return the logistic regression on features, standardised."""
    mean, sd = X.mean(0), X.std(0)
    live = sd > 1e-6  # noqa: PLR2004 - units that are ever on
    X, X_test = (((part - mean) / sd)[:, live] for part in (X, X_test))
    objective, fit = trained(X, y, l2=l2)
    exact = Cholesky().prepare(objective, fit.theta)
    return Machine(f"network, λ {l2:g}", objective, fit, exact, X_test)


def on_pixels(X: Tensor, y: Tensor, X_test: Tensor, *, l2: float) -> Machine:
    """Return the RBF machine of scikit-learn, at the minimum of the smooth hinge beside its own."""
    gamma = WIDTH / float((torch.cdist(X, X) ** 2).median())
    machine = SVC(C=1 / (len(y) * l2), gamma=gamma, tol=1e-8).fit(X.numpy(), y.numpy())
    taken = take(machine, X.numpy(), y.numpy(), order=[0, 1])
    exact = Cholesky().prepare(taken.objective, taken.fit.theta)
    if taken.kernel is None:
        raise TypeError("an RBF machine has a kernel")
    F_test = torch.from_numpy(taken.kernel(X_test.numpy()))
    return Machine(f"RBF machine, λ {l2:g}", taken.objective, taken.fit, exact, F_test)


def refitted(machine: Machine, test: Block, rows: list[int]) -> Floats:
    """Return the true change of the test loss without each of some training images."""
    objective, before = machine.objective, loss_at(machine.objective, machine.fit.theta, test)
    found = []
    for row in rows:
        weight = objective.rows.weight.clone()
        weight[row] = 0.0
        without = objective.reweighted(weight)
        again = minimise(without, machine.fit.theta, settings=FitSettings(tolerance=1e-10))
        if not again.converged:  # over a kink of the hinge
            again = minimise_hinge(without)
        found.append(loss_at(objective, again.require_converged().theta, test) - before)
    return np.array(found)


@dataclass(frozen=True)
class Seen:
    """Training images and test images of two digits, and what each model makes of some of the latter."""

    X: Tensor
    y: Tensor
    X_test: Tensor
    y_test: Tensor
    rows: Tensor
    changes: dict[str, Floats]

    @cached_property
    def distance(self) -> Floats:
        """Euclidean distance in pixels."""  # (n, t)
        found: Floats = torch.cdist(self.X, self.X_test[self.rows]).numpy()
        return found

    @cached_property
    def other(self) -> Floats:
        """1 where the training image is of the other digit, else 0."""  # (n, t)
        found: Floats = (self.y[:, None] != self.y_test[self.rows]).double().numpy()
        return found

    def columns(self) -> dict[str, Floats]:
        """Return a row for each pair of a test image and a training image."""
        n, t = self.distance.shape
        names = {
            "test_image": self.rows.double().numpy().repeat(n),
            "train_row": np.tile(np.arange(float(n)), t),
        }
        values = {"distance": self.distance, "other_digit": self.other} | self.changes
        return names | {name: table.T.reshape(-1) for name, table in values.items()}


def line(machine: Machine, seen: Seen) -> Floats:
    """Print a line of the table, means over the test images; return every one's rank correlation."""
    changes, distance, other = seen.changes[machine.name], seen.distance, seen.other
    size = np.abs(changes)
    # A test image far on its side of the margin has no loss to change, in floating point.
    tests = np.flatnonzero(size.max(axis=0) > 0)
    pulls = machine.pulls() > 1e-3  # noqa: PLR2004 - a thousandth of what a support vector pulls
    near = np.argsort(distance, axis=0)[: len(distance) // 10]
    every: Floats = np.array([spearman(size[:, t], distance[:, t]) for t in tests])
    pulling = np.array([spearman(size[pulls, t], distance[pulls, t]) for t in tests])
    nearest = np.mean([size[near[:, t], t].sum() / size[:, t].sum() for t in tests])
    helps = np.mean([(size * (changes > 0) * other)[:, t].sum() / (size * other)[:, t].sum() for t in tests])
    among = f"{pulling.mean():+.2f} ± {pulling.std():.2f} ({pulls.sum():,})"
    print(
        f"{machine.name:24} {every.mean():+.2f} ± {every.std():.2f}     {among:22} {nearest:5.1%}"
        f"          {helps:5.1%}"
    )
    return every


def picture(
    path: Path, panels: list[tuple[str, Floats, Floats, Floats]], images: list[tuple[str, Floats]]
) -> None:
    """Draw influence against distance for both models, and the images that are spoken of."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - only pictures need it

    figure = Figure(figsize=(11, 6.4), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=(2.4, 1))
    above, below = parts
    for at, (title, distance, change, other) in enumerate(panels):
        axes = above.add_subplot(1, 2, at + 1)
        axes.axhline(0, color="0.7", linewidth=1)
        for mine, mark, colour, said in ((0, "o", "#1f6f78", "same digit"), (1, "s", "#b4481e", "the other")):
            shown = other == mine
            axes.scatter(distance[shown], change[shown], s=7, marker=mark, color=colour, label=said)
        axes.set(title=title, xlabel="distance in pixels", ylabel="rise of the test loss without the image")
        axes.legend(frameon=False)
    for at, (title, pixels) in enumerate(images):
        axes = below.add_subplot(1, len(images), at + 1)
        axes.imshow(pixels.reshape(28, 28), cmap="gray_r")
        axes.set_title(title, fontsize=8)
        axes.set_axis_off()
    figure.savefig(path, metadata={"Date": None})


def example(out: Path, pair: tuple[Machine, Machine], seen: Seen, shown: int) -> None:
    """Check one test image by refits, and draw it."""
    at, distance, other = seen.rows[shown : shown + 1], seen.distance[:, shown], seen.other[:, shown]
    print(f"\ntest image {int(at)} of the two digits, {REFITS} refits of each model:")
    panels, images = [], [(f"test image: a {PAIR[int(seen.y_test[at])]}", seen.X_test[at].numpy())]
    for one in pair:
        change = seen.changes[one.name][:, shown]
        order = np.argsort(change)  # what harms most, and what helps most
        chosen = np.concatenate([order[: REFITS // 2], order[-REFITS // 2 :]]).tolist()
        truth = refitted(one, one.test(at, seen.y_test), chosen)
        print(f"{one.name:24} Pearson with the refits {pearson(change[chosen], truth):.3f}")
        rho = spearman(np.abs(change), distance)
        panels.append((f"{one.name}: rank correlation {rho:.2f}", distance, change, other))
        helper, across = int(change.argmax()), int(np.where(other > 0, change, -np.inf).argmax())
        images.append((f"{one.name}:\nhelps most", seen.X[helper].numpy()))
        images.append(("most of the other digit", seen.X[across].numpy()))
    picture(out / "figure4.svg", panels, images)


def main() -> None:
    """Train both models, print how their influence goes with distance, draw one test image."""
    given = arguments(__doc__ or "")
    each, count = (300, 50) if given.quick else (900, 100)
    features = network(given.data, images=6_000 if given.quick else 20_000, epochs=1 if given.quick else 2)
    X, y = digits(given.data, "train", classes=PAIR)
    first = torch.cat([(y == label).nonzero()[:each, 0] for label in (0, 1)]).sort().values
    X, y = X[first], y[first]
    X_test, y_test = digits(given.data, "test", classes=PAIR)
    F, F_test = features(X), features(X_test)
    machines = {l2: on_pixels(X, y, X_test, l2=l2) for l2 in L2S}
    networks = {l2: on_features(F, y, F_test, l2=l2) for l2 in L2S}
    models, pair = [*machines.values(), *networks.values()], (machines[DRAWN[0]], networks[DRAWN[1]])
    for one in models:
        right = float((one.margins(y_test) > 0).double().mean())
        print(f"{one.name:24} {right:.1%} of {len(y_test):,} right")

    margins = pair[0].margins(y_test)
    at = ((pair[1].margins(y_test) > 0) & (margins > 0) & (margins < 1)).nonzero()[:, 0]
    rows = at[torch.randperm(len(at), generator=torch.Generator().manual_seed(SEED))[:count]]
    print(f"\n{len(at):,} test images that both get right, at a margin below 1; {len(rows)} of them:")
    print("|influence|, distance    rank correlation  of those that pull    nearest 10 %   other digit helps")
    changes = {one.name: one.removed(one.test(rows, y_test)) for one in models}
    seen = Seen(X, y, X_test, y_test, rows, changes)
    ranks = {one.name: line(one, seen) for one in models}
    print("in the paper: influence falls with distance in the RBF machine, hardly in the network;")
    print("the other class mostly harms in the machine, and may help in the network (by eye, one test image)")
    example(given.out, pair, seen, shown=int(np.argsort(ranks[pair[0].name])[len(rows) // 2]))
    keep(given.out, "figure4", seen.columns())
    print(f"written to {given.out.as_posix()}")


if __name__ == "__main__":
    main()
