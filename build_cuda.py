"""Compiles csrc/cuda with nvcc, where there is one; imported by setup.py.

TORCHTOPO_CUDA=auto (the default) builds the CUDA kernels for the devices of this machine, if it has
any and nvcc is found; 1 insists, and builds for every architecture where there is no device; 0
leaves them out. TORCHTOPO_CUDA_ARCHS is `native` (the devices at hand), `all`, as wheels want it,
or a list as torch has it ("7.5;8.0;9.0+PTX"). nvcc is looked for in TORCHTOPO_NVCC, CUDA_HOME, PATH
and /usr/local/cuda; TORCHTOPO_NVCCFLAGS are further flags for it, such as -lineinfo for a profiler.
cudart is linked statically and its symbols are hidden, so the module needs neither CUDA nor a
driver to be imported.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

# Turing to Blackwell, as in torch's own wheels: 8.9 runs the code for 8.6, 12.1 that for 12.0, and
# later ones compile the PTX. What a version of nvcc cannot do is left out.
USUAL = ["7.5", "8.0", "8.6", "9.0", "10.0", "12.0+PTX"]


def extend(extension: Any, build_temp: Path, root: Path) -> bool:
    """Add the CUDA kernels to a setuptools extension; whether they were built."""
    nvcc = _wanted_nvcc()
    archs = _architectures(nvcc) if nvcc else []
    if nvcc is None or not archs:
        return False
    print(f"torchtopo: CUDA kernels by {nvcc} for {';'.join(archs)}")
    extension.extra_objects += [str(o) for o in compile_kernels(nvcc, archs, build_temp, root)]
    extension.define_macros.append(("TORCHTOPO_CUDA", "1"))
    # nvcc may be a link or a wrapper; it says itself where its libraries are.
    said = re.findall(r'"-L([^"]+)"', _ask(nvcc, "--dryrun", "none.cu"))
    library = Path(nvcc).resolve().parent.parent
    folders = [*map(Path, said), library / "lib64", library / "lib" / "x64", library / "lib"]
    extension.library_dirs += [str(f) for f in folders if f.is_dir()]
    extension.libraries.append("cudart_static")
    if sys.platform.startswith("linux"):
        extension.libraries += ["dl", "rt", "pthread"]
        extension.extra_link_args.append("-Wl,--exclude-libs,ALL")
    return True


def compile_kernels(nvcc: str, archs: list[str], build_temp: Path, root: Path) -> list[Path]:
    """Compile every .cu file for all architectures, two files at a time."""
    folder = build_temp / "cuda"
    folder.mkdir(parents=True, exist_ok=True)
    headers = [*(root / "csrc").glob("*.hpp"), *(root / "csrc" / "cuda").glob("*.*h*")]
    newest_header = max(h.stat().st_mtime for h in headers)
    command = [nvcc, "-std=c++17", "-O3", "--fmad=false", "--extended-lambda", "-cudart", "static"]
    command += [*_code_flags(archs), f'-DTORCHTOPO_CUDA_ARCHS="{";".join(archs)}"']
    if _understands(nvcc, "-compress-mode"):
        command.append("-compress-mode=size")
    if sys.platform != "win32":
        command += ["-Xcompiler", "-fPIC,-fvisibility=hidden"]
    command += os.environ.get("TORCHTOPO_NVCCFLAGS", "").split()
    stamp = folder / "command.txt"
    same = stamp.exists() and stamp.read_text() == " ".join(command)

    def compile_one(source: Path) -> Path:
        target = folder / (source.stem + (".obj" if sys.platform == "win32" else ".o"))
        newest = max(source.stat().st_mtime, newest_header)
        if not (same and target.exists() and target.stat().st_mtime > newest):
            subprocess.run([*command, "-c", str(source), "-o", str(target)], check=True)
        return target

    sources = sorted((root / "csrc" / "cuda").glob("*.cu"))
    with ThreadPoolExecutor(int(os.environ.get("MAX_JOBS", "2"))) as pool:
        objects = list(pool.map(compile_one, sources))
    stamp.write_text(" ".join(command))
    return objects


def _wanted_nvcc() -> str | None:
    wanted = os.environ.get("TORCHTOPO_CUDA", "auto")
    if wanted not in ("auto", "0", "1"):
        raise SystemExit(f"TORCHTOPO_CUDA must be auto, 0 or 1, not {wanted!r}")
    if wanted == "0":
        return None
    nvcc = find_nvcc()
    if nvcc is None and wanted == "1":
        raise SystemExit("TORCHTOPO_CUDA=1, but there is no nvcc: install CUDA or set CUDA_HOME")
    if nvcc is None:
        print("torchtopo: no nvcc found, so this build has no CUDA kernels")
    return nvcc


def find_nvcc() -> str | None:
    """The compiler that TORCHTOPO_NVCC, CUDA_HOME, PATH or the usual place names."""
    if named := os.environ.get("TORCHTOPO_NVCC"):
        return named
    homes = [os.environ[v] for v in ("CUDA_HOME", "CUDA_PATH") if os.environ.get(v)]
    for folder in [*(f"{h}/bin" for h in homes), None, "/usr/local/cuda/bin"]:
        if found := shutil.which("nvcc", path=folder):
            return found
    return None


def _architectures(nvcc: str) -> list[str]:
    """What to compile for; nothing if nobody asked and there is no device here."""
    asked = os.environ.get("TORCHTOPO_CUDA_ARCHS")
    known = [a.removeprefix("compute_") for a in _ask(nvcc, "--list-gpu-arch").split()]
    if not asked or asked == "native":
        if found := _for_devices(_capabilities(), known):
            return found
        here = "no CUDA device here that this nvcc compiles for"
        if os.environ.get("TORCHTOPO_CUDA") != "1":
            print(f"torchtopo: {here}, so no CUDA kernels; TORCHTOPO_CUDA=1 builds them for all")
            return []
        if asked:
            raise SystemExit(f"TORCHTOPO_CUDA_ARCHS=native, but there is {here}: say all, or which")
        asked = "all"
    if asked == "all":
        usual = [a.removesuffix("+PTX") for a in USUAL if _number(a) in known]
        return [*usual[:-1], usual[-1] + "+PTX"]
    archs = [a for a in re.split(r"[;,\s]+", asked) if a]
    for arch in archs:
        if not re.fullmatch(r"\d+\.\d[af]?(\+PTX)?", arch):
            raise SystemExit(
                f"TORCHTOPO_CUDA_ARCHS is native, all, or a list like 8.0;9.0+PTX; {arch!r} is not"
            )
    return archs


def _capabilities() -> list[str]:
    """Compute capabilities of the devices of this machine, such as 9.0."""
    tool = shutil.which("nvidia-smi")
    said = _ask(tool, "--query-gpu=compute_cap", "--format=csv,noheader") if tool else ""
    return sorted({line for line in said.split() if re.fullmatch(r"\d+\.\d", line)})


def _for_devices(capabilities: list[str], known: list[str]) -> list[str]:
    """An architecture for each device: its own, or PTX of the newest one before it."""
    archs = set()
    for capability in capabilities:
        before = [n for n in known if n.isdigit() and int(n) <= int(_number(capability))]
        if before:
            newest = max(before, key=int)
            archs.add(f"{newest[:-1]}.{newest[-1]}" + "+PTX" * (newest != _number(capability)))
    return sorted(archs)


def _number(arch: str) -> str:
    return arch.removesuffix("+PTX").replace(".", "")


def _code_flags(archs: list[str]) -> list[str]:
    flags = []
    for arch in archs:
        n = _number(arch)
        flags += ["-gencode", f"arch=compute_{n},code=sm_{n}"]
        if arch.endswith("+PTX"):
            flags += ["-gencode", f"arch=compute_{n},code=compute_{n}"]
    return flags


def _understands(nvcc: str, option: str) -> bool:
    return option in _ask(nvcc, "--help")


def _ask(nvcc: str, *question: str) -> str:
    answer = subprocess.run([nvcc, *question], capture_output=True, text=True)
    return answer.stdout + answer.stderr
