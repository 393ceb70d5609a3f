"""What the compiler makes of the CUDA kernels does not get worse unseen."""

from __future__ import annotations

import json

import pytest

from . import counts


@pytest.mark.install  # minutes of nvcc
def test_registers_spills_and_loads_under_way() -> None:
    if counts.tool("nvcc") is None or counts.tool("cuobjdump") is None:
        pytest.skip("needs nvcc and cuobjdump")
    table, found = json.loads(counts.TABLE.read_text()), counts.count()
    assert set(found) == set(table), "python -m tests.host_cuda.counts --write"
    for name, kept in table.items():
        now = found[name]
        assert now["registers"] <= kept["registers"], name
        assert now["spilled"] <= kept["spilled"], name
        assert now["loads_under_way"] >= kept["loads_under_way"], name
        assert now["local_in_loops"] <= kept["local_in_loops"], name


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        # Two loads, then both are used: two under way.
        (["0000 LDG.E R1, [R8]", "0010 LDG.E R2, [R9]", "0020 FADD R3, R1, R2",
          "0030 BRA 0x0000"], 2),
        # The first is waited for before the second is issued: one.
        (["0000 LDG.E R1, [R8]", "0010 FADD R3, R1, R4", "0020 LDG.E R2, [R9]",
          "0030 FADD R3, R2, R4", "0040 BRA 0x0000"], 1),
        # Loads outside of a loop do not count.
        (["0000 LDG.E R1, [R8]", "0010 FADD R3, R1, R4", "0020 BRA 0x0010"], 0),
    ],
)  # fmt: skip
def test_how_loads_are_counted(body: list[str], expected: int) -> None:
    assert counts.loads_under_way(body) == expected


def test_spills_of_called_functions_and_within_loops_are_counted() -> None:
    said = """Compiling entry function 'kernel' for 'sm_90'
    8 bytes stack frame, 4 bytes spill stores, 8 bytes spill loads
    Used 80 registers, used 1 barriers
    Function properties for what_it_calls
    0 bytes stack frame, 100 bytes spill stores, 200 bytes spill loads
    """
    assert dict(counts._of_ptxas(said)) == {"kernel": {"registers": 80, "spilled": 312}}
    body = ["0000 STL [R1], R8", "0010 LDL R2, [R1]", "0020 BRA 0x0010", "0030 LDL.LU R3, [R1]"]
    assert counts.local_in_loops(body) == 1
