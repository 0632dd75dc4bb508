"""torchgfn in its quickest right form, as a worker (see ``peer_tasks``).

Its own hypergrid, and for DNA an environment in the manner of its ``DiscreteEBM``. Log
probabilities are kept while sampling, so the policy is evaluated once; torch's checks of
distributions are off and Adam is fused. Sequences end with the exit action that its API asks
of every environment, which costs one step more than there are letters.
"""

from typing import Any

import numpy as np
import torch
from gfn.actions import Actions
from gfn.env import DiscreteEnv
from gfn.estimators import DiscretePolicyEstimator
from gfn.gflownet import TBGFlowNet
from gfn.gym import HyperGrid
from gfn.preprocessors import KHotPreprocessor, Preprocessor
from gfn.samplers import Sampler
from gfn.states import DiscreteStates
from gfn.utils.modules import MLP, DiscreteUniform

from tests.benchmarks.peer_tasks import (
    BETA,
    HIDDEN,
    LEARNING_RATE,
    LETTERS,
    LOG_Z_LEARNING_RATE,
    REWARDS,
    grid_states,
    potts_tables,
    serve,
)


class DnaEnvironment(DiscreteEnv):
    """Sequences of one length, a letter appended at each step; -1 is a place still empty."""

    def __init__(self, length: int) -> None:
        fields, couplings = potts_tables(length)
        self.fields, self.couplings = torch.tensor(fields), torch.tensor(couplings)
        super().__init__(
            n_actions=LETTERS + 1,
            s0=torch.full((length,), -1),
            sf=torch.full((length,), LETTERS),
            state_shape=(length,),
        )

    def make_states_class(self) -> type[DiscreteStates]:
        env = self

        class DnaStates(DiscreteStates):
            state_shape = env.state_shape
            s0 = env.s0
            sf = env.sf
            n_actions = env.n_actions

            def _compute_forward_masks(self) -> torch.Tensor:
                complete = self.tensor[..., -1:] >= 0
                letters = (~complete).expand(*self.batch_shape, LETTERS)
                return torch.cat([letters, complete], dim=-1)

        return DnaStates

    def step(self, states: DiscreteStates, actions: Actions) -> DiscreteStates:
        place = (states.tensor >= 0).sum(-1, keepdim=True)
        return self.States(states.tensor.scatter(-1, place, actions.tensor))

    def backward_step(self, states: DiscreteStates, actions: Actions) -> DiscreteStates:
        place = (states.tensor >= 0).sum(-1, keepdim=True) - 1
        return self.States(states.tensor.scatter(-1, place, -1))

    def log_reward(self, states: DiscreteStates) -> torch.Tensor:
        x = states.tensor
        i = torch.arange(x.shape[1])
        single = self.fields[i, x].sum(1)
        return BETA * (single + self.couplings[i[:-1], x[:, :-1], x[:, 1:]].sum(1))


class OneHotLetters(Preprocessor):
    """One-hot letters; an empty place is all zeros."""

    def __init__(self, length: int) -> None:
        super().__init__(output_dim=length * LETTERS)
        self.letters = torch.arange(LETTERS)

    def preprocess(self, states: DiscreteStates) -> torch.Tensor:
        return (states.tensor[..., None] == self.letters).flatten(-2).float()


class TorchgfnTrainer:
    """Trajectory balance with torchgfn's sampler, estimators and loss."""

    def __init__(self, task: dict[str, Any]) -> None:
        torch.set_num_threads(1)
        torch.distributions.Distribution.set_default_validate_args(False)
        self.task = task
        if task["task"] == "dna":
            self.env: DiscreteEnv = DnaEnvironment(task["length"])
            self.preprocessor: Preprocessor = OneHotLetters(task["length"])
        else:
            rewards = dict(zip(("R0", "R1", "R2"), REWARDS, strict=True))
            self.env = HyperGrid(task["dims"], task["side"], reward_fn_kwargs=rewards)
            self.preprocessor = KHotPreprocessor(task["side"], task["dims"])
        self.reset()

    def reset(self) -> None:
        torch.manual_seed(self.task["seed"])
        actions = self.env.n_actions
        net = MLP(self.preprocessor.output_dim, actions, HIDDEN[0], n_hidden_layers=len(HIDDEN))
        self.pf = DiscretePolicyEstimator(net, actions, preprocessor=self.preprocessor)
        is_tree = self.task["task"] == "dna"
        pb = None if is_tree else self._uniform_pb()
        self.gflownet = TBGFlowNet(pf=self.pf, pb=pb, init_logZ=0.0, constant_pb=is_tree)
        self.sampler = Sampler(estimator=self.pf)
        groups = [
            {"params": self.gflownet.pf_pb_parameters(), "lr": LEARNING_RATE},
            {"params": self.gflownet.logz_parameters(), "lr": LOG_Z_LEARNING_RATE},
        ]
        self.optimizer = torch.optim.Adam(groups, fused=True)

    def _uniform_pb(self) -> DiscretePolicyEstimator:
        actions = self.env.n_actions
        return DiscretePolicyEstimator(
            DiscreteUniform(actions - 1), actions, preprocessor=self.preprocessor, is_backward=True
        )

    def train(self, iterations: int) -> None:
        for _ in range(iterations):
            trajectories = self.sampler.sample_trajectories(
                self.env, n=self.task["batch"], save_logprobs=True
            )
            self.optimizer.zero_grad()
            loss = self.gflownet.loss(self.env, trajectories, recalculate_all_logprobs=False)
            loss.backward()
            self.optimizer.step()

    @torch.no_grad()
    def policy(self) -> np.ndarray:
        states = self.env.states_from_tensor(
            torch.tensor(grid_states(self.task["dims"], self.task["side"]))
        )
        return self.pf.to_probability_distribution(states, self.pf(states)).probs.numpy()


if __name__ == "__main__":
    serve(TorchgfnTrainer, ("torchgfn", "torch", "numpy"))
