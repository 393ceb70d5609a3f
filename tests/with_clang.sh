#!/usr/bin/env bash
# The module built by clang, any warning an error, in a copy of the sources; then the tests of what
# it computes, against that copy: `tests/with_clang.sh PYTHON`.
set -euo pipefail
python=$(realpath -s "$1")
cd "$(dirname "$0")/.."
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z | xargs -0 cp --parents -t "$copy"
cd "$copy"
CC=${CLANG:-clang} CXX=${CLANG:-clang}++ TORCHTOPO_CUDA=0 TORCHTOPO_CXXFLAGS=-Werror \
  "$python" setup.py -q build_ext --inplace
"$python" - <<'EOF'
import torchtopo
assert "clang" in torchtopo.show_config(), torchtopo.show_config()
print(torchtopo.show_config())
EOF
"$python" -m pytest -q -n auto --maxprocesses 8 -p no:cacheprovider tests/test_order.py \
  tests/test_numbers.py tests/test_special_values.py tests/test_ragged.py tests/test_isa.py \
  tests/test_threads.py tests/test_fork.py tests/test_oracle_scipy.py tests/test_signature_conventions.py
