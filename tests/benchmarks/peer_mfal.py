"""Our engine through its general interface, as a worker (see ``peer_tasks``)."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from mfal.envs.base import Environment
from mfal.envs.hypergrid import HypergridEnvironment, hypergrid_log_reward
from mfal.envs.sequence import SequenceEnvironment
from mfal.gfn.agent import Agent
from mfal.gfn.moves import log_probabilities
from mfal.gfn.policy import PolicySettings, make_policy
from mfal.gfn.products import dense_relu, product
from mfal.gfn.settings import TrainSettings
from mfal.gfn.train import StateReward, Trainer
from mfal.verification.verify import fresh_per_step
from tests.benchmarks.peer_tasks import (
    BETA,
    HIDDEN,
    LEARNING_RATE,
    REWARDS,
    grid_states,
    potts_tables,
    serve,
)

FOREVER = 1_000_000_000
CHUNK = 1024


class MfalTrainer:
    """Trajectory balance with our trainer, on fresh trajectories only.

    With ``recipe`` in the task: our default recipe, at the same number of fresh trajectories.
    """

    def __init__(self, task: dict[str, Any]) -> None:
        torch.set_num_threads(1)
        self.task = task
        self.environment, self.log_reward = _problem(task)
        self.policy_settings = PolicySettings(hidden=HIDDEN[0], precision=task["precision"])
        # log Z learns a hundred times as fast as the policy here, too.
        self.settings = TrainSettings(
            steps=FOREVER,
            batch_size=task["batch"],
            learning_rate=LEARNING_RATE,
            loss="tb",
            epsilon=0.0,
            replay_share=0.0,
            guided_every=0,
            cooldown=0.0,
            report_every=FOREVER,
        )
        self.reset()

    def reset(self) -> None:
        heads, seed = self.settings.heads(self.environment), self.task["seed"]
        generator = Generator().manual_seed(seed)
        policy = make_policy(self.policy_settings, self.environment, heads, generator)
        self.agent = Agent(self.environment, policy, heads)
        self.trainer = Trainer(self.agent, self.log_reward, self.settings, seed=seed)

    def train(self, iterations: int) -> None:
        if self.task.get("recipe"):
            recipe = TrainSettings(report_every=FOREVER)
            steps = iterations * self.task["batch"] // fresh_per_step(recipe)
            self.settings = replace(recipe, steps=max(1, steps))
            self.reset()
        self.trainer.run(steps=iterations)

    @torch.no_grad()
    def policy(self) -> np.ndarray:
        points = torch.tensor(grid_states(self.task["dims"], self.task["side"]))
        states = torch.cat([points, torch.zeros_like(points[:, :1])], dim=1)
        logits = self.agent.heads.forward_of(self.agent.outputs(states))
        return log_probabilities(logits, self.environment.forward_mask(states)).exp().numpy()


class Products:
    """Only the products of the square hidden layer that a step cannot do without.

    One forwards for every step of the trajectories that are under way, two backwards for every
    chunk of states: what no program that uses these kernels can be faster than.
    """

    def __init__(self, task: dict[str, Any]) -> None:
        torch.set_num_threads(1)
        dtype = torch.bfloat16 if task["precision"] == "bfloat16" else torch.float32
        width = HIDDEN[0]
        self.batches = _rows(task)
        self.weight, self.bias = (
            torch.randn(width, width, dtype=dtype),
            torch.zeros(width).to(dtype),
        )
        self.values = torch.randn(max(CHUNK, task["batch"]), width, dtype=dtype)
        self.out = torch.empty_like(self.values)

    def reset(self) -> None:
        pass

    def train(self, iterations: int) -> None:
        for steps in self.batches[:iterations]:
            for n in steps:
                dense_relu(self.values[:n], self.weight, self.bias, self.out[:n])
            rows = sum(steps)
            for size in [CHUNK] * (rows // CHUNK) + [rows % CHUNK] * (rows % CHUNK > 0):
                chunk = self.values[:size]
                product(chunk.T, chunk)
                product(chunk, self.weight.T)

    def policy(self) -> np.ndarray:
        raise RuntimeError("products have no policy")


def _rows(task: dict[str, Any]) -> list[list[int]]:
    """How many trajectories are under way at each step of each batch of a block."""
    if task["task"] == "dna":
        return [[task["batch"]] * task["length"]] * task["iterations"]
    rows = []
    learner = MfalTrainer({**task, "precision": "float32"})
    log_reward = learner.log_reward

    def looking(states: Tensor, context: Tensor | None) -> Tensor:
        # Every step adds one to a coordinate, the last one to the flag that says so.
        lengths = states.sum(dim=1)
        rows.append([int((lengths > time).sum()) for time in range(int(lengths.max()))])
        return log_reward(states, context)

    learner.log_reward = looking
    learner.reset()
    learner.train(task["iterations"])
    return rows


def build(task: dict[str, Any]) -> MfalTrainer | Products:
    """What the task asks for."""
    return Products(task) if task.get("products") else MfalTrainer(task)


def _problem(task: dict[str, Any]) -> tuple[Environment, StateReward]:
    if task["task"] == "dna":
        return SequenceEnvironment(alphabet="ACGT", length=task["length"]), _potts(task["length"])
    side, (r0, r1, r2) = task["side"], REWARDS

    def log_reward(states: Tensor, context: Tensor | None) -> Tensor:
        return hypergrid_log_reward(states, side=side, r0=r0, r1=r1, r2=r2)

    return HypergridEnvironment(dimensions=task["dims"], side=side), log_reward


def _potts(length: int) -> StateReward:
    fields, couplings = (torch.tensor(table) for table in potts_tables(length))
    i = torch.arange(length)

    def log_reward(states: Tensor, context: Tensor | None) -> Tensor:
        single = fields[i, states].sum(1)
        return BETA * (single + couplings[i[:-1], states[:, :-1], states[:, 1:]].sum(1))

    return log_reward


if __name__ == "__main__":
    serve(build, ("torch", "numpy"))
