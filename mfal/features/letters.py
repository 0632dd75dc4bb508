"""Text as tensors of letter codes."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mfal.errors import ConfigError, InvalidKeyError

_FILLER = "\0"


def check_alphabet(alphabet: str) -> None:
    """Raise ConfigError unless `alphabet` is distinct ASCII letters or digits."""
    if not alphabet or len(set(alphabet)) != len(alphabet):
        raise ConfigError(
            f"the alphabet is {alphabet!r}", "name each letter once, at least one, e.g. ACGT"
        )
    if not (alphabet.isascii() and alphabet.isalnum()):
        raise ConfigError(
            f"the alphabet is {alphabet!r}", "an alphabet is made of ASCII letters and digits"
        )


def encode(keys: Sequence[str], alphabet: str) -> tuple[Tensor, Tensor]:
    """Letter codes of keys that may differ in length.

    Returns:
        Codes ``n x L`` int64, the place of each letter in `alphabet` and ``len(alphabet)``
        after the end of a key, and the lengths of the keys, ``n`` int64.

    Raises:
        InvalidKeyError: A key holds a letter that is not in `alphabet`.
    """
    lengths = torch.tensor([len(key) for key in keys], dtype=torch.long)
    width = max((len(key) for key in keys), default=0)
    if width == 0:
        return torch.zeros(len(keys), 0, dtype=torch.long), lengths
    text = "".join([key.ljust(width, _FILLER) for key in keys])
    table = torch.full((256,), -1, dtype=torch.long)
    table[ord(_FILLER)] = len(alphabet)
    table[torch.tensor([ord(letter) for letter in alphabet])] = torch.arange(len(alphabet))
    # Letters outside ASCII become "?", which no alphabet holds.
    points = torch.frombuffer(bytearray(text.encode("ascii", "replace")), dtype=torch.uint8)
    codes = table[points.long()].view(len(keys), width)
    inside = torch.arange(width) < lengths[:, None]
    wrong = (codes < 0) | (inside & (codes == len(alphabet)))
    if bool(wrong.any()):
        key = keys[int(wrong.any(dim=1).nonzero()[0])]
        letters = sorted(set(key) - set(alphabet))
        raise InvalidKeyError(
            f"{key!r} holds {', '.join(map(repr, letters))}",
            f"keys are written with the letters {alphabet!r}",
        )
    return codes, lengths
