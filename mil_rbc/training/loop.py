"""Training and testing one trial, with resume."""

from __future__ import annotations

import copy
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from lightning.fabric import Fabric
from torch import Tensor

from mil_rbc import __version__
from mil_rbc.data.bags import Cohort
from mil_rbc.data.folds import Split, validation_split
from mil_rbc.errors import DataError, RunError
from mil_rbc.files import (
    load_checkpoint,
    read_json,
    save_checkpoint,
    write_json,
    write_whole,
)
from mil_rbc.model.gaussian import ControlGaussian
from mil_rbc.model.mil import Architecture, MILModel, to_unit
from mil_rbc.model.objective import PARTS, BagData, Objective
from mil_rbc.model.pooling import POOLINGS
from mil_rbc.model.topology import InputSpace, Regularizer, input_space, points_of, resolve_space
from mil_rbc.options import Options
from mil_rbc.training.evaluation import (
    Prediction,
    evaluate,
    instance_rows,
    mean_known,
    prediction_rows,
    score,
)
from mil_rbc.training.trial import Trial, fingerprint

_ON_DEVICE = 4 << 30  # bytes of instances up to which a cohort is kept on the device
_SPACES: dict[tuple[str, int, str, str], InputSpace] = {}


@dataclass
class State:
    """Everything a trial's future depends on."""

    epoch: int
    history: list[dict[str, float]]
    best: dict[str, Any] | None = None
    best_loss: float = float("inf")
    seconds: float = 0.0


