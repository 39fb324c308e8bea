"""Influence on networks beside true retraining, with kronfluence, dattri and captum in one run.

scikit-learn's digits, a tenth of the labels wrong; a network of one hidden layer (64-32-10) and a small
convolutional one, trained by Adam with weight decay. Linear datamodelling score (Park et al. 2023): random
halves of the training rows, networks trained on each from several seeds, and Spearman's correlation, over the
halves, between the mean loss of a test row and the sum of its influences from the rows of the half; the mean
over test rows. Influences are those of a network trained on all rows, once a seed: mean and range over seeds.
Every tool is asked for the loss of the test rows, with the weight decay as damping, and 5 and 20 times it;
the best counts. The Hessian itself has directions of negative curvature under small ones.

    python tests/benchmarks/modules.py [--halves 30] [--out modules.json]

Exits with 1 if EK-FAC is more than 0.02 below kronfluence's on a network, or conjugate gradients are below
EK-FAC or kronfluence. A tool that is not installed is left out; the extra `bench` has them.
"""

import argparse
import contextlib
import copy
import importlib.util
import io
import json
import logging
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from scipy.stats import rankdata
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from dataaudit import ModuleInfluence, ModuleModel
from dataaudit.errors import NotPositiveDefinite
from dataaudit.solvers.cg import ConjugateGradients

ROWS, TESTS, WRONG = 400, 60, 0.1
DECAY, RATE, STEPS = 2e-3, 0.01, 300
DAMPINGS = (DECAY, 5 * DECAY, 20 * DECAY)  # in all, the decay included
SEEDS = 2
NEAR = 0.02
Rows = tuple[Tensor, Tensor]


def perceptron():
    return nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 10))


def convolutional():
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 6, 3), nn.Tanh(), nn.Conv2d(6, 8, 3, stride=2), nn.Tanh(),
        nn.Flatten(), nn.Linear(32, 10),
    )  # fmt: skip


NETS = {"64-32-10": perceptron, "convolutional": convolutional}


def digits() -> tuple[Rows, Rows]:
    """Return training and test rows."""
    X, y = load_digits(return_X_y=True)
    random = np.random.default_rng(0)
    order = random.permutation(len(y))[: ROWS + TESTS]
    X, y = torch.from_numpy(X[order] / 16).float(), torch.from_numpy(y[order])
    wrong = torch.from_numpy(random.permutation(ROWS)[: int(WRONG * ROWS)])
    y[wrong] = (y[wrong] + torch.from_numpy(random.integers(1, 10, len(wrong)))) % 10
    return (X[:ROWS], y[:ROWS]), (X[ROWS:], y[ROWS:])


def trained(make, seeds, chosen: Tensor, rows: Rows):
    """Train networks side by side, each on the rows of weight 1 in its line of `chosen`."""  # (m, n)
    nets = []
    for seed in seeds:
        torch.manual_seed(seed)
        nets.append(make())
    base = copy.deepcopy(nets[0]).to("meta")
    theta = {name: value.detach() for name, value in stack_module_state(nets)[0].items()}
    X, y = rows

    def objective(own, weight):
        losses = cross_entropy(functional_call(base, own, (X,)), y, reduction="none")
        return weight @ losses / weight.sum() + DECAY / 2 * sum(p.square().sum() for p in own.values())

    slope = vmap(grad(objective))
    first, second = ({name: torch.zeros_like(p) for name, p in theta.items()} for _ in range(2))
    for step in range(STEPS):
        rate = RATE * 0.5 * (1 + np.cos(np.pi * step / STEPS))
        for name, g in slope(theta, chosen).items():
            first[name].lerp_(g, 0.1)
            second[name].lerp_(g.square(), 0.001)
            m, v = first[name] / (1 - 0.9 ** (step + 1)), second[name] / (1 - 0.999 ** (step + 1))
            theta[name] = theta[name] - rate * m / (v.sqrt() + 1e-8)
    return base, theta


def truth(make, halves: Tensor, seeds: int, train: Rows, test: Rows) -> Tensor:
    """Return the mean loss of every test row after training on each half."""  # (h, n) -> (h, t)
    every = halves.repeat_interleave(seeds, 0)
    base, theta = trained(make, list(range(seeds)) * len(halves), every, train)
    losses = vmap(
        lambda own: cross_entropy(functional_call(base, own, (test[0],)), test[1], reduction="none")
    )
    return losses(theta).detach().view(len(halves), seeds, -1).mean(1)


