"""Bags of cells, and the cohorts they come in."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mil_rbc.errors import DataError
from mil_rbc.registry import Registry

Kind = Literal["crop", "roi", "vector"]

SHAPES: Registry[tuple[int, ...] | None] = Registry(
    "kind of instance", {"crop": (64, 64), "roi": (256, 14, 14), "vector": None}, DataError
)
"""Shape of an instance; a vector may have any width."""


@dataclass(frozen=True)
class Encoding:
    """The frozen network whose features are a cohort's instances.

    Attributes:
        name: as `--instances` names it.
        words: what a report calls it.
        features: width of a vector.
        least_side: of the crops it takes.
        sha256: of its weights and preprocessing, in hexadecimal.
        file: name of the file of features beside the cohort; empty where there is none.
    """

    name: str
    words: str
    features: int
    least_side: int
    sha256: str
    file: str = ""


@dataclass(frozen=True)
class Bag:
    """One sample: every instance found in its images, and one label for all of them together.

    Attributes:
        bag: name of the sample, unique in its cohort.
        patient: whom the sample is from; the unit that is dealt to folds.
        label: index into `Cohort.classes`.
        instances: `(N, 64, 64)` uint8 crops, `(N, 256, 14, 14)` float RoI features or `(N, F)`
            float32 vectors.
        images: `(N,)` names of the images the instances were cut from.
        cell_labels: `(N,)` int64 indices into `Cohort.cell_classes`, -1 where unknown. They score
            explanations and are never given to a model.
        crops: `(N, 64, 64)` uint8 crops that vectors were computed from, where they were.
    """

    bag: str
    patient: str
    label: int
    instances: NDArray[Any]
    images: NDArray[np.str_]
    cell_labels: NDArray[np.int64] | None = None
    crops: NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self.instances)

    @property
    def pictures(self) -> NDArray[np.uint8] | None:
        """The cells as `(N, 64, 64)` uint8, `None` where they are no pictures."""
        return self.instances if self.instances.dtype == np.uint8 else self.crops

    def known_labels(self) -> NDArray[np.int64]:
        """`cell_labels`, all -1 where there are none."""
        if self.cell_labels is None:
            return np.full(len(self), -1, dtype=np.int64)
        return self.cell_labels

    def __post_init__(self) -> None:
        if len(self.instances) == 0:
            raise DataError(
                f"bag {self.bag!r} of patient {self.patient!r} has no cells: remove the sample or "
                f"give it images in which cells are found"
            )
        named: dict[str, NDArray[Any]] = {"images": self.images}
        if self.cell_labels is not None:
            named["cell_labels"] = self.cell_labels
        for name, values in named.items():
            if values.shape != (len(self.instances),):
                raise DataError(
                    f"bag {self.bag!r}: {name} has shape {values.shape}, but there are "
                    f"{len(self.instances)} instances; give one entry per instance"
                )


@dataclass(frozen=True)
class Words:
    """What a report calls the parts of a cohort.

    Attributes:
        samples: what a bag is, in the plural.
        instances: what its instances are of, in the plural.
        blood: whether they are blood cells of patients with blood diseases or none, so that the
            paper's numbers may stand beside.
        found: how single instances were come by; as the source gives them if not said.
        units: what is dealt to folds and drawn anew by an interval, in the plural.
    """

    samples: str = "bags"
    instances: str = "instances"
    blood: bool = False
    found: str = ""
    units: str = "patients"


@dataclass
class Cohort:
    """Bags of several classes, with what is needed to deal them to folds and to report on them.

    Attributes:
        name: the name it was loaded by.
        kind: what an instance is: `"crop"`, `"roi"` or `"vector"`.
        classes: class names; `Bag.label` indexes them.
        control: the class whose cells the anomaly Gaussian is fitted on; `None` if there is none.
        bags: the samples.
        cell_classes: names that `Bag.cell_labels` index.
        anomalous: for each cell class, whether such a cell is anomalous.
        provenance: one sentence on what the data are, shown wherever results are.
        group_by: what may not be on both sides of a split.
        standardize: whether instances are to be standardised by training-fold statistics.
        test_fold: patient -> the fold it is tested in, where the source of the cells decides
            (-1: only ever trained on); `None` where patients are free to be dealt.
        words: what a report calls its parts; `None` until its source has said so.
        prepared: whether the instances are prepared in a way of their own, so that a model of them
            has nothing to say about crops of other images.
        encoding: what the vectors were computed by; `None` where the source gives the instances.
    """

    name: str
    kind: Kind
    classes: tuple[str, ...]
    control: int | None
    bags: list[Bag]
    cell_classes: tuple[str, ...] = ()
    anomalous: tuple[bool, ...] = ()
    provenance: str = ""
    group_by: Literal["patient", "bag"] = "patient"
    standardize: bool = False
    test_fold: dict[str, int] | None = None
    words: Words | None = None
    prepared: bool = False
    encoding: Encoding | None = None
    _hash: str = field(default="", init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.bags:
            raise DataError(f"cohort {self.name!r} has no bags: check the path it was read from")
        self._check_names()
        self._check_instances()

    def _check_names(self) -> None:
        seen: set[str] = set()
        label_of: dict[str, int] = {}
        for bag in self.bags:
            if bag.bag in seen:
                raise DataError(f"cohort {self.name!r}: bag {bag.bag!r} occurs twice; rename one")
            seen.add(bag.bag)
            if not 0 <= bag.label < len(self.classes):
                raise DataError(
                    f"bag {bag.bag!r} has label {bag.label}, but there are {len(self.classes)} "
                    f"classes; use 0 to {len(self.classes) - 1}"
                )
            if label_of.setdefault(bag.patient, bag.label) != bag.label:
                first, second = self.classes[label_of[bag.patient]], self.classes[bag.label]
                raise DataError(
                    f"patient {bag.patient!r} has two labels, {first!r} and {second!r} (bag "
                    f"{bag.bag!r}): give all samples of a patient one label"
                )

    def _check_instances(self) -> None:
        expected = SHAPES[self.kind] or self.bags[0].instances.shape[1:]
        for bag in self.bags:
            shape = bag.instances.shape[1:]
            if self.kind == "vector" and len(shape) == len(expected) == 1 and shape != expected:
                raise DataError(
                    f"bag {bag.bag!r} has vectors of {shape[0]} features, but bag "
                    f"{self.bags[0].bag!r} has vectors of {expected[0]}: measure the same features "
                    f"for all bags"
                )
            if shape != expected or (self.kind == "vector" and len(shape) != 1):
                raise DataError(
                    f"bag {bag.bag!r}: instances of kind {self.kind!r} have shape {shape}, expected"
                    f" {SHAPES[self.kind] or '(features,)'}; recreate the bag"
                )
            if bag.instances.dtype.kind == "f" and not np.isfinite(bag.instances).all():
                raise DataError(
                    f"bag {bag.bag!r} has instances that are not finite numbers: remove those rows"
                )

    @property
    def labels(self) -> NDArray[np.int64]:
        """Label of each bag, `(bags,)` int64."""
        return np.array([bag.label for bag in self.bags], dtype=np.int64)

    @property
    def patients(self) -> NDArray[np.str_]:
        """Patient of each bag, `(bags,)` str."""
        return np.array([bag.patient for bag in self.bags])

    def cells_hash(self) -> str:
        """SHA-256 over what is known of single cells: no model sees it, explanations are scored."""
        digest = hashlib.sha256(repr((self.cell_classes, self.anomalous)).encode())
        for bag in self.bags:
            digest.update(np.ascontiguousarray(bag.known_labels()).tobytes())
        return digest.hexdigest()

    def data_hash(self) -> str:
        """SHA-256 over everything a result depends on, in hexadecimal."""
        if not self._hash and self.encoding is not None:
            # Features follow from crops and encoder, but for the last bits, which threads decide.
            both = f"{self.decoded().data_hash()} {self.encoding.sha256}"
            self._hash = hashlib.sha256(both.encode()).hexdigest()
        if not self._hash:
            digest = hashlib.sha256()
            header = (self.kind, self.classes, self.control, self.standardize, self.test_fold)
            digest.update(repr(header).encode())
            for bag in self.bags:
                name = (bag.bag, bag.patient, bag.label)
                layout = (bag.instances.shape, str(bag.instances.dtype), bag.images.tolist())
                digest.update(repr((name, layout)).encode())
                digest.update(np.ascontiguousarray(bag.instances).tobytes())
            self._hash = digest.hexdigest()
        return self._hash

    def encoded(self, features: NDArray[np.float32], encoding: Encoding) -> Cohort:
        """The same bags of crops with features `(cells, width)`, in order, as instances."""
        bags, start = list[Bag](), 0
        for bag in self.bags:
            rows = features[start : (start := start + len(bag))]
            bags.append(replace(bag, instances=rows, crops=bag.instances))
        return replace(self, kind="vector", bags=bags, standardize=True, encoding=encoding)

    def decoded(self) -> Cohort:
        """The cohort of crops that `encoded` was called on."""
        if self.encoding is None:
            return self
        bags = [replace(b, instances=np.asarray(b.crops), crops=None) for b in self.bags]
        return replace(self, kind="crop", bags=bags, standardize=False, encoding=None)
