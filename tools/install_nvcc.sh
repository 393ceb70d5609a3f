#!/bin/sh
# nvcc and the static cudart from NVIDIA's packages: in a manylinux image (AlmaLinux 8) for wheels
# with CUDA kernels, on Ubuntu for the tests that compile them. Run by root.
set -eu
case "$(uname -m)" in
  x86_64) repository=x86_64 ;;
  aarch64) repository=sbsa ;;
  *) echo "no CUDA for $(uname -m)" >&2; exit 1 ;;
esac
packages=https://developer.download.nvidia.com/compute/cuda/repos
if command -v dnf > /dev/null; then
  dnf config-manager --add-repo "$packages/rhel8/$repository/cuda-rhel8.repo"
  dnf install -y cuda-nvcc-13-0 cuda-cudart-devel-13-0
else
  . /etc/os-release
  keyring=$(mktemp --suffix .deb)
  curl -fsSL -o "$keyring" \
    "$packages/$ID$(echo "$VERSION_ID" | tr -d .)/$repository/cuda-keyring_1.1-1_all.deb"
  dpkg -i "$keyring"
  apt-get update -q
  apt-get install -y -q --no-install-recommends cuda-nvcc-13-0 cuda-cudart-dev-13-0
fi
ln -sfn /usr/local/cuda-13.0 /usr/local/cuda
/usr/local/cuda/bin/nvcc --version
