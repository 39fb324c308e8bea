"""How likely each label is wrong: noise rates fitted to leave-one-out scores, and what follows from them."""

from __future__ import annotations

from dataaudit.noise.model import NoiseModel, fit_noise
from dataaudit.noise.order import review_budget

__all__ = ["NoiseModel", "fit_noise", "review_budget"]
