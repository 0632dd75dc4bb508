"""The tasks that every library is timed on, and how a worker talks to the driver.

Plain numpy and the standard library: this file is imported in the peers' own environment,
where neither mfal nor this project's other dependencies are installed.

A worker is started as ``python -m tests.benchmarks.peer_<library> '<task as JSON>'``. It sets
itself up, answers with a line that says it is ready, and then answers every line it is sent:

- ``go``: train a new network for ``iterations`` batches, and say how long that took;
- ``quality N``: train a new network for N trajectories, and give the exact distribution of what
  it then samples.

Every block starts from a new network because trajectories on the hypergrid grow while it
learns: libraries are compared over the same stretch of training.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from functools import cache
from importlib.metadata import version
from itertools import product
from typing import Any, Protocol

import numpy as np

HIDDEN = (256, 256)
LEARNING_RATE = 1e-3
LOG_Z_LEARNING_RATE = 0.1

LETTERS = 4
BETA = 0.7
REWARDS = (0.1, 0.5, 2.0)
"""R0, R1 and R2 of the hypergrid."""

WARM_UP = 5
"""Iterations before the first block, never timed: compilation, caches, buffers."""


class Trainer(Protocol):
    """What a library's worker has to offer."""

    def reset(self) -> None:
        """Start again from a new network."""

    def train(self, iterations: int) -> None:
        """Train for so many batches more."""

    def policy(self) -> np.ndarray:
        """Probability of every action in every state of the hypergrid.

        As many rows as ``grid_states`` has, a column for each axis and a last one for stopping.
        """


def serve(build: Callable[[dict[str, Any]], Trainer], packages: Sequence[str]) -> None:
    """Do what the driver asks, until it closes the pipe."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print must not be taken for an answer
    if hasattr(os, "sched_setaffinity"):  # XLA starts as many threads as it sees cores
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    task = json.loads(sys.argv[1])
    began = time.process_time()
    trainer = build(task)
    trainer.train(WARM_UP)
    ready = {
        "setup_cpu_s": time.process_time() - began,
        "versions": {name: version(name) for name in packages},
    }
    answers.write(json.dumps(ready) + "\n")
    for line in sys.stdin:
        command, *arguments = line.split()
        quality = command == "quality"
        iterations = int(arguments[0]) // task["batch"] if quality else task["iterations"]
        trainer.reset()
        wall, cpu = time.perf_counter(), time.process_time()
        trainer.train(iterations)
        answer: dict[str, Any] = {
            "iterations": iterations,
            "trajectories": iterations * task["batch"],
            "cpu_s": time.process_time() - cpu,
            "wall_s": time.perf_counter() - wall,
        }
        if quality:
            sampled = terminal_distribution(trainer.policy(), task["dims"], task["side"])
            answer["distribution"] = [float(p) for p in sampled]
        answers.write(json.dumps(answer) + "\n")


@cache
def potts_tables(length: int) -> tuple[np.ndarray, np.ndarray]:
    """Fields (``length x 4``) and couplings of neighbours (``length - 1 x 4 x 4``)."""
    rng = np.random.default_rng(0)
    fields = rng.normal(size=(length, LETTERS)).astype(np.float32)
    couplings = rng.normal(size=(length - 1, LETTERS, LETTERS)).astype(np.float32)
    return fields, couplings


def potts_log_reward(sequences: np.ndarray) -> np.ndarray:
    """Log reward of ``n x length`` sequences of letters 0 to 3."""
    fields, couplings = potts_tables(sequences.shape[1])
    i = np.arange(sequences.shape[1])
    single = fields[i, sequences].sum(1)
    pairs = couplings[i[:-1], sequences[:, :-1], sequences[:, 1:]].sum(1)
    return BETA * (single + pairs)


def grid_states(dims: int, side: int) -> np.ndarray:
    """Every state of the hypergrid, the last coordinate changing fastest: ``side^dims x dims``."""
    return np.array(list(product(range(side), repeat=dims)))


def grid_log_reward(states: np.ndarray, side: int) -> np.ndarray:
    """Log reward of ``n x dims`` states of the hypergrid."""
    r0, r1, r2 = REWARDS
    distance = np.abs(states / (side - 1) - 0.5)
    outer = (distance > 0.25).all(-1)
    ring = ((distance > 0.3) & (distance < 0.4)).all(-1)
    return np.log(r0 + r1 * outer + r2 * ring)


def grid_target(dims: int, side: int) -> np.ndarray:
    """What a perfect sampler draws: reward over its sum, ``side^dims``."""
    reward = np.exp(grid_log_reward(grid_states(dims, side), side))
    return reward / reward.sum()


def terminal_distribution(policy: np.ndarray, dims: int, side: int) -> np.ndarray:
    """Where trajectories of this policy stop, exactly: ``side^dims``.

    The probability of reaching a state flows to its children in order of the coordinates' sum.
    """
    states = grid_states(dims, side)
    policy = policy.astype(np.float64)
    reach = np.zeros(len(states))
    reach[0] = 1.0
    steps = side ** np.arange(dims - 1, -1, -1)
    for total in range(dims * (side - 1)):
        level = np.flatnonzero(states.sum(1) == total)
        for axis in range(dims):
            rows = level[states[level, axis] < side - 1]
            reach[rows + steps[axis]] += reach[rows] * policy[rows, axis]
    return reach * policy[:, dims]


def total_variation(p: np.ndarray, q: np.ndarray) -> float:
    """Half the sum of absolute differences of two distributions."""
    return float(0.5 * np.abs(p - q).sum())
