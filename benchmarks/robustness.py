"""torchtopo answers bad input with a right answer or a clear error, never a silent wrong one."""

from __future__ import annotations

import multiprocessing
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from . import peers
from .data import cloud, distance_matrix
from .recipes import kruskal

PATIENCE = 20.0  # seconds before a call counts as hanging
MARKS = {"right": "✓ ", "refuses": "○ ", "wrong": "✗ ", "told": ""}
Deaths = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """Bad input as a batch of distance matrices, and the deaths that a right answer has for each.

    ``right`` is None where only an error is right; a dictionary names the answers of libraries that
    read the input differently, none of them wrong.
    """

    batch: Tensor
    right: list[Deaths] | dict[str, list[Deaths]] | None
    meaning: str


def cases() -> dict[str, Case]:
    """One batch of matrices for each kind of trouble."""
    n = 10
    base = distance_matrix(cloud(n, 3, dtype=torch.float64)).float()
    twins = distance_matrix(torch.cat([cloud(n // 2, 3)] * 2))
    grid = distance_matrix(torch.cartesian_prod(torch.arange(4.0), torch.arange(4.0)))

    apart = base.clone()
    apart[:5, 5:] = apart[5:, :5] = torch.inf

    spoilt = []  # one unknown distance, at every position in turn; the tree never needs it
    for i, j in torch.triu_indices(n, n, 1).T.tolist():
        matrix = base.clone()
        matrix[i, j] = matrix[j, i] = torch.nan
        spoilt.append(matrix)

    lost = base.clone()  # one point whose every distance is unknown
    lost[3, :] = lost[:, 3] = torch.nan

    crooked = base.clone()
    i, j = torch.tril_indices(n, n, -1)
    crooked[i, j] *= 1 + torch.rand(len(i), generator=torch.Generator().manual_seed(0))
    upper = torch.triu(crooked) + torch.triu(crooked).T
    lower = torch.tril(crooked) + torch.tril(crooked).T
    readings = {
        "upper triangle": upper,
        "lower triangle": lower,
        "smaller entry": torch.minimum(upper, lower),
        "larger entry": torch.maximum(upper, lower),
    }
    return {
        "duplicates": _case(twins, "5 zero-length bars of 9 are kept"),
        "a NaN, at each of 45 places": _case(torch.stack(spoilt), "all 9 valid edges are kept"),
        "a point of NaN": _case(lost, "8 valid edges, then NaN or infinity"),
        "two parts infinitely far": _case(apart, "one death is infinite"),
        "one point": Case(torch.zeros(1, 1, 1), [np.empty(0)], "no bars, no error"),
        "ties (4×4 grid)": _case(grid, "15 ones"),
        "not square (10×9)": Case(base[None, :, :9].contiguous(), None, "an error"),
        "asymmetric": Case(
            crooked[None],
            {name: [_exact(matrix)] for name, matrix in readings.items()},
            "as documented",
        ),
    }


def _case(matrices: Tensor, meaning: str) -> Case:
    batch = matrices.reshape(-1, *matrices.shape[-2:])
    return Case(batch, [_exact(matrix) for matrix in batch], meaning)


def _exact(matrix: Tensor) -> Deaths:
    """Ascending deaths by textbook Kruskal over the upper triangle; NaN orders last."""
    pairs = kruskal(matrix.numpy())
    return np.asarray(matrix.numpy()[pairs[:, 0], pairs[:, 1]], np.float64)


def measure(quick: bool = False) -> dict[str, Any]:
    """Give every case to every library, each call in a process of its own."""
    rows: list[dict[str, Any]] = []
    skipped: list[str] = []
    available: dict[str, peers.Peer] = {}
    for name, peer in list(peers.MATRIX.items())[: 2 if quick else None]:
        try:
            peer(torch.zeros(1, 2, 2))
            available[name] = peer
        except ImportError as error:
            skipped.append(f"{name}: not installed ({error.name})")
    for label, case in cases().items():
        row: dict[str, Any] = {"case": label, "right": case.meaning, "behaviour": {}, "mark": {}}
        for name, peer in available.items():
            outcome = watch(peer, case.batch)
            row["behaviour"][name], row["mark"][name] = judge(case, outcome)
        rows.append(row)
    return {"rows": rows, "skipped": skipped}


def watch(peer: peers.Peer, batch: Tensor) -> tuple[str, Any]:
    """Run a peer in a child process: what came out, how it died, or that it hangs."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(peer, batch, sender))
    child.start()
    sender.close()
    outcome: tuple[str, Any] = ("hang", PATIENCE)
    if receiver.poll(PATIENCE):
        try:
            outcome = receiver.recv()
        except EOFError:
            child.join()
            outcome = ("crash", child.exitcode)
    child.kill()
    child.join()
    return outcome


def _child(peer: Callable[[Tensor], peers.Job], batch: Tensor, sender: Connection) -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    try:
        job = peer(batch)
        sender.send(("deaths", job.read(job.call())))
    except Exception as error:  # whatever a library raises is what this benchmark reports
        sender.send(("error", f"{type(error).__name__}: {' '.join(str(error).split())}"))


def judge(case: Case, outcome: tuple[str, Any]) -> tuple[str, str]:
    """Put a behaviour into words and mark it ``right``, ``refuses``, ``wrong`` or just ``told``."""
    kind, value = outcome
    if kind == "hang":
        return f"hangs (> {value:g} s)", "wrong"
    if kind == "crash":
        return f"kills the process (exit {value})", "wrong"
    if kind == "error":
        short = value if len(value) <= 50 else value[:49] + "…"
        return short.replace("|", "/"), "right" if case.right is None else "refuses"
    got = [np.sort(np.asarray(deaths, np.float64)) for deaths in value]
    if case.right is None:
        return f"silently returns {len(got[0])} bars", "wrong"
    if isinstance(case.right, dict):
        for name, right in case.right.items():
            if _difference(right, got) is None:
                return f"reads the {name}", "told"
        return "mixes the two triangles", "told"
    said = _difference(case.right, got)
    return (said, "wrong") if said else ("right", "right")


def _difference(right: list[Deaths], got: list[Deaths]) -> str | None:
    said = [_one_difference(mine, theirs) for mine, theirs in zip(right, got, strict=True)]
    wrong = [text for text in said if text]
    if not wrong:
        return None
    return wrong[0] if len(right) == 1 else f"{wrong[0]} (in {len(wrong)} of {len(right)})"


def _one_difference(right: Deaths, got: Deaths) -> str | None:
    if len(got) == len(right):
        valid = np.isfinite(right)
        lost = int((valid & ~np.isfinite(got)).sum())
        if lost:
            return f"loses {lost} valid edges"
        if not np.allclose(got[valid], right[valid], rtol=1e-5, atol=1e-7):
            return "silently another answer"
        # An unknown or infinite distance may come back as either, but not as a number.
        return f"{got[~valid].min():.1e} for infinity" if np.isfinite(got[~valid]).any() else None
    missing = len(right) - len(got)
    if missing == int((right == 0).sum()):
        return f"drops {missing} zero-length bars"
    if missing == int(np.isinf(right).sum()):
        return f"drops {missing} infinite bar"
    return f"silently {len(got)} bars for {len(right)}"


def table(result: dict[str, Any]) -> str:
    """What each library does with each input: ✓ right, ○ a refusal in words, ✗ wrong."""
    rows = result["rows"]
    lines = [
        f"| library | {' | '.join(row['case'] for row in rows)} |",
        "|---" * (len(rows) + 1) + "|",
        f"| *right is* | {' | '.join('*' + row['right'] + '*' for row in rows)} |",
    ]
    for name in rows[0]["behaviour"]:
        cells = [MARKS[row["mark"][name]] + row["behaviour"][name] for row in rows]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def sentence(result: dict[str, Any]) -> str:
    """How many inputs each library gets right, and how many are silently wrong elsewhere."""
    rows = [row for row in result["rows"] if "told" not in row["mark"].values()]
    right = {
        name: sum(row["mark"][name] == "right" for row in rows) for name in rows[0]["behaviour"]
    }
    ours = right.pop("torchtopo")
    best = max(right.values())
    leaders = ", ".join(name for name, count in right.items() if count == best)
    wrong = sum(row["mark"][name] == "wrong" for row in rows for name in right)
    tries = len(rows) * len(right)
    return (
        f"torchtopo is right on {ours} of {len(rows)} inputs, the next best ({leaders}) on {best}; "
        f"the others drop bars or answer wrong without a word in {wrong} of {tries} tries."
    )


TABLES = {"robustness": table}
