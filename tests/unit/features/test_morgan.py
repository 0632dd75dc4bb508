"""Morgan counts against RDKit's own, in both notations, and what cannot be read."""

import pytest
import torch

from mfal import registry
from mfal.dataset import Dataset
from mfal.errors import ConfigError, InvalidKeyError
from mfal.features.morgan import MorganCounts
from mfal.sections import Component
from mfal.surrogate.gp import MultiFidelityGP
from mfal.surrogate.kernels import CountKernel

Chem = pytest.importorskip("rdkit.Chem", reason="needs rdkit: pip install -e '.[molecules]'")
selfies = pytest.importorskip("selfies", reason="needs selfies: pip install -e '.[molecules]'")

SMILES = (
    *("C", "CC", "CCO", "c1ccccc1", "CC(=O)Oc1ccccc1C(=O)O", "CN1C=NC2=C1C(=O)N(C)C(=O)N2C"),
    *("c1ccc2ccccc2c1", "Brc1ccsc1", "FC(F)(F)c1ccncc1", "N#Cc1ccccc1", "OCC1CCCN1", ""),
)


def alone(smiles: str, radius: int, size: int) -> torch.Tensor:
    """RDKit's dense vector of counts."""
    from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

    generator = GetMorganGenerator(radius=radius, fpSize=size)
    counts = generator.GetCountFingerprintAsNumPy(Chem.MolFromSmiles(smiles))
    return torch.from_numpy(counts.astype(float))


@pytest.mark.parametrize(("radius", "size"), [(2, 2048), (0, 64), (3, 1000)])
def test_counts_are_rdkits(radius: int, size: int) -> None:
    features = MorganCounts(notation="smiles", radius=radius, size=size)
    counts = features(SMILES)
    assert counts.dtype == torch.float64 and features.width == size
    assert torch.equal(counts, torch.stack([alone(s, radius, size) for s in SMILES]))


def test_ethanol_is_counted_by_hand() -> None:
    # Atoms C, C, O; within one bond CH3-C, C-CH2-O and C-OH; the whole molecule at two bonds is
    # the environment of the middle at one, and is counted once.
    counts = MorganCounts(notation="smiles")(["CCO"])[0]
    assert counts[counts > 0].tolist() == [1.0] * 6
    # Six equal atoms, six equal environments of one bond, and six of two.
    assert MorganCounts(notation="smiles")(["c1ccccc1"]).unique().tolist() == [0.0, 6.0]


def test_selfies_and_other_texts_for_a_molecule_have_its_row() -> None:
    expected = MorganCounts(notation="smiles")(SMILES[:-1])
    texts = [selfies.encoder(s) for s in SMILES[:-1]]
    assert torch.equal(MorganCounts()(texts), expected)
    backwards = [Chem.MolToSmiles(Chem.MolFromSmiles(s), doRandom=True) for s in SMILES[:-1]]
    assert torch.equal(MorganCounts(notation="smiles")(backwards), expected)


@pytest.mark.parametrize("size", [64, 1000, 16_384])
def test_the_column_of_an_environment_is_its_number_modulo_the_size(size: int) -> None:
    from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

    generator = GetMorganGenerator(radius=2)
    environments = {
        identifier
        for s in SMILES
        for identifier in generator.GetSparseCountFingerprint(
            Chem.MolFromSmiles(s)
        ).GetNonzeroElements()
    }
    counts = MorganCounts(notation="smiles", size=size)(SMILES)
    taken = counts.sum(dim=0).nonzero()[:, 0].tolist()
    assert set(taken) == {identifier % size for identifier in environments}


@pytest.mark.parametrize("key", ["C1CC", "C(C)(C)(C)(C)C", "[C][=C]([O", "no"])
def test_what_is_no_smiles_is_named(key: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InvalidKeyError, match="is not the SMILES"):
        MorganCounts(notation="smiles")(["CC", key])
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "key", ["CCO", "c1ccccc1", "", "[C", "[C]x", "[C][Foo]", "C[C]", "[C].x[C]", "[F][F]x[C]"]
)
def test_what_is_no_selfies_is_named(key: str) -> None:
    with pytest.raises(InvalidKeyError, match="is not the SELFIES of a molecule"):
        MorganCounts()(["[C]", key])


@pytest.mark.parametrize("size", [64, 2048])
def test_bits_are_the_columns_that_are_counted(size: int) -> None:
    features = MorganCounts(notation="smiles", size=size)
    for smiles, row in zip(SMILES, features(SMILES), strict=True):
        assert features.bits(smiles) == set(row.nonzero()[:, 0].tolist())


def test_no_keys_give_no_rows() -> None:
    assert MorganCounts(size=128)([]).shape == (0, 128)


def test_a_configuration_names_them() -> None:
    component = Component(name="morgan", options={"notation": "smiles", "radius": 1, "size": 256})
    features = registry.build("features", component)
    assert (features.notation, features.radius, features.width) == ("smiles", 1, 256)
    assert features.linear_columns == ()
    with pytest.raises(ConfigError, match="size"):
        registry.build("features", Component(name="morgan", options={"size": 10}))


@pytest.mark.parametrize("kernel", ["tanimoto", "matern52"])
def test_a_surrogate_learns_from_them(kernel: CountKernel) -> None:
    # The number of atoms is fixed by the counts; halves of the alkanes and alcohols are unseen.
    keys = [f"{'C' * n}{end}" for n in range(1, 13) for end in ("", "O", "N", "Cl")]
    n_atoms = torch.tensor([Chem.MolFromSmiles(k).GetNumAtoms() for k in keys]).double()
    features = MorganCounts(notation="smiles")(keys)
    odd = torch.arange(len(keys)) % 2 == 1
    seen = (~odd).nonzero()[:, 0]
    data = Dataset(
        keys=tuple(keys[i] for i in seen.tolist()),
        features=features[seen],
        candidate=torch.arange(len(seen)),
        fidelity=torch.zeros(len(seen), dtype=torch.long),
        utility=n_atoms[seen],
        n_fidelities=1,
    )
    moments = MultiFidelityGP(kernel=kernel).fit(data, seed=0).joint(features[odd])
    assert torch.corrcoef(torch.stack([moments.mean[:, 0], n_atoms[odd]]))[0, 1] > 0.9
