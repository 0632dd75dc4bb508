"""The weights that the DNA transformer ships with: where they are and what they are called.

Free of torch, so that a problem can name its engines before anything heavy is loaded.
"""

import hashlib
import math
from pathlib import Path

from mfal.errors import MfalError

TRAINED_LENGTH = 30
WEIGHTS = Path(__file__).resolve().parent.parent / "data" / "dna_transformer.safetensors"
TRAIN_COMMAND = f"python -m oracles.dna_training train --out {WEIGHTS}"


def transformer_label(weights: Path = WEIGHTS) -> str:
    """Name of a weights file: the first digits of its SHA-256, and the size of the network."""
    from safetensors import SafetensorError, safe_open

    try:
        digest = hashlib.sha256(weights.read_bytes()).hexdigest()
        with safe_open(weights, framework="np") as tensors:
            names = tensors.keys()
            parameters = sum(math.prod(tensors.get_slice(name).get_shape()) for name in names)
    except (OSError, SafetensorError) as error:
        raise unreadable_weights(weights, error) from error
    return f"transformer {digest[:8]}, {round(parameters / 1000)}k parameters"


def unreadable_weights(weights: Path, error: Exception) -> MfalError:
    """The error for weights that are missing or not what they should be."""
    return MfalError(
        f"the transformer's weights {weights} cannot be read ({error})",
        f"install the package again, or train them anew: {TRAIN_COMMAND}",
    )