def score(influences: Tensor, halves: Tensor, losses: Tensor) -> float:
    """Return the linear datamodelling score; positive influences are those of harmful rows."""  # (t, n)
    sums = (influences.double() @ halves.double().T).T
    ranks = [rankdata(values.numpy(), axis=0) for values in (sums, losses)]
    found = [np.corrcoef(ranks[0][:, t], ranks[1][:, t])[0, 1] for t in range(losses.shape[1])]
    return float(np.mean(found))


def ours(net, train: Rows, test: Rows, damping: float, *, solver, hessian="auto") -> Tensor:
    """Return influences by `ModuleInfluence`."""
    model = ModuleModel(copy.deepcopy(net).double(), cross_entropy)
    train, test = ((X.double(), y) for X, y in (train, test))
    asked = {"l2": DECAY, "damping": damping - DECAY, "solver": solver, "hessian": hessian}
    return ModuleInfluence(model, train, **asked).up_loss(test)


def kronfluence(net, train: Rows, test: Rows, damping: float) -> Tensor:
    from kronfluence.analyzer import Analyzer, prepare_model
    from kronfluence.arguments import FactorArguments, ScoreArguments
    from kronfluence.task import Task

    class Classify(Task):
        def compute_train_loss(self, batch, model, sample=False):
            logits = model(batch[0])
            drawn = torch.multinomial(logits.detach().softmax(1), 1)[:, 0] if sample else batch[1]
            return cross_entropy(logits, drawn, reduction="sum")

        def compute_measurement(self, batch, model):
            return self.compute_train_loss(batch, model)

    task = Classify()
    net = prepare_model(copy.deepcopy(net), task)
    with tempfile.TemporaryDirectory() as folder:
        analyzer = Analyzer(
            "digits", net, task, cpu=True, output_dir=folder, disable_tqdm=True, log_level=logging.ERROR
        )
        rows, tests = TensorDataset(*train), TensorDataset(*test)
        size = {"per_device_batch_size": ROWS}
        analyzer.fit_all_factors("f", rows, factor_args=FactorArguments("ekfac"), **size)
        analyzer.compute_pairwise_scores(
            "s", "f", tests, rows, TESTS, ROWS, score_args=ScoreArguments(damping_factor=damping)
        )
        return -analyzer.load_pairwise_scores("s")["all_modules"]


def dattri(net, train: Rows, test: Rows, damping: float, *, which: str) -> Tensor:
    from dattri import algorithm
    from dattri.task import AttributionTask

    def loss(params, batch):
        X, y = batch
        alone = X.dim() == 1  # a row at a time, where it maps over rows
        X, y = (X[None], y[None]) if alone else (X, y)
        return cross_entropy(functional_call(net, params, (X,)), y.reshape(-1))

    task = AttributionTask(loss_func=loss, model=net, checkpoints=net.state_dict())
    if which == "ek-fac":
        attributor = algorithm.IFAttributorEKFAC(task, damping=damping)
    else:
        attributor = algorithm.IFAttributorCG(task, regularization=damping, max_iter=20)
    loaders = [DataLoader(TensorDataset(*rows), batch_size=len(rows[0])) for rows in (train, test)]
    attributor.cache(loaders[0])
    return -attributor.attribute(*loaders).T


def captum(net, train: Rows, test: Rows, damping: float, *, which: str) -> Tensor:
    from captum.influence import TracInCP
    from captum.influence._core.arnoldi_influence_function import ArnoldiInfluenceFunction

    with tempfile.NamedTemporaryFile(suffix=".pt") as file:
        torch.save(net.state_dict(), file.name)

        def load(module, path):
            module.load_state_dict(torch.load(path))
            return 1.0

        loss = nn.CrossEntropyLoss(reduction="none")
        rows, common = TensorDataset(*train), {"loss_fn": loss, "batch_size": ROWS}
        if which == "tracin":
            found = TracInCP(net, rows, [file.name], checkpoints_load_func=load, **common)
        else:
            found = ArnoldiInfluenceFunction(net, rows, file.name, load, hessian_reg=damping, **common)
        return -found.influence(tuple(test))


