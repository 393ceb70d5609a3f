"""The compiled kernels. Tensors are the addresses of contiguous memory; 0 stands for None.

The caller has checked shapes and allocated the outputs; `_operators/arguments.py` makes the nouns.
"""

from typing import Any, TypeAlias

# Address of the values, 0 for float32 or 1 for float64, coordinates, place in `_metric.METRICS`.
Space: TypeAlias = tuple[int, int, int, int, bool]
# How many, the most points of one, rows of all, and the addresses of lengths or cu_seqlens, or 0.
Bags: TypeAlias = tuple[int, int, int, int, int]

def well_formed(bags: Bags) -> bool: ...  # lengths in 1..n; cu_seqlens rise from 0 to all rows
def trees(space: Space, bags: Bags, edges: int, weights: int, threads: int) -> None: ...
def farthest_pairs(space: Space, bags: Bags, pairs: int, threads: int) -> None: ...

Each: TypeAlias = tuple[int, int, int]  # of bags: address or 0, dtype, step from bag to bag

def signature_step(
    x: Space,
    # Each by which lengths are divided; room for farthest pairs and their lengths, which then
    # divide, or 0 twice; for the lengths; for the gradient of the points and for the slope in what
    # divides, or 0.
    of_x: tuple[int, int, int, int, int, int, int, int],
    x_by: float,
    z: Space,
    of_z: tuple[int, int, int, int, int, int, int, int],
    z_by: float,
    bags: Bags,
    pairs_x: int,
    shares: Each,
    share: float,
    out: tuple[int, int],  # pairs; losses, or 0
    threads: int,
) -> None: ...
def pair_lengths(
    space: Space, bags: Bags, pairs: int, m: int, lengths: int, threads: int
) -> None: ...
def pair_pulls(
    space: Space, bags: Bags, pairs: int, m: int, pulls: int, gradient: int, threads: int
) -> None: ...
def elder_rule(edges: int, bags: int, m: int, n: int, dying: int, threads: int) -> None: ...
def single_linkage(
    doubles: bool,  # the type of heights and rows; else floats
    edges: int,
    heights: int,
    bags: int,
    m: int,
    cu_seqlens: int,
    rows: int,
    threads: int,
) -> None: ...
def tree_exchange(
    inner: int, outer: int, bags: int, m: int, replaced: int, threads: int
) -> None: ...
def matching(
    a: tuple[int, int],  # address of ascending doubles, and how many each bag has
    b: tuple[int, int],
    bags: int,
    p: float,
    of_a: int,
    of_b: int,
    threads: int,
) -> None: ...
def plan(
    n: int, d: int, doubles: bool = False
) -> str: ...  # which kernel finds the tree of n points in d dimensions
def config() -> dict[str, Any]: ...
def set_isa(name: str) -> None: ...

# Where the build has CUDA kernels. Addresses are of device memory.

Where: TypeAlias = tuple[int, int]  # the device's number, the stream's handle

def cuda_trees_workspace(space: Space, bags: Bags, plan: int) -> int: ...
def cuda_trees(
    where: Where, space: Space, bags: Bags, plan: int, edges: int, weights: int, workspace: int
) -> None: ...
def cuda_farthest_pairs_workspace(bags: Bags, spaces: int) -> int: ...
def cuda_farthest_pairs(
    where: Where,
    x: Space,
    z: Space,
    bags: Bags,
    of_x: tuple[int, int, int],  # pairs, or 0; their lengths, or 0, and the dtype of these
    of_z: tuple[int, int, int],
    workspace: int,
) -> None: ...
def cuda_elder_rule_workspace(bags: int, n: int) -> int: ...
def cuda_elder_rule(
    where: Where, edges: int, bags: int, m: int, n: int, dying: int, workspace: int
) -> None: ...

cuda_elder_rule_in_shared: int

def cuda_elder_rule_packed(where: Where, edges: int, bags: Bags, dying: int) -> None: ...
def cuda_pair_lengths(
    where: Where, space: Space, bags: Bags, pairs: int, m: int, lengths: int
) -> None: ...

Pulling: TypeAlias = tuple[int, int, int]  # pairs, how many a bag has, by how much they pull

def cuda_pair_pulls_workspace(bags: Bags, m: int) -> int: ...
def cuda_pair_pulls(
    where: Where,
    space: Space,
    bags: Bags,
    pairs: Pulling,
    further: Pulling,
    weights: int,  # of bags, or 0
    gradient: int,
    workspace: int,
) -> None: ...
def cuda_signature_edges(
    where: Where,
    x: Space,
    z: Space,
    bags: Bags,
    tree_x: tuple[int, int],  # edges and, if they are known, their lengths
    tree_z: tuple[int, int],
    out: tuple[int, int, int],  # pairs, their lengths in x, in z
) -> None: ...
def cuda_signature_losses(
    where: Where,
    # Lengths and their dtype; Each by which they are divided, and whether it is a largest length;
    # room for the slopes in the lengths and in what divides them, or 0.
    x: tuple[int, int, int, int, int, int, int, int],
    x_by: float,
    z: tuple[int, int, int, int, int, int, int, int],
    z_by: float,
    bags: int,
    half: int,
    shares: Each,
    share: float,
    losses: int,
) -> None: ...
def cuda_step_fits_a_block(x: Space, z: Space, bags: Bags, plan: int) -> bool: ...
def cuda_signature_step_workspace(z: Space, bags: Bags) -> int: ...
def cuda_signature_step(
    where: Where,
    x: Space,
    # Each by which lengths are divided; room for the lengths, for the gradient of the points and
    # for the slope in what divides, the last two or 0.
    of_x: tuple[int, int, int, int, int, int],
    x_by: float,
    z: Space,
    of_z: tuple[int, int, int, int, int, int],
    z_by: float,
    bags: Bags,
    pairs_x: int,
    shares: Each,
    share: float,
    out: tuple[int, int],
    workspace: int,
) -> None: ...
