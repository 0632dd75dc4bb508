"""gfnx in its most favourable form, as a worker (see ``peer_tasks``).

Its own environments, rewards and ``forward_rollout``; rollout, loss and update are one
compiled loop without metrics. The policy is a bare MLP, and P_B is not evaluated where the
states form a tree.
"""

from itertools import pairwise
from typing import Any

import gfnx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from gfnx.environment.sequence import EnvState, FixedAutoregressiveSequenceEnvironment
from gfnx.utils.rollout import TrajectoryData, forward_rollout

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

Params = dict[str, Any]


class PottsReward(gfnx.base.BaseRewardModule):
    """The fields and couplings of ``potts_tables``."""

    def init(self, rng_key: jax.Array, dummy_state: EnvState) -> dict[str, jax.Array]:
        fields, couplings = potts_tables(dummy_state.tokens.shape[1])
        return {"fields": BETA * jnp.asarray(fields), "couplings": BETA * jnp.asarray(couplings)}

    def log_reward(self, state: EnvState, env_params: Any) -> jax.Array:
        tables, tokens = env_params.reward_params, state.tokens
        i = jnp.arange(tokens.shape[1])
        single = tables["fields"][i, tokens].sum(1)
        return single + tables["couplings"][i[:-1], tokens[:, :-1], tokens[:, 1:]].sum(1)

    def reward(self, state: EnvState, env_params: Any) -> jax.Array:
        return jnp.exp(self.log_reward(state, env_params))


class DnaEnvironment(FixedAutoregressiveSequenceEnvironment):
    """As gfnx's TFBind8, at any length."""

    def __init__(self, length: int) -> None:
        super().__init__(
            PottsReward(),
            max_length=length,
            nchar=LETTERS,
            ntoken=LETTERS + 3,
            bos_token=LETTERS,
            eos_token=LETTERS + 1,
            pad_token=LETTERS + 2,
        )

    def get_obs(self, state: EnvState, env_params: Any) -> jax.Array:
        """One-hot letters; padding is all zeros."""
        return jax.nn.one_hot(state.tokens, LETTERS).reshape(len(state.tokens), -1)


class GfnxTrainer:
    """Trajectory balance in one jitted ``fori_loop``."""

    def __init__(self, task: dict[str, Any]) -> None:
        self.batch, self.seed = task["batch"], task["seed"]
        self.is_tree = task["task"] == "dna"
        if self.is_tree:
            self.env = DnaEnvironment(task["length"])
        else:
            reward = gfnx.GeneralHypergridRewardModule(*REWARDS)
            self.env = gfnx.HypergridEnvironment(reward, dim=task["dims"], side=task["side"])
            self.states = grid_states(task["dims"], task["side"])
        self.env_params = self.env.init(jax.random.PRNGKey(0))
        self.optimizer = optax.multi_transform(
            {"net": optax.adam(LEARNING_RATE), "log_z": optax.adam(LOG_Z_LEARNING_RATE)},
            {"net": "net", "log_z": "log_z"},
        )
        self._loop = jax.jit(self._iterate, donate_argnums=(0,))
        self.reset()

    def reset(self) -> None:
        key, net_key = jax.random.split(jax.random.PRNGKey(self.seed))
        observation, _ = self.env.reset(1, self.env_params)
        widths = (observation.shape[1], *HIDDEN, self.env.action_space.n)
        params: Params = {"net": initial_net(net_key, widths), "log_z": jnp.zeros(())}
        self.carry = (params, self.optimizer.init(params), key)

    def train(self, iterations: int) -> None:
        self.carry = jax.block_until_ready(self._loop(self.carry, iterations))

    def policy(self) -> np.ndarray:
        states = self.env.get_all_states(self.env_params)
        logits = forward(self.carry[0]["net"], self.env.get_obs(states, self.env_params))
        invalid = self.env.get_invalid_mask(states, self.env_params)
        assert np.array_equal(np.asarray(states.state), self.states)
        return np.asarray(jax.nn.softmax(gfnx.utils.mask_logits(logits, invalid)))

    def _iterate(self, carry: tuple[Any, ...], iterations: int) -> tuple[Any, ...]:
        return jax.lax.fori_loop(0, iterations, lambda _, c: self._update(c), carry)

    def _update(self, carry: tuple[Any, ...]) -> tuple[Any, ...]:
        params, optimizer_state, key = carry
        key, rollout_key = jax.random.split(key)
        trajectories, _ = forward_rollout(
            rollout_key,
            self.batch,
            lambda _, observation, net: (forward(net, observation), {}),
            params["net"],
            self.env,
            self.env_params,
        )
        grads = jax.grad(self._loss)(params, trajectories)
        updates, optimizer_state = self.optimizer.update(grads, optimizer_state, params)
        return optax.apply_updates(params, updates), optimizer_state, key

    def _loss(self, params: Params, trajectories: TrajectoryData) -> jax.Array:
        """Mean squared trajectory balance; the last step of a rollout is always padding."""
        steps = jax.tree.map(lambda x: x[:, :-1].reshape(-1, *x.shape[2:]), trajectories)
        logits = forward(params["net"], steps.obs)
        if not self.is_tree:
            invalid = self.env.get_invalid_mask(steps.state, self.env_params)
            logits = gfnx.utils.mask_logits(logits, invalid)
        log_p = jax.nn.log_softmax(logits)
        log_ratio = jnp.take_along_axis(log_p, steps.action[:, None], axis=-1)[:, 0]
        if not self.is_tree:
            after = jax.tree.map(lambda x: x[:, 1:].reshape(-1, *x.shape[2:]), trajectories.state)
            parents = ~self.env.get_invalid_backward_mask(after, self.env_params)
            log_ratio += jnp.log(parents.sum(-1))
        log_ratio = jnp.where(steps.pad, 0.0, log_ratio).reshape(self.batch, -1).sum(1)
        log_reward = jnp.where(trajectories.pad, 0.0, trajectories.log_gfn_reward).sum(1)
        return jnp.mean((params["log_z"] + log_ratio - log_reward) ** 2)


def initial_net(key: jax.Array, widths: tuple[int, ...]) -> list[tuple[jax.Array, jax.Array]]:
    """Weights and biases of an MLP, drawn as torch draws them."""
    layers = []
    for fan_in, fan_out in pairwise(widths):
        key, weight_key, bias_key = jax.random.split(key, 3)
        bound = fan_in**-0.5
        weight = jax.random.uniform(weight_key, (fan_in, fan_out), minval=-bound, maxval=bound)
        layers.append(
            (weight, jax.random.uniform(bias_key, (fan_out,), minval=-bound, maxval=bound))
        )
    return layers


def forward(net: list[tuple[jax.Array, jax.Array]], x: jax.Array) -> jax.Array:
    """The MLP's output for ``n x widths[0]`` observations."""
    *hidden, (weight, bias) = net
    for w, b in hidden:
        x = jax.nn.relu(x @ w + b)
    return x @ weight + bias


if __name__ == "__main__":
    serve(GfnxTrainer, ("gfnx", "jax", "jaxlib", "optax", "numpy"))
