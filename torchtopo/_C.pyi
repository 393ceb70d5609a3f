"""The compiled kernels. Tensors are the addresses of contiguous CPU memory; 0 stands for None.

`dtype` is 0 for float32 and 1 for float64, `d` the number of coordinates, `metric` the place in
`_bags.METRICS`; with cu_seqlens `n` is not looked at. The caller has checked shapes and allocated
the outputs.
"""

from typing import Any

def vietoris_rips(
    values: int,
    dtype: int,
    d: int,
    metric: int,
    bags: int,
    n: int,
    lengths: int,
    cu_seqlens: int,
    edges: int,
    weights: int,
    threads: int,
) -> None: ...
def diameter(
    values: int,
    dtype: int,
    d: int,
    metric: int,
    bags: int,
    n: int,
    lengths: int,
    cu_seqlens: int,
    pairs: int,
    threads: int,
) -> None: ...
def signature_edges(
    x: int,
    dtype_x: int,
    d_x: int,
    metric_x: int,
    z: int,
    dtype_z: int,
    d_z: int,
    metric_z: int,
    bags: int,
    n: int,
    lengths: int,
    cu_seqlens: int,
    pairs_x: int,
    pairs: int,
    lengths_x: int,
    lengths_z: int,
    farthest_x: int,
    farthest_z: int,
    threads: int,
) -> None: ...
def elder_rule(edges: int, bags: int, m: int, n: int, dying: int, threads: int) -> None: ...
def pair_distances(
    points: int,
    dtype: int,
    d: int,
    metric: int,
    bags: int,
    n: int,
    pairs: int,
    m: int,
    out: int,
    threads: int,
) -> None: ...
def pair_distances_backward(
    points: int,
    dtype: int,
    d: int,
    metric: int,
    bags: int,
    n: int,
    pairs: int,
    m: int,
    grad: int,
    out: int,
    threads: int,
) -> None: ...
def single_linkage(
    edges: int, bags: int, m: int, cu_seqlens: int, merges: int, threads: int
) -> None: ...
def exchange(inner: int, outer: int, bags: int, m: int, replaced: int, threads: int) -> None: ...
def matching(
    a: int, b: int, bags: int, m_a: int, m_b: int, p: float, of_a: int, of_b: int, threads: int
) -> None: ...
def config() -> dict[str, Any]: ...
def set_isa(name: str) -> None: ...

# Where the build has CUDA kernels. Addresses are of device memory, but for the stream, a handle.

def cuda_trees_workspace(
    dtype: int, metric: int, bags: int, n: int, rows: int, d: int, path: int
) -> int: ...
def cuda_trees(
    device: int,
    stream: int,
    data: int,
    dtype: int,
    metric: int,
    bags: int,
    n: int,
    rows: int,
    d: int,
    lengths: int,
    cu_seqlens: int,
    path: int,
    edges: int,
    weights: int,
    workspace: int,
) -> None: ...
def cuda_diameter_workspace(rows: int) -> int: ...
def cuda_diameter(
    device: int,
    stream: int,
    data: int,
    dtype: int,
    metric: int,
    bags: int,
    n: int,
    rows: int,
    d: int,
    lengths: int,
    cu_seqlens: int,
    pairs: int,
    workspace: int,
) -> None: ...
def cuda_elder_rule_workspace(bags: int, n: int) -> int: ...
def cuda_elder_rule(
    device: int,
    stream: int,
    edges: int,
    bags: int,
    m: int,
    n: int,
    dying: int,
    workspace: int,
) -> None: ...
def cuda_pair_distances(
    device: int,
    stream: int,
    points: int,
    dtype: int,
    metric: int,
    bags: int,
    n: int,
    d: int,
    pairs: int,
    m: int,
    out: int,
) -> None: ...
def cuda_pair_pulls_workspace(bags: int, m: int) -> int: ...
def cuda_pair_pulls(
    device: int,
    stream: int,
    points: int,
    dtype: int,
    metric: int,
    bags: int,
    n: int,
    d: int,
    pairs: int,
    m: int,
    by: int,
    gradient: int,
    workspace: int,
) -> None: ...
