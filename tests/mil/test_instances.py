"""Frozen encoders of cells, and the features that are kept beside the cohort."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mil_rbc.data.bags import Bag, Cohort
from mil_rbc.data.store import load_cohort, save_cohort
from mil_rbc.errors import DataError, RunError
from mil_rbc.instances import INSTANCES, check, efficientnet, features, make, prepare
from mil_rbc.instances.encoder import FrozenEncoder, Preprocessing, weights_sha256
from mil_rbc.run_folder import Record

PRETRAINED = pytest.mark.skipif(not efficientnet.installed(), reason="extra 'pretrained'")


class Counted(nn.Module):
    """A small network that counts the cells it has seen, and may break off."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.convolution = nn.Conv2d(3, 7, 5, stride=5)
        self.seen, self.until = 0, sys.maxsize

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.seen + len(x) > self.until:
            raise KeyboardInterrupt
        self.seen += len(x)
        return self.convolution(x).amax((2, 3))


def tiny(**changes: object) -> FrozenEncoder:
    given = {
        "name": "tiny", "words": "a tiny network", "network": Counted(), "features": 7,
        "least_side": 16, "preprocessing": Preprocessing(20), "architecture": "tiny",
    }  # fmt: skip
    return FrozenEncoder(**{**given, **changes})  # type: ignore[arg-type]


def crops(cells: int = 5, side: int = 64) -> np.ndarray:
    return np.random.default_rng(cells).integers(0, 256, (cells, side, side), dtype=np.uint8)


@pytest.fixture
def cohort() -> Cohort:
    bags = [
        Bag(f"B{i}", f"P{i}", i % 2, crops(3 + i), np.array([f"I{i}"] * (3 + i))) for i in range(8)
    ]
    return Cohort(name="made", kind="crop", classes=("a", "b"), control=0, bags=bags)


def test_every_name_describes_itself() -> None:
    assert {"auto", "crops", "roi", "efficientnet", "timm"} <= set(INSTANCES)
    assert all(len(entry.words) > 20 for entry in INSTANCES.values())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("eficientnet", "did you mean efficientnet"),
        ("timm", "timm:NAME"),
        ("crops:64", "takes no name"),
        ("timm:resnet81", "did you mean resnet"),
        ("timm:resnet18@nowhere.pt", "there is no file nowhere.pt"),
    ],
)
def test_a_wrong_name_is_one_sentence(name: str, said: str) -> None:
    with pytest.raises(RunError, match=said):
        check(name) if ":r" not in name else make(name)


def test_preprocessing_is_what_it_says() -> None:
    grey = np.full((1, 64, 64), 51, np.uint8)
    x = Preprocessing(112)(torch.from_numpy(grey))
    assert x.shape == (1, 3, 112, 112)
    for channel, (mean, std) in enumerate([(0.485, 0.229), (0.456, 0.224), (0.406, 0.225)]):
        assert torch.allclose(x[0, channel], torch.tensor((0.2 - mean) / std), atol=1e-6)


def test_the_hash_knows_weights_and_preprocessing() -> None:
    same, other = tiny(), Counted()
    assert same.encoding.sha256 == tiny().encoding.sha256
    with torch.no_grad():
        other.convolution.bias[3] += 1e-6
    hashes = {
        same.encoding.sha256,
        tiny(network=other).encoding.sha256,
        tiny(preprocessing=Preprocessing(21)).encoding.sha256,
        tiny(preprocessing=Preprocessing(20, mean=(0.5, 0.5, 0.5))).encoding.sha256,
        tiny(architecture="other").encoding.sha256,
    }
    assert len(hashes) == 5


def test_small_crops_are_refused_in_a_sentence() -> None:
    with pytest.raises(DataError, match="15×15 pixels are too small for the encoder 'tiny'"):
        tiny()(crops(2, side=15))


def test_features_are_computed_once(tmp_path: Path, cohort: Cohort) -> None:
    encoder = tiny()
    first = features.encode(cohort, encoder, tmp_path)
    cells = sum(map(len, cohort.bags))
    assert encoder.network.seen == cells
    again = features.encode(cohort, encoder, tmp_path)
    assert encoder.network.seen == cells
    assert first.kind == "vector"
    assert first.standardize
    assert first.data_hash() == again.data_hash() != cohort.data_hash()
    for before, a, b in zip(cohort.bags, first.bags, again.bags, strict=True):
        assert (a.instances == b.instances).all()
        assert np.allclose(a.instances, tiny()(before.instances), atol=1e-5)
        assert a.crops is not None
        assert (a.crops == before.instances).all()
    assert [p.name for p in tmp_path.iterdir()] == [features.file_name(cohort, encoder)]


