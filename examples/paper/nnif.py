"""Adversarial digits told by influence and distance (Cohen, Sapiro & Giryes 2020, "NNIF").

    python examples/paper/nnif.py [--epsilon .1] [--data FOLDER]

A small network learns scikit-learn's 8 × 8 digits. Test digits are moved by FGSM (a step of ε along the sign
of the gradient of the loss) until they are mispredicted. Detectors are logistic regressions that tell these
from the digits as they were, trained on half of them: one on the ranks and distances of the most helpful and
most harmful training rows (NNIF), others on the distances of the nearest rows alone, in pixels and in the
network's hidden layer.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from dataaudit import ModuleInfluence, ModuleModel

TRAIN, HIDDEN, STEPS, DECAY, ROWS = 900, 32, 600, 1e-3, 30


def digits() -> tuple[Tensor, Tensor]:
    """Return pixels in 0 to 1, and their digits, shuffled."""
    X, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    return torch.from_numpy(X[order] / 16.0), torch.from_numpy(y[order])


def trained(X: Tensor, y: Tensor) -> nn.Sequential:
    """Return a network of one hidden layer, near its minimum."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(X.shape[1], HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 10)).double()
    adam = torch.optim.Adam(net.parameters(), lr=0.01, weight_decay=DECAY)
    for _ in range(STEPS):
        adam.zero_grad()
        torch.autograd.backward(cross_entropy(net(X), y))
        adam.step()
    return net.eval()


def moved(net: nn.Module, X: Tensor, y: Tensor, epsilon: float) -> Tensor:
    """Return inputs after one step of FGSM."""
    X = X.clone().requires_grad_()
    (slope,) = torch.autograd.grad(cross_entropy(net(X), y), X)
    return (X + epsilon * slope.sign()).clamp(0.0, 1.0).detach()


def auc(clean: Tensor, odd: Tensor) -> float:
    """Return the area under the ROC curve of a detector trained on half of the pairs."""
    half = len(clean) // 2
    known, new = (torch.cat([clean[part], odd[part]]).numpy() for part in (slice(half), slice(half, None)))
    truth = [np.repeat([0, 1], [len(side) // 2] * 2) for side in (known, new)]
    detector = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000)).fit(known, truth[0])
    return float(roc_auc_score(truth[1], detector.decision_function(new)))


def main(argv: list[str] | None = None) -> tuple[float, float]:
    """Print the areas; return that of NNIF, and the best of distances alone."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epsilon", type=float, default=0.1)
    parser.add_argument("--data", help="not needed: scikit-learn has the digits")
    parser.add_argument("--quick", action="store_true", help="no difference: it takes seconds")
    options = parser.parse_args(argv)
    X, y = digits()
    net = trained(X[:TRAIN], y[:TRAIN])
    tests, truth = X[TRAIN:], y[TRAIN:]
    odd = moved(net, tests, truth, options.epsilon)
    right, flipped = (net(side).argmax(1) == truth for side in (tests, odd))
    kept = right & ~flipped
    last = ModuleModel(net, cross_entropy, parameters=["2"])
    influence = ModuleInfluence(last, (X[:TRAIN], y[:TRAIN]), l2=DECAY, damping=1e-3)
    pairs = tests[kept], odd[kept]
    pixels, hidden = (
        [influence.neighbourhood(side, embed=embed, rows=ROWS) for side in pairs] for embed in (None, net[:2])
    )
    found = auc(*(side.features for side in pixels))
    alone = [auc(*(side.nearest for side in pair)) for pair in (pixels, hidden)]
    accuracy = float(right.double().mean())
    print(f"network of {HIDDEN} hidden units, {accuracy:.1%} of {len(tests)} test digits right")
    print(f"FGSM ε {options.epsilon:g}: {int(kept.sum())} of {int(right.sum())} flipped")
    print(f"area under the ROC curve: NNIF {found:.3f}")
    print(
        f"distances of the nearest {ROWS} alone: {alone[0]:.3f} in pixels, {alone[1]:.3f} in the hidden layer"
    )
    return found, max(alone)


if __name__ == "__main__":
    nnif, near = main()
    sys.exit(int(nnif <= near))
