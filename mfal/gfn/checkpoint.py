"""Checkpoints of training: tensors and plain values in a file, never code."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from mfal.errors import MfalError
from mfal.files import write_whole

# What to do about a checkpoint that does not fit.
_ANEW = "use what it was made with, or train anew without it"


class CheckpointError(MfalError):
    """A checkpoint that cannot be gone on from."""


def to_bytes(state: dict[str, Any]) -> bytes:
    """A nested dictionary of tensors and plain values as bytes."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def from_bytes(data: bytes, name: str, remedy: str = _ANEW) -> dict[str, Any]:
    """The inverse of `to_bytes`; runs no code that `data` may carry.

    Args:
        name: Where the data are from, for the error.
        remedy: What to do about it, for the error.

    Raises:
        CheckpointError: if these are no such data.
    """
    try:
        state: dict[str, Any] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    # torch raises several kinds: pickle.UnpicklingError, RuntimeError, EOFError, ...
    except Exception as error:
        raise CheckpointError(
            f"{name} is not a checkpoint: {type(error).__name__}", remedy
        ) from error
    if not isinstance(state, dict):
        raise CheckpointError(f"{name} is not a checkpoint: {type(state).__name__}", remedy)
    return state


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Replace the file in one step, so that a crash leaves the old one or the new one."""
    write_whole(path, to_bytes(state))


def read_checkpoint(path: Path, *, like: dict[str, Any], same: Sequence[str]) -> dict[str, Any]:
    """The state in a file, if it fits.

    Args:
        like: A state of the same kind: the same entries, tensors of the same shapes.
        same: Entries that must be equal.

    Raises:
        CheckpointError: if the file cannot be read or does not fit.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(
            f"cannot read {path}: {error.strerror}", "name a checkpoint"
        ) from error
    state = from_bytes(data, str(path))
    if set(state) != set(like):
        raise CheckpointError(f"{path} is a checkpoint of something else", _ANEW)
    for entry in same:
        changed = [k for k in like[entry] if state[entry].get(k) != like[entry][k]]
        if changed:
            now = ", ".join(f"{k} = {like[entry][k]} (was {state[entry].get(k)})" for k in changed)
            raise CheckpointError(
                f"{path} was made with other {entry}: now {now}", "restore them, or train anew"
            )
    check_shapes(state["policy"], like["policy"], str(path))
    return state


def check_shapes(
    found: dict[str, Any], expected: dict[str, Any], name: str, remedy: str = _ANEW
) -> None:
    """Raise CheckpointError unless both hold tensors of the same names and shapes."""
    there, here = (
        {k: "x".join(map(str, getattr(v, "shape", ["?"]))) for k, v in weights.items()}
        for weights in (found, expected)
    )
    odd = [k for k in here | there if there.get(k) != here.get(k)]
    if odd:
        named = [f"{k} ({there.get(k, 'none')}, here {here.get(k, 'none')})" for k in odd[:3]]
        more = f" and {len(odd) - 3} more" if len(odd) > 3 else ""
        raise CheckpointError(
            f"{name} holds weights of another policy: {', '.join(named)}{more} differ in shape",
            remedy,
        )
