"""How much of the best possible profit does targeting by `study_uplift` reach? Experiments with both outcomes known.

    python benchmarks/uplift.py --customers 3000 --draws 1

Each experiment has two arms drawn by a coin. The rule learned (treat where the predicted effect exceeds the cost) is
applied to 20,000 other customers whose true effect is known. The ceiling treats exactly those whose true effect exceeds
the cost. Costs: none, half of the true average effect, and all of it (where treating everybody gains nothing).
"""

from __future__ import annotations

import argparse

import numpy as np
import numpy.typing as npt
import pandas as pd

from clvml import Experiment, study_uplift

Array = npt.NDArray[np.float64]
TRUTHS = ("linear", "step", "curved", "value", "money")
COSTS = (0.0, 0.5, 1.0)


def customers(truth: str, n: int, rng: np.random.Generator) -> tuple[Array, Array, Array, Array]:
    """Features, outcome without and with treatment, and the true expected effect."""
    x = rng.normal(size=(n, 8))
    x[:, 6], x[:, 7] = rng.integers(0, 2, n), rng.integers(0, 4, n)
    if truth == "money":  # who buys, and for how much: zeros and a lognormal tail
        logit = -1 + 0.8 * x[:, 0] + 0.3 * x[:, 1]
        p0, p1 = 1 / (1 + np.exp(-logit)), 1 / (1 + np.exp(-(logit + 0.5 * x[:, 3] + 0.25)))
        ticket, luck = np.exp(1 + 0.5 * x[:, 2]), np.exp(rng.normal(-0.32, 0.8, n))
        u = rng.random(n)
        return x, (u < p0) * ticket * luck, (u < p1) * ticket * luck, (p1 - p0) * ticket
    base = 2 + x[:, 0] + 0.5 * x[:, 1] ** 2 + 0.5 * x[:, 2] * x[:, 6]
    effect = {
        "linear": 0.5 + 0.6 * x[:, 0] - 0.4 * x[:, 3],
        "step": np.where((x[:, 0] > 0) & (x[:, 3] > -0.5), 1.2, -0.3),
        "curved": 0.3 + 0.8 * np.sin(1.5 * x[:, 1]) + 0.4 * x[:, 6],
        "value": 0.25 * np.maximum(base, 0) - 0.2,
    }[truth]
    noise = 2 * rng.normal(size=n)
    return x, base + noise, base + effect + noise, effect


def reached(truth: str, n: int, seed: int) -> list[float]:
    """Share of the ceiling at each cost, of one experiment."""
    rng = np.random.default_rng([seed, 5])
    x, y0, y1, _ = customers(truth, n, rng)
    treated = rng.random(n) < 0.5
    names = [f"x{i}" for i in range(x.shape[1])]
    data = pd.DataFrame(x, columns=names).assign(arm=np.where(treated, "treat", "none"), y=np.where(treated, y1, y0))
    experiment = Experiment.from_frame(data, treatment="arm", control="none", outcomes=["y"], features=names)
    result = study_uplift(experiment, "y")
    x, _, _, effect = customers(truth, 20_000, rng)
    predicted = result.predict(pd.DataFrame(x, columns=names))["treat"].to_numpy()
    shares = []
    for cost in COSTS:
        gain = effect - cost * effect.mean()
        shares.append(float(((predicted > cost * effect.mean()) * gain).mean() / np.maximum(gain, 0).mean()))
    return shares


def main() -> None:
    """Print a line a truth: the shares, and how many experiments reach less than 5% of the ceiling at cost 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=3000)
    parser.add_argument("--draws", type=int, default=1)
    wanted = parser.parse_args()
    rows = []
    for truth in TRUTHS:
        found = np.array([reached(truth, wanted.customers, seed) for seed in range(wanted.draws)])
        rows.append(found.mean(axis=0))
        nothing = int((found[:, 0] < 0.05).sum())
        cells = " | ".join(f"{100 * v:.1f}%" for v in rows[-1])
        print(f"| {truth} | {cells} | {nothing} of {wanted.draws} |", flush=True)
    print("| mean | " + " | ".join(f"{100 * v:.1f}%" for v in np.mean(rows, axis=0)) + " | |")


if __name__ == "__main__":
    main()