@dataclass(frozen=True)
class Tool:
    """A way to influences."""

    name: str
    package: str
    run: Callable[..., Tensor]  # (net, train, test, damping)
    nets: tuple[str, ...] = tuple(NETS)

    def score(self, nets, train: Rows, test: Rows, truth: Callable[[Tensor], float]) -> list[float]:
        """Return the scores of some networks at the best damping; none where there is no inverse."""
        found = []
        for damping in DAMPINGS:
            with contextlib.suppress(NotPositiveDefinite):
                found.append([truth(self.run(net, train, test, damping).detach()) for net in nets])
        return max(found, key=np.mean, default=[])


CG = ConjugateGradients(tolerance=1e-2)
TOOLS = (
    Tool("dataaudit cg, Hessian", "dataaudit", partial(ours, solver=CG)),
    Tool("dataaudit cg, Gauss-Newton", "dataaudit", partial(ours, solver=CG, hessian="gauss-newton")),
    Tool("dataaudit block", "dataaudit", partial(ours, solver="block")),
    Tool("dataaudit ek-fac", "dataaudit", partial(ours, solver="ek-fac")),
    Tool("kronfluence ekfac", "kronfluence", kronfluence),
    Tool("dattri EK-FAC", "dattri", partial(dattri, which="ek-fac"), ("64-32-10",)),  # linear layers alone
    Tool("dattri CG", "dattri", partial(dattri, which="cg")),
    Tool("captum Arnoldi", "captum", partial(captum, which="arnoldi")),
    Tool("captum TracInCP, one checkpoint", "captum", partial(captum, which="tracin")),
)


def measured(name: str, halves: int) -> dict[str, dict[str, object]]:
    """Return every tool's scores on a network, and its seconds."""
    train, test = digits()
    generator = torch.Generator().manual_seed(1)
    chosen = (torch.rand(halves, ROWS, generator=generator).argsort(1) < ROWS // 2).float()
    start = time.process_time()
    losses = truth(NETS[name], chosen, SEEDS, train, test)
    theta = trained(NETS[name], list(range(SEEDS)), torch.ones(SEEDS, ROWS), train)[1]
    print(f"\n{name}: {(halves + 1) * SEEDS} networks in {time.process_time() - start:.0f} CPU s")
    nets = [NETS[name]().eval() for _ in range(SEEDS)]
    for seed, net in enumerate(nets):
        net.load_state_dict({key: value[seed] for key, value in theta.items()})
    found = {}
    for tool in TOOLS:
        if importlib.util.find_spec(tool.package) is None or name not in tool.nets:
            continue
        start = time.process_time()
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            own = copy.deepcopy(nets)  # a tool may change what it is given
            scores = tool.score(own, train, test, lambda influences: score(influences, chosen, losses))
        if not scores:
            print(f"  {tool.name:33} has directions of negative curvature")
            continue
        taken = (time.process_time() - start) / SEEDS / len(DAMPINGS)
        found[tool.name] = {"scores": scores, "seconds": taken}
        spread = f"{min(scores):.3f} to {max(scores):.3f}"
        print(
            f"  {tool.name:33} {np.mean(scores):.3f}   ({spread})   {taken:5.1f} CPU s a network", flush=True
        )
    return found


def judge(found) -> int:
    """Print each bar; 1 if one is missed."""
    missed = 0
    for net, tools in found.items():
        mean = {name: float(np.mean(tool["scores"])) for name, tool in tools.items()}
        ekfac = mean["dataaudit ek-fac"]
        cg = max(value for tool, value in mean.items() if tool.startswith("dataaudit cg"))
        theirs = mean.get("kronfluence ekfac", -1.0)
        for what, ok in (
            (f"EK-FAC {ekfac:.3f}, kronfluence's {theirs:.3f}: within {NEAR}", ekfac >= theirs - NEAR),
            (f"conjugate gradients {cg:.3f}: no less than either", cg >= max(ekfac, theirs)),
        ):
            print(f"{'reached' if ok else 'MISSED '}  {net}: {what}")
            missed |= not ok
    return missed


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--halves", type=int, default=30)
    parser.add_argument("--net", choices=NETS, action="append")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    found = {name: measured(name, options.halves) for name in options.net or NETS}
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return judge(found)


if __name__ == "__main__":
    sys.exit(main())
