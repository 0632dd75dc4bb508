"""Generative flow networks: policy, rollouts, losses, replay, training and the sampler."""
