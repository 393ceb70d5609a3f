"""How topology changes gradients and pooled vectors: `python tools/gradients.py RUN`.

Reads the final checkpoints of a run, and for each pooling and arm prints a row of a Markdown table
(and keeps it as gradients.md in the run's folder), medians over the test bags of all its trials:

- the norm of the gradient of the classification loss (L_MIL) for the encoder's parameters, that of
  λ·L_topo (also where topology was not trained), and their ratio;
- the norm of the mean of all test bags' pooled vectors, and how far a bag's own is from that mean.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import yaml
from torch import Tensor

from mil_rbc.data.store import load_cohort
from mil_rbc.files import write_whole
from mil_rbc.model.checkpoint import load_model
from mil_rbc.model.terms import Regularizer
from mil_rbc.model.topology import input_space, points_of
from mil_rbc.model.variants import ARMS
from mil_rbc.report.tables import gather
from mil_rbc.run_folder import RunFolder
from mil_rbc.training.trial import Trial


def main(folder: Path) -> None:
    """Write and print the table."""
    run = RunFolder(folder)
    config = yaml.safe_load(run.config.read_text())
    cohort = load_cohort(run.cohort)
    number = {bag.bag: i for i, bag in enumerate(cohort.bags)}
    regularizer = Regularizer(config["convention"])
    lines = ["| pooling | topology | ‖∇L_MIL‖ | ‖∇λ·L_topo‖ | ratio | norm of the mean pooled "
             "vector | distance of a bag from it | of the norm |", "|---" * 8 + "|"]  # fmt: skip
    for pooling in config["pooling"]:
        for arm in config["topology"]:
            rows: list[list[float]] = []
            for number_of_run in range(config["runs"]):
                for fold in range(config["folds"]):
                    trial = Trial(pooling, arm, fold, number_of_run)
                    tested = gather(run, [trial], "predictions")["bag"]
                    model, _ = load_model(run.trial(trial.name).checkpoint)
                    parameters = list(model.encoder.parameters())
                    norms, pooled = [], []
                    for bag in (cohort.bags[number[b]] for b in tested):
                        x = torch.from_numpy(np.array(bag.instances))
                        points = points_of(x, cohort.kind, config["record"]["space"],
                                           model.standardize)  # fmt: skip
                        out = model(x[None])
                        mil = F.cross_entropy(out.bag, torch.tensor([bag.label]))
                        topo = regularizer(input_space(points, config["scale"]), out.latents[0])
                        norms.append([_norm(loss, parameters)
                                      for loss in (mil, config["lam"] * topo)])  # fmt: skip
                        pooled.append(out.pooled.vector[0].detach())
                    centre = torch.stack(pooled).mean(0)
                    rows += [[*n, float(centre.norm()), float((v - centre).norm())]
                             for n, v in zip(norms, pooled, strict=True)]  # fmt: skip
            mil_norm, topo_norm, centre_norm, away = np.array(rows).T
            cells = [f"{np.median(v):.3g}"
                     for v in (mil_norm, topo_norm, topo_norm / np.maximum(mil_norm, 1e-12),
                               centre_norm, away)]  # fmt: skip
            share = f"{100 * np.median(away / centre_norm):.0f} %"
            lines.append("| " + " | ".join([pooling, ARMS[arm].short, *cells, share]) + " |")
    write_whole(folder / "gradients.md", "\n".join(lines) + "\n")
    print((folder / "gradients.md").read_text())


def _norm(loss: Tensor, parameters: Sequence[Tensor]) -> float:
    gradients = torch.autograd.grad(loss, parameters, retain_graph=True)
    return float(torch.cat([g.flatten() for g in gradients]).norm())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python tools/gradients.py RUN")
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
