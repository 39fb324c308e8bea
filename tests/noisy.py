"""Labels drawn by known noise rates from known scores."""

import numpy as np

from dataaudit.noise.likelihood import Sample


def softmax(scores):
    z = np.hstack([np.zeros((len(scores), 1)), scores])
    z = np.exp(z - z.max(axis=1, keepdims=True))
    return z / z.sum(axis=1, keepdims=True)


def draw(probabilities, rng):
    """One class for each row of probabilities."""
    return (rng.random((len(probabilities), 1)) > np.cumsum(probabilities, axis=1)[:, :-1]).sum(axis=1)


def simulate(n, rates, *, spread=6.0, seed=0):
    """Scores, noisy labels and which are wrong: truths are drawn from the scores, labels from the rates."""
    rng = np.random.default_rng(seed)
    rates = np.asarray(rates)
    k = len(rates)
    scores = rng.normal(0, spread, size=(n, k - 1))
    truth = draw(softmax(scores), rng)
    label = draw(rates[truth], rng)
    return scores, label, truth != label


def flips(rate01, rate10):
    return [[1 - rate01, rate01], [rate10, 1 - rate10]]


def average_precision(value, wrong):
    hits = wrong[np.argsort(-value, kind="stable")]
    return (np.cumsum(hits) / np.arange(1, len(hits) + 1))[hits].mean()


def loss(scores, label):
    return -np.log(softmax(scores)[np.arange(len(label)), label])


def sample(n, k, *, seed=0):
    scores, label, _ = simulate(
        n, np.full((k, k), 0.1 / (k - 1)) + np.eye(k) * (0.9 - 0.1 / (k - 1)), seed=seed
    )
    weight = np.random.default_rng(seed).uniform(0.5, 2, n)
    return Sample(np.vstack([np.zeros(n), scores.T]), label, weight)


def some_theta(k, structure, *, seed=0):
    rng = np.random.default_rng(seed)
    phi = rng.uniform(0.05, 0.5, {"none": 0, "common": 1}.get(structure, k * (k - 1)))
    return np.concatenate((rng.normal(0, 0.5, k), phi))
