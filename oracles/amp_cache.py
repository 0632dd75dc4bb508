"""The fitted classifiers, kept in a file so that they are fitted once per machine.

The file holds numbers only (safetensors), so reading it runs no code, whoever wrote it. Its name
carries a hash of the peptides, the code and the libraries that it comes from: change one, and
another file is made. Processes that come for it at the same time may fit the same classifiers
twice, and the last puts its file in place of the first in one step, with the same content.
"""

import hashlib
import logging
import os
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import mfal
from oracles.amp_data import Labelled, labelled_peptides

if TYPE_CHECKING:
    from oracles.amp_classifier import Array, Classifier

log = logging.getLogger(__name__)

_CODE = (
    *(Path(__file__).parent / name for name in ("amp_classifier.py", "amp_training.py")),
    *(
        Path(mfal.__file__).parent / "features" / name
        for name in ("peptides.py", "residues.py", "letters.py")
    ),
)
_LIBRARIES = ("numpy", "scikit-learn")


def default_folder() -> Path:
    """``$XDG_CACHE_HOME/mfal``, or ``~/.cache/mfal``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mfal"


def fingerprint(training: Labelled) -> str:
    """Hash of everything that the classifiers depend on: peptides, labels, code and versions."""
    digest = hashlib.sha256()
    for key, antimicrobial in zip(training.keys, training.antimicrobial, strict=True):
        digest.update(f"{key} {antimicrobial:d}\n".encode())
    for path in _CODE:
        digest.update(path.read_bytes())
    for name in _LIBRARIES:
        digest.update(f"{name} {version(name)}\n".encode())
    return digest.hexdigest()


def load_or_train(folder: Path) -> "dict[str, Classifier]":
    """The classifier of each fidelity, from the file in `folder` or else fitted and put there."""
    from oracles.amp_training import train

    training, _ = labelled_peptides()
    path = folder / f"amp-{fingerprint(training)[:32]}.safetensors"
    if path.exists():
        try:
            return _read(path)
        except Exception as error:
            log.warning("%s cannot be read (%s): fitting the classifiers again", path, error)
    log.info("fitting the antimicrobial classifiers to %d peptides", len(training.keys))
    ladder = train(training)
    _write(path, {k: v for name, c in ladder.items() for k, v in c.arrays(name).items()})
    return ladder


def _read(path: Path) -> "dict[str, Classifier]":
    from safetensors.numpy import load

    from oracles.amp_classifier import Classifier

    arrays = load(path.read_bytes())
    names = dict.fromkeys(name.partition(".")[0] for name in arrays)
    return {name: Classifier.from_arrays(arrays, name) for name in names}


def _write(path: Path, arrays: "dict[str, Array]") -> None:
    from safetensors.numpy import save

    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Others see either no file or a whole one, and a failure leaves none behind.
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            part = Path(folder) / path.name
            part.write_bytes(save(arrays))
            part.replace(path)
    except OSError as error:
        log.warning("the classifiers are not kept for the next time: %s", error)