def test_features_are_shared_by_runs_that_name_a_folder(
    tmp_path: Path, cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared, name = tmp_path / "shared", features.file_name(cohort, tiny())
    first, second, third = tiny(), tiny(), tiny()
    one = features.encode(cohort, first, tmp_path / "a", shared)
    two = features.encode(cohort, second, tmp_path / "b", shared)
    assert (first.network.seen, second.network.seen) == (sum(map(len, cohort.bags)), 0)
    assert one.data_hash() == two.data_hash()
    assert (tmp_path / "b" / name).samefile(shared / name)  # no room for a second copy
    (tmp_path / "b" / name).unlink()

    def no_links(*_: object) -> None:
        raise OSError("another file system")

    monkeypatch.setattr("os.link", no_links)
    features.encode(cohort, third, tmp_path / "b", shared)
    assert not (tmp_path / "b" / name).samefile(shared / name)
    (shared / name).write_bytes(b"damaged")  # then it is none to take, and is replaced
    fourth = tiny()
    features.encode(cohort, fourth, tmp_path / "c", shared)
    assert (third.network.seen, fourth.network.seen) == (0, first.network.seen)
    assert (shared / name).read_bytes() == (tmp_path / "c" / name).read_bytes()
    assert not list(tmp_path.rglob("*.part"))


def test_a_shared_folder_that_cannot_be_is_said_before_anything_is_computed(
    tmp_path: Path, cohort: Cohort
) -> None:
    (tmp_path / "file").write_text("")
    encoder = tiny()
    with pytest.raises(RunError, match=r"file.* cannot be written .*: choose another folder"):
        features.encode(cohort, encoder, tmp_path / "run", tmp_path / "file")
    assert encoder.network.seen == 0


def test_an_interrupted_run_goes_on(
    tmp_path: Path, cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "PART", 16)
    broken = Counted()
    broken.until = 40
    with pytest.raises(KeyboardInterrupt):
        features.encode(cohort, tiny(network=broken), tmp_path)
    assert not list(tmp_path.glob("features-*"))
    rest = tiny()
    found = features.encode(cohort, rest, tmp_path)
    cells = sum(map(len, cohort.bags))
    assert rest.network.seen == cells - 32
    whole = features.encode(cohort, tiny(), tmp_path / "other")
    assert (np.concatenate([b.instances for b in found.bags])
            == np.concatenate([b.instances for b in whole.bags])).all()  # fmt: skip
    for crops_, bag in zip(cohort.bags, found.bags, strict=True):  # parts end within bags
        assert np.allclose(bag.instances, tiny()(crops_.instances), atol=1e-5)


def test_other_weights_get_a_file_of_their_own(tmp_path: Path, cohort: Cohort) -> None:
    other = Counted()
    with torch.no_grad():
        other.convolution.weight.mul_(2)
    one = features.encode(cohort, tiny(), tmp_path)
    two = features.encode(cohort, tiny(network=other), tmp_path)
    assert len(list(tmp_path.glob("features-*.npy"))) == 2
    assert one.data_hash() != two.data_hash()


def test_a_damaged_file_is_refused(tmp_path: Path, cohort: Cohort) -> None:
    encoder = tiny()
    features.encode(cohort, encoder, tmp_path)
    path = tmp_path / features.file_name(cohort, encoder)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(RunError, match=r"is damaged: delete it and run again"):
        features.encode(cohort, encoder, tmp_path)


def test_features_that_are_not_finite_are_refused(tmp_path: Path, cohort: Cohort) -> None:
    network = Counted()
    with torch.no_grad():
        network.convolution.bias[0] = float("nan")
    with pytest.raises(DataError, match="not finite"):
        features.encode(cohort, tiny(network=network), tmp_path)


def test_a_stored_cohort_keeps_crops_and_features(tmp_path: Path, cohort: Cohort) -> None:
    encoded = features.encode(cohort, tiny(), tmp_path)
    save_cohort(tmp_path / "cohort.npz", encoded)
    back = load_cohort(tmp_path / "cohort.npz")
    assert back.encoding == encoded.encoding
    assert back.data_hash() == encoded.data_hash()
    assert (back.bags[3].instances == encoded.bags[3].instances).all()
    assert (back.bags[3].crops == cohort.bags[3].instances).all()
    raw = load_cohort(tmp_path / "cohort.npz", encoded=False)
    assert raw.data_hash() == cohort.data_hash()
    (tmp_path / features.file_name(cohort, tiny())).unlink()
    with pytest.raises(RunError, match="run again"):
        load_cohort(tmp_path / "cohort.npz", encoded=True)


def test_what_a_cohort_cannot_give_is_said(tmp_path: Path, cohort: Cohort, vectors: Cohort) -> None:
    assert prepare(cohort, "crops", tmp_path) is cohort
    assert prepare(vectors, "auto", tmp_path) is vectors
    with pytest.raises(RunError, match="are vectors; use --instances auto"):
        prepare(vectors, "efficientnet", tmp_path)
    with pytest.raises(RunError, match="only cohorts 'images' and 'bags' can have RoI features"):
        prepare(cohort, "roi", tmp_path)


def test_without_the_extra_crops_are_used_and_it_is_said(
    tmp_path: Path, cohort: Cohort, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(efficientnet, "installed", lambda: False)
    assert prepare(cohort, "auto", tmp_path) is cohort
    assert "pip install 'torchtopo[pretrained]'" in capsys.readouterr().err
    with pytest.raises(RunError, match="pip install 'torchtopo\\[pretrained\\]'"):
        prepare(cohort, "efficientnet", tmp_path)


@PRETRAINED
def test_efficientnet_is_timms() -> None:
    """The shipped weights in timm's own architecture give the same features."""
    timm = pytest.importorskip("timm")
    encoder = make("efficientnet")
    theirs = timm.create_model("tf_efficientnet_lite0", num_classes=0).eval()
    ours = encoder.network.state_dict()
    theirs.load_state_dict(dict(zip(theirs.state_dict(), ours.values(), strict=True)))
    cells = crops(4)
    with torch.inference_mode():
        expected = theirs(Preprocessing(112)(torch.from_numpy(cells))).numpy()
    found = encoder(cells)
    assert found.shape == (4, 1280)
    assert np.abs(found - expected).max() < 1e-4
    assert encoder.encoding.sha256.startswith("86515fff22f6")


def test_timm_from_a_file(tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    torch.manual_seed(3)
    network = timm.create_model("resnet10t", num_classes=1000)
    torch.save(network.state_dict(), tmp_path / "w@1.pt")
    encoder = make(f"timm:resnet10t@{tmp_path / 'w@1.pt'}")
    e = encoder.encoding
    assert (e.features, e.least_side) == (512, 32)
    cells = crops(2)
    network.reset_classifier(0)
    with torch.inference_mode():
        expected = network.eval()(encoder.preprocessing(torch.from_numpy(cells))).numpy()
    assert np.allclose(encoder(cells), expected, atol=1e-4)
    safetensors = pytest.importorskip("safetensors.torch")
    safetensors.save_file(network.state_dict(), tmp_path / "w.safetensors")
    again = make(f"timm:resnet10t@{tmp_path / 'w.safetensors'}")
    assert again.encoding.sha256 == e.sha256  # the same weights in another kind of file
    with pytest.raises(RunError, match="cannot be read as weights of resnet18"):
        make(f"timm:resnet18@{tmp_path / 'w@1.pt'}")
    torch.save({"fc.bias": torch.zeros(3)}, tmp_path / "part.pt")
    with pytest.raises(RunError, match="of resnet10t: name a file of that model"):
        make(f"timm:resnet10t@{tmp_path / 'part.pt'}")
    (tmp_path / "text.pt").write_text("no weights")
    with pytest.raises(RunError, match="cannot be read as weights of resnet10t"):
        make(f"timm:resnet10t@{tmp_path / 'text.pt'}")


def test_weights_that_cannot_be_had_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    timm = pytest.importorskip("timm")

    def no_network(name: str, pretrained: bool = False, **_: object) -> nn.Module:
        assert pretrained
        raise OSError("no route to host")

    monkeypatch.setattr(timm, "create_model", no_network)
    with pytest.raises(RunError, match="fetch them elsewhere and give the file"):
        make("timm:resnet18")


def test_the_hash_sees_every_weight_kind() -> None:
    network = nn.BatchNorm1d(3)  # float weights and an int64 counter
    before = weights_sha256(network, "")
    network.num_batches_tracked += 1
    assert weights_sha256(network, "") != before
    changed = dataclasses.replace(Preprocessing(4), side=5)
    assert changed != Preprocessing(4)


def test_a_run_on_other_weights_does_not_go_on(tmp_path: Path) -> None:
    stored = Record(instances={"name": "efficientnet", "sha256": "a" * 64}, data_sha256="1")
    stored.check_same(stored, tmp_path)
    for other in ({"name": "efficientnet", "sha256": "b" * 64}, {"name": "crop"}):
        with pytest.raises(RunError, match="holds a run on instances efficientnet aaaaaaaaaaaa, "):
            stored.check_same(Record(instances=other, data_sha256="2"), tmp_path)
