"""Processes that have imported what takes long, from which those of tests are forked."""

import multiprocessing

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    ["mfal.cli.app", "mfal.cli.rounds", "mfal.surrogate.gp", "mfal.gfn.sampler", "mfal.laws"]
)
