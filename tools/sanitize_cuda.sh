#!/usr/bin/env bash
# compute-sanitizer over a short run of the CUDA kernels: out-of-bounds and uninitialised memory,
# races in shared memory, misuse of barriers. Needs a GPU, CUDA's tools and an installed torchtopo.
set -uo pipefail
cd "$(dirname "$0")/.."
command -v compute-sanitizer >/dev/null || {
  echo "compute-sanitizer is not on PATH; it comes with the CUDA toolkit" >&2
  exit 2
}
# Torch's caching allocator would hide an overrun inside its blocks.
export PYTORCH_NO_CUDA_MEMORY_CACHING=1
# Every tool runs, whatever the one before it found; kernels of ours only, by their mangled namespace.
failed=0
for tool in memcheck racecheck synccheck initcheck; do
  echo "== $tool"
  timeout "${SECONDS_EACH:-110}" compute-sanitizer --tool "$tool" --error-exitcode 1 \
    --kernel-name kns=torchtopo "${PYTHON:-python3}" tools/exercise_cuda.py
  code=$?
  echo "== $tool ended with $code$([ $code -eq 124 ] && echo ', out of time')"
  [ $code -eq 0 ] || failed=1
done
exit $failed
