"""The laws of the actions' densities in continuous environments, and random ways through them."""

from collections.abc import Callable, Iterator

import torch
from torch import Generator, Tensor

from mfal.envs.base import Actions, ContinuousEnvironment
from mfal.testing.walks import Step

DRAWS = 4000
"""Actions drawn in one state, to compare with their density."""


class DensityChecks:
    """The part of `ContinuousEnvironmentChecks` about the distributions of actions."""

    n = 16
    seed = 0

    def environment(self) -> ContinuousEnvironment:
        """The environment to check; called once a law."""
        raise NotImplementedError("define environment(self) in your subclass of these checks")

    def test_drawn_actions_have_a_density(self) -> None:
        """The log-density of whatever is drawn is finite, also where drawn uniformly."""
        environment, generator = self.environment(), Generator().manual_seed(self.seed)
        for before, _, _ in steps(environment, self.n, self.seed):
            distribution = self._forward(environment, before)
            for epsilon in (0.0, 1.0):
                actions = distribution.draw(generator, epsilon=epsilon)
                assert actions.ndim == 2 and len(actions) == len(before), tuple(actions.shape)
                self._finite(distribution, actions, f"actions drawn with epsilon {epsilon}")

    def test_a_step_has_a_positive_density_of_its_way_back(self) -> None:
        """The fixed and the learnt way back may take every step that was made."""
        environment = self.environment()
        for _, actions, after in steps(environment, self.n, self.seed):
            for distribution in self._backward(environment, after):
                self._finite(distribution, actions, "the way back of steps")

    def test_a_step_back_has_a_positive_density_of_its_way_forward(self) -> None:
        """The policy may take every step that was undone."""
        environment = self.environment()
        for before, actions, _ in steps_back(environment, self.n, self.seed):
            self._finite(self._forward(environment, before), actions, "undone steps")

    def test_forward_densities_are_differentiable(self) -> None:
        """The gradient of the log-density in the outputs is finite, and not 0 everywhere."""
        environment = self.environment()
        for before, actions, _ in steps(environment, self.n, self.seed):
            outputs = self._outputs(len(before), environment.n_forward).requires_grad_()
            log_prob = environment.forward_actions(before, outputs).log_prob(actions)
            gradient = _gradient(log_prob, outputs)
            assert gradient.isfinite().all(), "a gradient is not finite"
            assert gradient.any(), "the forward density ignores the outputs"

    def test_backward_densities_are_differentiable(self) -> None:
        """The gradient of the learnt way back, where there is one, is finite."""
        environment = self.environment()
        if not environment.n_backward:
            return
        moved = False
        for _, actions, after in steps(environment, self.n, self.seed):
            outputs = self._outputs(len(after), environment.n_backward).requires_grad_()
            log_prob = environment.backward_actions(after, outputs).log_prob(actions)
            gradient = _gradient(log_prob, outputs)
            assert gradient.isfinite().all(), "a gradient is not finite"
            moved = moved or bool(gradient.any())
        # A single step may well be undone in one way only.
        assert moved or environment.max_steps == 1, "the backward density ignores the outputs"

    def test_draws_follow_the_density(self) -> None:
        """Under draws from one distribution, the density ratio of another averages to 1."""
        environment = self.environment()
        for before, _, _ in steps(environment, 1, self.seed):
            self._follow(environment.forward_actions, before, environment.n_forward)

    def test_learnt_draws_back_follow_the_density(self) -> None:
        """The same of the learnt way back, where there is one."""
        environment = self.environment()
        for _, _, after in steps(environment, 1, self.seed) if environment.n_backward else ():
            self._follow(environment.backward_actions, after, environment.n_backward)

    def _follow(self, made: Callable[[Tensor, Tensor], Actions], state: Tensor, width: int) -> None:
        """That draws follow the density, of distributions made from one state, ``1 x d``."""
        generator, states = Generator().manual_seed(self.seed), state.expand(DRAWS, -1)
        # Small outputs keep the two alike, and the ratio's spread low.
        rows = 0.5 * torch.randn(2, width, generator=generator)
        first, second = (made(states, row.expand(DRAWS, -1)) for row in rows)
        actions = first.draw(generator)
        ratio = (second.log_prob(actions) - first.log_prob(actions)).double().exp()
        error = float(ratio.std()) / len(ratio) ** 0.5
        mean = float(ratio.mean())
        assert abs(mean - 1) < 5 * error + 1e-3, f"the ratio averages to {mean:.3f}, not 1"

    def _outputs(self, n: int, width: int) -> Tensor:
        return _random_outputs(n, width, Generator().manual_seed(self.seed))

    def _forward(self, environment: ContinuousEnvironment, states: Tensor) -> Actions:
        outputs = self._outputs(len(states), environment.n_forward)
        return environment.forward_actions(states, outputs)

    def _backward(self, environment: ContinuousEnvironment, states: Tensor) -> Iterator[Actions]:
        yield environment.backward_actions(states, None)
        if environment.n_backward:
            outputs = self._outputs(len(states), environment.n_backward)
            yield environment.backward_actions(states, outputs)

    def _finite(self, distribution: Actions, actions: Tensor, what: str) -> None:
        log_prob = distribution.log_prob(actions)
        assert log_prob.shape == (len(actions),), f"log_prob gives {tuple(log_prob.shape)}"
        assert log_prob.isfinite().all(), f"the log-density of {what} is {log_prob.tolist()}"


def steps(environment: ContinuousEnvironment, n: int, seed: int) -> Iterator[Step]:
    """Random steps of n rows from the source until all are finished or too long."""
    generator, states = Generator().manual_seed(seed), environment.initial(n)
    for _ in range(environment.max_steps + 1):
        before = states[~environment.finished(states)]
        if not len(before):
            return
        outputs = _random_outputs(len(before), environment.n_forward, generator)
        actions = environment.forward_actions(before, outputs).draw(generator)
        # Copies, so that an environment that writes into its arguments cannot hide it.
        states = environment.step(before.clone(), actions.clone())
        yield before, actions, states


def steps_back(environment: ContinuousEnvironment, n: int, seed: int) -> Iterator[Step]:
    """Steps back of n finished rows, as the fixed distribution draws them."""
    generator, states = Generator().manual_seed(seed), finished(environment, n, seed)
    for _ in range(environment.max_steps + 1):
        after = states[~environment.at_source(states)]
        if not len(after):
            return
        actions = environment.backward_actions(after, None).draw(generator)
        states = environment.undo(after, actions)
        yield states, actions, after


def finished(environment: ContinuousEnvironment, n: int, seed: int) -> Tensor:
    """N finished states, ``n x d``."""
    ends = [after for _, _, after in steps(environment, n, seed)]
    return torch.cat([states[environment.finished(states)] for states in ends])


def _random_outputs(n: int, width: int, generator: Generator) -> Tensor:
    return torch.randn(n, width, generator=generator)


def _gradient(log_prob: Tensor, outputs: Tensor) -> Tensor:
    """Of the sum, in the outputs; zeros where it does not depend on them."""
    if not log_prob.requires_grad:
        return torch.zeros_like(outputs)
    (gradient,) = torch.autograd.grad(
        log_prob.sum(), outputs, allow_unused=True, materialize_grads=True
    )
    return gradient