class Training:
    """One trial: builds the model, trains it epoch by epoch, tests it, writes its folder."""

    def __init__(
        self, trial: Trial, cohort: Cohort, split: Split, options: Options, folder: Path,
        fabric: Fabric, in_worker: bool = False,
    ) -> None:  # fmt: skip
        self.trial, self.cohort, self.options, self.folder = trial, cohort, options, folder
        self.fabric = fabric
        self.in_worker = in_worker
        self.told = 0.0
        self.seed = trial.seed(options.seed)
        self.key = fingerprint(trial, cohort, split, options)
        self.train, self.test = split
        self.validation = np.array([], dtype=np.int64)
        if options.protocol == "nested":
            self.train, self.validation = validation_split(cohort, self.train, seed=self.seed)
        self.space = resolve_space(options.space, cohort.kind)
        self.pooling = POOLINGS[trial.pooling]
        self._build()

    def _build(self) -> None:
        options, cohort, fabric = self.options, self.cohort, self.fabric
        torch.manual_seed(self.seed)
        self.objective = self._objective()
        model = self.objective.model
        inputs = {i: self._instances(i) for i in [*self.train, *self.validation, *self.test]}
        if cohort.kind != "vector" or cohort.standardize:
            model.standardize.fit(to_unit(inputs[i]) for i in self.train)
        self.data: dict[int, BagData] = {}
        on_device = sum(x.nbytes for x in inputs.values()) < _ON_DEVICE
        for i, instances in inputs.items():
            bag = BagData(
                instances, torch.tensor(cohort.bags[i].label), self._measure(i, instances)
            )
            self.data[i] = _move(bag, fabric.device) if on_device else bag
        self.control = [i for i in self.train if cohort.bags[i].label == cohort.control]
        if self.pooling.needs_control and not self.control:
            raise DataError(
                f"cohort {cohort.name!r} has no control cells to fit the Gaussian on: leave "
                f"{self.trial.pooling!r} out of --pooling, or name the control class"
            )
        optimizer = torch.optim.Adam(
            self.objective.parameters(), options.lr, weight_decay=options.weight_decay,
            fused=fabric.device.type in ("cpu", "cuda"),
        )  # fmt: skip
        self.step, self.optimizer = fabric.setup(self.objective, optimizer)

    def _objective(self) -> Objective:
        options, cohort = self.options, self.cohort
        architecture = Architecture(
            kind=cohort.kind,
            features=cohort.bags[0].instances.shape[1] if cohort.kind == "vector" else 0,
            classes=cohort.classes, pooling=self.trial.pooling, latent=options.latent,
            input_size=options.input_size, anomaly=options.anomaly, components=options.components,
            activation=options.activation,
        )  # fmt: skip
        regularizer = Regularizer(options.convention) if self.trial.topology == "on" else None
        weights = None
        if options.class_weights == "balanced":
            counts = np.bincount(cohort.labels[self.train], minlength=len(cohort.classes))
            weights = torch.tensor(len(self.train) / np.maximum(counts, 1) / len(counts)).float()
        return Objective(MILModel(architecture), regularizer, options.lam, weights)

    def _measure(self, index: int, instances: Tensor) -> InputSpace:
        """Image space of a bag, kept for the next trial of this process unless the fold decides."""
        options, kind = self.options, self.cohort.kind
        key = (self.cohort.data_hash(), index, self.space, options.scale)
        if key not in _SPACES:
            standardize = self.objective.model.standardize
            points = points_of(instances, kind, self.space, standardize).to(self.fabric.device)
            measured = input_space(points, options.scale).to(torch.device("cpu"))
            if kind == "vector":
                return measured
            _SPACES[key] = measured
        return _SPACES[key]

    def _instances(self, index: int) -> Tensor:
        instances = np.ascontiguousarray(self.cohort.bags[index].instances)
        if not instances.flags.writeable:  # a memory map; torch would warn
            instances = instances.copy()
        return torch.from_numpy(instances)

    def fit(self) -> State:
        """Train to the last epoch, from the checkpoint if there is one."""
        state = self._resume() or State(epoch=0, history=[])
        parent, start = os.getppid(), time.perf_counter()
        before = state.seconds
        while state.epoch < self.options.epochs:
            # A worker outlives a run that is killed; a run may well outlive its shell.
            if self.in_worker and os.getppid() != parent:
                raise SystemExit("the run that started this trial is gone")
            state.history.append(self._epoch(state.epoch))
            if self.options.protocol == "nested":
                self._keep_best(state)
            state.epoch += 1
            state.seconds = before + time.perf_counter() - start
            self._tell(state.epoch)
            due = state.epoch % self.options.checkpoint_every == 0
            if due and state.epoch < self.options.epochs:
                self._save(state)
        if state.best is not None:
            self.objective.load_state_dict(state.best)
        if self.options.gaussian_at_test == "final":
            self._refit()
        return state

    def _tell(self, epoch: int) -> None:
        """Leave the number of epochs done where the run's progress line finds it."""
        now = time.monotonic()
        if self.fabric.is_global_zero and now - self.told > 0.5:
            self.told = now
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / ".epoch").write_text(str(epoch))

    def _epoch(self, epoch: int) -> dict[str, float]:
        options, fabric = self.options, self.fabric
        start = time.perf_counter()
        if epoch % options.refit_every == 0:
            self._refit()
        beta = options.beta_decay**epoch if self.pooling.decays_beta else 0.0
        totals = torch.zeros(len(PARTS), device=fabric.device)
        self.step.train()
        order = self._order(epoch)
        for i in order[fabric.global_rank :: fabric.world_size]:
            self.optimizer.zero_grad()
            loss, parts = self.step(_move(self.data[int(i)], fabric.device), beta)
            fabric.backward(loss)
            self.optimizer.step()
            totals += parts
        summed = fabric.all_reduce(totals, reduce_op="sum")
        assert isinstance(summed, Tensor)
        mean = dict(zip(PARTS, (summed / len(order)).tolist(), strict=True))
        if not np.isfinite(mean["L_class"]):
            raise RunError(
                f"trial {self.trial.name} diverged: its loss is not finite in epoch {epoch}; lower "
                f"--lr or --lam (it needs another --out)"
            )
        row = self._row(epoch, beta, mean, time.perf_counter() - start)
        if options.protocol == "nested":
            validated = score(self._predict(self.validation), self.cohort.classes)
            row |= {"accuracy_validation": validated["accuracy"],
                    "L_MIL_validation": validated["cross_entropy"]}  # fmt: skip
        last = epoch + 1 == options.epochs
        if options.test_every and (last or (epoch + 1) % options.test_every == 0):
            tested = self._predict(self.test)
            row |= {"accuracy_test": score(tested, self.cohort.classes)["accuracy"],
                    "matched_test": float(np.mean([p.matched for p in tested]))}  # fmt: skip
        for logger in fabric.loggers:
            logger.log_metrics({k: v for k, v in row.items() if np.isfinite(v)}, epoch)
        return row

    def _row(
        self, epoch: int, beta: float, mean: dict[str, float], seconds: float
    ) -> dict[str, float]:
        lam, on = self.options.lam, self.objective.regularizer is not None
        nan = float("nan")
        topo = mean["L_topo"] if on else nan
        return {
            "epoch": epoch, "seconds": seconds, "beta": beta,
            "loss": mean["L_class"] + (lam * topo if on else 0.0),
            "L_MIL": mean["L_MIL"], "L_SIC": mean["L_SIC"] if beta else nan,
            "L_class": mean["L_class"], "L_topo": topo,
            "topo_to_class": lam * topo / max(mean["L_class"], 1e-12),
            "matched": mean["matched"] if on else nan,
            "accuracy_train": mean["correct"],
            "accuracy_instances": mean["correct_instances"] if beta else nan,
            "accuracy_validation": nan, "L_MIL_validation": nan,
            "accuracy_test": nan, "matched_test": nan,
        }  # fmt: skip

    def _order(self, epoch: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Order of the bags in an epoch: from the seed, whatever happened before."""
        order = np.random.default_rng([self.seed, epoch]).permutation(self.train)
        short = -len(order) % self.fabric.world_size
        return np.concatenate([order, order[:short]])

    def _refit(self) -> None:
        if not self.pooling.needs_control:
            return
        with torch.no_grad():
            latents = [
                self.objective.model.encode(self.data[int(i)].instances.to(self.fabric.device))
                for i in self.control
            ]
        control = self.objective.model.pooling.control
        assert isinstance(control, ControlGaussian)
        control.fit(torch.cat(latents), self.seed % 2**31)

    def _predict(self, indices: Any) -> list[Prediction]:
        model, device = self.objective.model, self.fabric.device
        with self.fabric.autocast():
            return [evaluate(model, _move(self.data[int(i)], device), int(i)) for i in indices]

    def _keep_best(self, state: State) -> None:
        loss = state.history[-1]["L_MIL_validation"]
        if loss < state.best_loss:
            state.best_loss = loss
            state.best = copy.deepcopy(self.objective.state_dict())

    def _save(self, state: State) -> None:
        fabric = self.fabric
        if fabric.is_global_zero:
            rng = {"cpu": torch.get_rng_state()}
            if fabric.device.type == "cuda":
                rng["cuda"] = torch.cuda.get_rng_state(fabric.device)
            save_checkpoint(self.folder / "resume.pt", {
                "key": self.key, "version": __version__, **vars(state), "rng": rng,
                "objective": self.objective.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "precision": fabric.strategy.precision.state_dict(),
            })  # fmt: skip
            self._write_metrics(state)
        fabric.barrier()

    def _resume(self) -> State | None:
        path = self.folder / "resume.pt"
        if not path.exists():
            return None
        stored = load_checkpoint(path, self.fabric.device)
        if stored["key"] != self.key:
            raise RunError(
                f"{path} is from a run with other data or options: choose another --out, or "
                f"delete that folder"
            )
        if stored["version"] != __version__:
            raise RunError(
                f"{path} was written by mil_rbc {stored['version']}, this is {__version__}: go on "
                f"with that version, or delete the file to train this trial again"
            )
        self.objective.load_state_dict(stored["objective"])
        self.optimizer.load_state_dict(stored["optimizer"])
        self.fabric.strategy.precision.load_state_dict(stored["precision"])
        torch.set_rng_state(stored["rng"]["cpu"].cpu())
        if "cuda" in stored["rng"]:
            torch.cuda.set_rng_state(stored["rng"]["cuda"].cpu(), self.fabric.device)
        names = ("epoch", "history", "best", "best_loss", "seconds")
        return State(**{name: stored[name] for name in names})

    def _write_metrics(self, state: State) -> None:
        write_whole(self.folder / "metrics.csv", pd.DataFrame(state.history).to_csv(index=False))

    def finish(self, state: State) -> dict[str, Any]:
        """Test, and write the trial's folder; `result.json` comes last and marks it finished."""
        predictions = self._predict(self.test)
        cohort, trial = self.cohort, self.trial
        result: dict[str, Any] = {
            "run": trial.run, "fold": trial.fold,
            "pooling": trial.pooling, "topology": trial.topology,
            **score(predictions, cohort.classes),
            **score(predictions, cohort.classes, [b.patient for b in cohort.bags]),
            "matched": float(np.mean([p.matched for p in predictions])),
            "spearman": mean_known([p.spearman for p in predictions]),
            "topo_to_class": state.history[-1]["topo_to_class"],
            "epochs": state.epoch, "train_bags": len(self.train), "test_bags": len(self.test),
            "seconds": state.seconds,
            "epoch_seconds": float(np.median([row["seconds"] for row in state.history])),
            "seed": self.seed,
            "convention": self.options.convention, "lam": self.options.lam,
            "space": self.space, "scale": self.options.scale,
            "anomaly_preset": self.options.anomaly if self.pooling.needs_control else "",
            "protocol": self.options.protocol,
        }  # fmt: skip
        if state.best is not None:
            best = min(state.history, key=lambda row: row["L_MIL_validation"])
            names = ("L_MIL_validation", "accuracy_validation")
            result |= {"best_epoch": int(best["epoch"]), **{name: best[name] for name in names}}
        for logger in self.fabric.loggers:
            logger.finalize("success")
        if self.fabric.is_global_zero:
            self._write(state, predictions, result)
        self.fabric.barrier()
        return result

    def _write(self, state: State, predictions: list[Prediction], result: dict[str, Any]) -> None:
        self._write_metrics(state)
        rows = prediction_rows(self.trial, self.cohort, predictions)
        write_whole(self.folder / "predictions.csv", rows.to_csv(index=False))
        if self.options.instances:
            cells = instance_rows(self.trial, self.cohort, predictions)
            write_whole(self.folder / "instances.csv", cells.to_csv(index=False))
        if self.options.keep_checkpoints:
            model = self.objective.model
            control = self.cohort.control
            save_checkpoint(self.folder / "checkpoint.pt", {
                "key": self.key, "version": __version__,
                "architecture": model.architecture.plain(), "model": model.state_dict(),
                "control": control, "trial": self.trial.name,
                "cohort": self.cohort.name, "provenance": self.cohort.provenance,
                "prepared": self.cohort.prepared,
            })  # fmt: skip
        write_json(self.folder / "result.json", {"key": self.key, **result})
        for leftover in ("resume.pt", ".epoch"):
            (self.folder / leftover).unlink(missing_ok=True)


def _move(bag: BagData, device: torch.device) -> BagData:
    if bag.instances.device == device and bag.label.device == device:
        return bag
    space: InputSpace | None = None if bag.space is None else bag.space.to(device)
    return BagData(bag.instances.to(device), bag.label.to(device), space)


def finished(trial: Trial, cohort: Cohort, split: Split, options: Options, folder: Path) -> bool:
    """Whether the trial's folder holds its result.

    Raises:
        RunError: if it holds the result of other data or other options.
    """
    path = folder / "result.json"
    if not path.exists():
        return False
    if read_json(path)["key"] != fingerprint(trial, cohort, split, options):
        raise RunError(
            f"{folder} is from a run with other data or options: choose another --out, or delete "
            f"that folder"
        )
    return True
