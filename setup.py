"""Builds torchtopo._C. Needs a C++17 compiler and pybind11; uses nvcc where there is one.

TORCHTOPO_CUDA=auto|0|1 and TORCHTOPO_CUDA_ARCHS steer the CUDA part (see build_cuda.py).
"""

import os
import sys
from pathlib import Path

from pybind11.setup_helpers import ParallelCompile, Pybind11Extension, build_ext
from setuptools import setup

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT))  # an isolated build does not start with this folder on its path

import build_cuda  # noqa: E402
import build_metadata  # noqa: E402

if sys.platform == "win32":
    FLAGS = ["/O2"]
else:
    # The arithmetic is contracted to multiply-adds, as it would be by default outside ISO mode;
    # everything else is IEEE, for NaN and infinity are part of the contract. Nobody reads errno.
    # Loops begin at a line of the cache: one of 176 bytes that straddled four lines took a seventh
    # longer, and where a loop lands changes with every edit elsewhere.
    FLAGS = ["-O3", "-ffp-contract=fast", "-fno-math-errno", "-falign-loops=64", "-g0"]
    FLAGS += ["-Wall", "-Wextra", "-Wshadow", "-Wno-psabi", "-Werror=switch"]


class Build(build_ext):
    """Compiles the CUDA kernels beside the C++ ones, where CUDA is asked for."""

    def finalize_options(self) -> None:
        super().finalize_options()
        # A module left by an earlier build is newer than every source, but may have been built
        # without CUDA, or with other flags.
        self.force = True

    def build_extension(self, ext: Pybind11Extension) -> None:
        build_cuda.extend(ext, Path(self.build_temp), ROOT)
        super().build_extension(ext)


# The sources on all cores, or on so many as MAX_JOBS says, as torch's own extensions have it.
ParallelCompile("MAX_JOBS").install()

setup(
    long_description=build_metadata.readme(ROOT),
    long_description_content_type="text/markdown",
    project_urls=build_metadata.URLS,
    ext_modules=[
        Pybind11Extension(
            "torchtopo._C",
            sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("csrc/**/*.cpp")),
            depends=[str(p.relative_to(ROOT)) for p in (ROOT / "csrc").rglob("*.h*")],
            cxx_std=17,
            extra_compile_args=FLAGS + os.environ.get("TORCHTOPO_CXXFLAGS", "").split(),
            extra_link_args=os.environ.get("TORCHTOPO_LDFLAGS", "").split(),
        )
    ],
    cmdclass={"build_ext": Build},
)
