"""The steps of a round as Prefect tasks."""

from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

import mfal.learn
import mfal.propose
import mfal.round
from mfal.round import Steps


def _task(name: str, step: Any) -> Any:  # noqa: ANN401
    # NO_CACHE: arguments are models and ledgers, and the truth is the ledger, not a cache.
    return task(name=name, cache_policy=NO_CACHE, persist_result=False)(step)


STEPS = Steps(
    fit=_task("fit", mfal.learn.fit),
    train=_task("train", mfal.learn.train),
    propose=_task("propose", mfal.propose.propose),
    score=_task("score", mfal.round.score),
    append=_task("append", mfal.round.append),
)
