"""What a trial is trained on: its bags on the device, their image spaces, and the objective."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from mil_rbc.data.bags import Cohort
from mil_rbc.data.folds import Index
from mil_rbc.model.encoders import Standardize
from mil_rbc.model.mil import Architecture, MILModel, to_unit
from mil_rbc.model.objective import BagData, Objective
from mil_rbc.model.terms import Regularizer
from mil_rbc.model.topology import InputSpace, input_space, points_of, resolve_space
from mil_rbc.model.variants import ARMS
from mil_rbc.options import Options
from mil_rbc.training.trial import Trial

_ON_DEVICE = 4 << 30  # bytes of instances up to which a cohort is kept on the device


@lru_cache(maxsize=1)
def _spaces(*decisive: object) -> dict[int, InputSpace]:
    """Image spaces by bag, kept for the next trial of this process while they are the same."""
    return {}


class Material:
    """The bags of a cohort as training sees them, by index.

    Args:
        cohort: the bags.
        train: those that a standardisation is measured on.
        others: further bags that will be asked for.
        options: of the run.
        device: where training happens.
        standardize: fitted here on the training bags, where the kind of instance asks for it.
    """

    def __init__(
        self, cohort: Cohort, train: Index, others: Index, options: Options, device: torch.device,
        standardize: Standardize,
    ) -> None:  # fmt: skip
        self.cohort, self.options, self.device = cohort, options, device
        self.space = resolve_space(options.space, cohort.kind, crops=cohort.encoding is not None)
        self.standardize = standardize
        inputs = {int(i): self._instances(i) for i in [*train, *others]}
        if cohort.kind != "vector" or cohort.standardize:
            standardize.fit((to_unit(inputs[int(i)]) for i in train), shares(cohort, options))
        # Vectors are standardised, and deviations measured, on the training bags.
        by_fold = (self.space == "features" and cohort.kind == "vector") or options.scale == "std"
        fold = (options.deviation, np.asarray(train).tobytes()) if by_fold else ()
        self.spaces = _spaces(cohort.data_hash(), self.space, options.scale, *fold)
        on_device = sum(x.nbytes for x in inputs.values()) < _ON_DEVICE
        self.std = self._deviation({int(i): inputs[int(i)] for i in train})
        self.bags: dict[int, BagData] = {}
        for i, instances in inputs.items():
            label = torch.tensor(cohort.bags[i].label)
            bag = BagData(instances, label, self._measure(i, instances))
            self.bags[i] = _move(bag, device) if on_device else bag

    def __getitem__(self, index: int) -> BagData:
        """A bag on the device."""
        return _move(self.bags[int(index)], self.device)

    def _instances(self, index: int) -> Tensor:
        instances = np.ascontiguousarray(self.cohort.bags[index].instances)
        if not instances.flags.writeable:  # a memory map; torch would warn
            instances = instances.copy()
        return torch.from_numpy(instances)

    def _points(self, index: int, instances: Tensor) -> Tensor:
        crops = self.cohort.bags[index].crops
        return points_of(instances, self.cohort.kind, self.space, self.standardize, crops)

    def _deviation(self, training: dict[int, Tensor]) -> float:
        """Of all coordinates of the training bags' points, where A^X is divided by it."""
        if self.options.scale != "std":
            return 1.0
        count = total = squares = 0.0
        for points in (self._points(*item).double() for item in training.items()):
            count += points.numel()
            total += float(points.sum())
            squares += float(points.square().sum())
        return float(max(squares / count - (total / count) ** 2, 1e-24) ** 0.5)

    def _measure(self, index: int, instances: Tensor) -> InputSpace:
        """Image space of a bag."""
        if index not in self.spaces:
            points = self._points(index, instances).to(self.device)
            measured = input_space(points, self.options.scale, self.std)
            self.spaces[index] = measured.to(torch.device("cpu"))
        return self.spaces[index]


def shares(cohort: Cohort, options: Options) -> bool:
    """Whether the features of an instance are divided by one deviation."""
    return options.deviation == "shared" and cohort.encoding is not None


def make_objective(trial: Trial, cohort: Cohort, train: Index, options: Options) -> Objective:
    """The model of a trial from its initial weights, and its loss."""
    architecture = Architecture(
        kind=cohort.kind,
        features=cohort.bags[0].instances.shape[1] if cohort.kind == "vector" else 0,
        classes=cohort.classes, pooling=trial.pooling, latent=options.latent,
        hidden=options.hidden, input_size=options.input_size, anomaly=options.anomaly,
        components=options.components, activation=options.activation,
        attention=options.attention, dropout=options.dropout,
        summaries=ARMS[trial.topology].summaries,
    )  # fmt: skip
    has_term = ARMS[trial.topology].term is not None
    regularizer = Regularizer(options.convention, trial.topology) if has_term else None
    weights = None
    if options.class_weights == "balanced":
        counts = np.bincount(cohort.labels[train], minlength=len(cohort.classes))
        weights = torch.tensor(len(train) / np.maximum(counts, 1) / len(counts)).float()
    model = MILModel(architecture)
    if options.initialization == "xavier_normal":
        for module in model.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                nn.init.xavier_normal_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
    return Objective(model, regularizer, options.lam, weights)


def _move(bag: BagData, device: torch.device) -> BagData:
    if bag.instances.device == device and bag.label.device == device:
        return bag
    space: InputSpace | None = None if bag.space is None else bag.space.to(device)
    return BagData(bag.instances.to(device), bag.label.to(device), space)
