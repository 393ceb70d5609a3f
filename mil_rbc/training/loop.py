"""Training and testing one trial, epoch by epoch."""

from __future__ import annotations

import copy
import time
from collections import deque
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from mil_rbc import __version__
from mil_rbc.data.bags import Cohort
from mil_rbc.data.folds import Split, validation_split
from mil_rbc.errors import DataError, RunError
from mil_rbc.files import save_checkpoint, write_json, write_whole
from mil_rbc.model.gaussian import ControlGaussian
from mil_rbc.model.mil import Head
from mil_rbc.model.objective import PARTS
from mil_rbc.model.variants import POOLINGS
from mil_rbc.options import Options
from mil_rbc.run_folder import TrialFolder
from mil_rbc.training.evaluation import (
    Prediction,
    evaluate,
    glance,
    instance_rows,
    mean_known,
    prediction_rows,
    score,
)
from mil_rbc.training.material import Material, make_objective
from mil_rbc.training.resume import State, Trained
from mil_rbc.training.schedule import learning_rate, stopped, weight
from mil_rbc.training.trial import Trial, fingerprint, of_arm

if TYPE_CHECKING:
    from lightning.fabric import Fabric


class Training:
    """One trial: builds the model, trains it epoch by epoch, tests it, writes its folder."""

    def __init__(
        self, trial: Trial, cohort: Cohort, split: Split, options: Options, folder: TrialFolder,
        fabric: Fabric,
    ) -> None:  # fmt: skip
        self.trial, self.cohort, self.folder = trial, cohort, folder
        self.fabric = fabric
        self.told = 0.0
        self.seed = trial.seed(options.seed)
        self.key = fingerprint(trial, cohort, split, options)
        self.options = options = of_arm(trial, options)
        self.train, self.test = split
        self.validation = np.array([], dtype=np.int64)
        if options.protocol == "nested":
            self.train, self.validation = validation_split(
                cohort, self.train, parts=options.validation_parts, seed=self.seed
            )
        self.pooling = POOLINGS[trial.pooling]
        self.control = [i for i in self.train if cohort.bags[i].label == cohort.control]
        if self.pooling.needs_control and not self.control:
            raise DataError(
                f"no training bag of fold {trial.fold} is a control, to fit the Gaussian on: leave "
                f"{self.trial.pooling!r} out of --pooling, or take fewer --folds"
            )
        torch.manual_seed(self.seed)
        self.objective = make_objective(trial, cohort, self.train, options)
        others = np.concatenate([self.validation, self.test])
        standardize = self.objective.model.standardize
        self.bags = Material(cohort, self.train, others, options, fabric.device, standardize)
        optimizer = torch.optim.Adam(
            self.objective.parameters(), options.lr, weight_decay=options.weight_decay,
            fused=fabric.device.type in ("cpu", "cuda"),
        )  # fmt: skip
        self.step, self.optimizer = fabric.setup(self.objective, optimizer)
        self.recent: deque[dict[str, Any]] = deque(maxlen=options.averaged_epochs)
        self.trained = Trained(self.objective, self.optimizer, fabric, self.recent)

    def fit(self) -> State:
        """Train to the last epoch, from the checkpoint if there is one."""
        state = self.trained.load(self.folder, self.key) or State(epoch=0, history=[])
        start = time.perf_counter()
        before = state.seconds
        while state.epoch < self.options.epochs and not stopped(self.options, state.history):
            self.objective.lam = weight(self.options, state.history)
            state.history.append(self._epoch(state.epoch))
            if self.options.protocol == "nested":
                self._keep_best(state)
            state.epoch += 1
            state.seconds = before + time.perf_counter() - start
            self._tell(state.epoch)
            due = state.epoch % self.options.checkpoint_every == 0
            if due and state.epoch < self.options.epochs:
                self._save(state)
        if self.recent and state.epoch < self.options.epochs:
            self._average_early(state)
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
            self.folder.path.mkdir(parents=True, exist_ok=True)
            self.folder.epoch.write_text(str(epoch))

    def _epoch(self, epoch: int) -> dict[str, float]:
        options, fabric = self.options, self.fabric
        start = time.perf_counter()
        if epoch % options.refit_every == 0:
            self._refit()
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(options, epoch)
        beta = options.beta_decay**epoch if self.pooling.decays_beta else 0.0
        totals = torch.zeros(len(PARTS), device=fabric.device)
        self.step.train()
        heads = (self.objective.model.bag_head, self.objective.model.instance_head)
        for head in heads:
            head.fired.zero_()
        order = self._order(epoch)
        for i in order[fabric.global_rank :: fabric.world_size]:
            self.optimizer.zero_grad()
            loss, parts = self.step(self.bags[i], beta)
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
        dead = [self._dead(head) for head in heads]
        self._average(epoch)
        row = self._row(epoch, beta, mean, time.perf_counter() - start)
        row |= {"dead_bag_head": dead[0], "dead_instance_head": dead[1] if beta else float("nan")}
        if options.protocol == "nested":
            accuracy, cost = self._glance(self.validation)
            row |= {"accuracy_validation": accuracy, "L_MIL_validation": cost}
        last = epoch + 1 == options.epochs
        if options.test_every and (last or (epoch + 1) % options.test_every == 0):
            row["accuracy_test"], _ = self._glance(self.test)
        for logger in fabric.loggers:
            logger.log_metrics({k: v for k, v in row.items() if np.isfinite(v)}, epoch)
        return row

    def _average(self, epoch: int) -> None:
        """Keep the epoch's weights for the mean; after the last epoch that mean is the model."""
        if self.recent.maxlen:
            self.recent.append(copy.deepcopy(self.objective.state_dict()))
            if epoch + 1 == self.options.epochs:
                self._load_mean()

    def _load_mean(self) -> None:
        """Make the mean of the recent epochs' weights the model."""
        mean = AveragedModel(self.objective)
        for weights in self.recent:
            self.objective.load_state_dict(weights)
            mean.update_parameters(self.objective)
        self.objective.load_state_dict(mean.module.state_dict())
        self._refit()

    def _average_early(self, state: State) -> None:
        """Let the mean stand for the last epoch of a trial that stopped early, if it is better.

        In an epoch that is the last by its number the mean stands there at once. Where validation
        bags end a trial, one knows only afterwards which epoch was the last.
        """
        self._load_mean()
        accuracy, cost = self._glance(self.validation)
        if cost < state.best_loss:
            state.history[-1] |= {"accuracy_validation": accuracy, "L_MIL_validation": cost}
            self._keep_best(state)

    def _dead(self, head: Head) -> float:
        """Share of a head's hidden units that were 0 for every training bag of the epoch."""
        fired = self.fabric.all_reduce(head.fired.float(), reduce_op="sum")
        assert isinstance(fired, Tensor)
        return float((fired == 0).float().mean())

    def _row(
        self, epoch: int, beta: float, mean: dict[str, float], seconds: float
    ) -> dict[str, float]:
        lam, on = self.objective.lam, self.objective.regularizer is not None
        nan = float("nan")
        topo = mean["L_topo"] if on else nan
        return {
            "epoch": epoch, "seconds": seconds, "beta": beta,
            "loss": mean["L_class"] + (lam * topo if on else 0.0),
            "L_MIL": mean["L_MIL"], "L_SIC": mean["L_SIC"] if beta else nan,
            "L_class": mean["L_class"], "L_topo": topo, "lam": lam if on else nan,
            "topo_to_class": lam * topo / max(mean["L_class"], 1e-12),
            "accuracy_train": mean["correct"],
            "accuracy_instances": mean["correct_instances"] if beta else nan,
            "accuracy_validation": nan, "L_MIL_validation": nan,
            "accuracy_test": nan,
        }  # fmt: skip

    def _order(self, epoch: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Order of the bags in an epoch: from the seed, whatever happened before."""
        order = np.random.default_rng([self.seed, epoch]).permutation(self.train)
        short = -len(order) % self.fabric.world_size
        return np.concatenate([order, order[:short]])

    def _refit(self) -> None:
        if not self.pooling.needs_control:
            return
        model = self.objective.model
        encoder, training = model.encoder, model.training
        encoder.eval()  # nothing is dropped from what is fitted
        with torch.no_grad():
            latents = [model.encode(self.bags[i].instances) for i in self.control]
        encoder.train(training)
        control = model.pooling.control
        assert isinstance(control, ControlGaussian)
        control.fit(torch.cat(latents), self.seed % 2**31)

    def _glance(self, indices: Any) -> tuple[float, float]:
        with self.fabric.autocast():
            return glance(self.objective.model, [self.bags[i] for i in indices])

    def _predict(self, indices: Any) -> list[Prediction]:
        with self.fabric.autocast():
            return [evaluate(self.objective.model, self.bags[i], int(i)) for i in indices]

    def _keep_best(self, state: State) -> None:
        loss = state.history[-1]["L_MIL_validation"]
        if loss < state.best_loss:
            state.best_loss = loss
            state.best = copy.deepcopy(self.objective.state_dict())

    def _save(self, state: State) -> None:
        if self.fabric.is_global_zero:
            self.trained.save(self.folder, self.key, state)
            self._write_metrics(state)
        self.fabric.barrier()

    def _write_metrics(self, state: State) -> None:
        write_whole(self.folder.table("metrics"), pd.DataFrame(state.history).to_csv(index=False))

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
            "dead_bag_head": state.history[-1]["dead_bag_head"],
            "dead_instance_head": state.history[-1]["dead_instance_head"],
            "epochs": state.epoch, "train_bags": len(self.train), "test_bags": len(self.test),
            "seconds": state.seconds,
            "epoch_seconds": float(np.median([row["seconds"] for row in state.history])),
            "seed": self.seed,
            "convention": self.options.convention, "lam": self.objective.lam,
            "space": self.bags.space, "scale": self.options.scale,
            "anomaly_preset": self.options.anomaly if self.pooling.needs_control else "",
            "protocol": self.options.protocol,
        }  # fmt: skip
        if state.best is not None:
            best = min(state.history, key=lambda row: row["L_MIL_validation"])
            accuracy, cost = self._glance(self.validation)  # of the model as it is tested
            result |= {"best_epoch": int(best["epoch"]),
                       "L_MIL_validation": cost, "accuracy_validation": accuracy}  # fmt: skip
        for logger in self.fabric.loggers:
            logger.finalize("success")
        if self.fabric.is_global_zero:
            self._write(state, predictions, result)
        self.fabric.barrier()
        return result

    def _write(self, state: State, predictions: list[Prediction], result: dict[str, Any]) -> None:
        self._write_metrics(state)
        rows = prediction_rows(self.trial, self.cohort, predictions)
        write_whole(self.folder.table("predictions"), rows.to_csv(index=False))
        if self.options.cell_scores:
            cells = instance_rows(self.trial, self.cohort, predictions)
            write_whole(self.folder.table("instances"), cells.to_csv(index=False))
        if self.options.keep_checkpoints:
            model = self.objective.model
            sizes = [len(bag) for bag in self.cohort.bags]
            control = self.cohort.control
            save_checkpoint(self.folder.checkpoint, {
                "key": self.key, "version": __version__,
                "architecture": model.architecture.plain(), "model": model.state_dict(),
                "control": control, "trial": self.trial.name,
                "cohort": self.cohort.name, "provenance": self.cohort.provenance,
                "prepared": self.cohort.prepared, "bag_sizes": [min(sizes), max(sizes)],
                "encoding": asdict(encoding) if (encoding := self.cohort.encoding) else None,
            })  # fmt: skip
        write_json(self.folder.result, {"key": self.key, **result})
        for leftover in (self.folder.resume, self.folder.epoch):
            leftover.unlink(missing_ok=True)
