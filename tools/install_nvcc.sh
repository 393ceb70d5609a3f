#!/bin/sh
# nvcc and the static cudart in a manylinux image (AlmaLinux 8), for wheels with CUDA kernels.
set -eu
case "$(uname -m)" in
  x86_64) repository=x86_64 ;;
  aarch64) repository=sbsa ;;
  *) echo "no CUDA for $(uname -m)" >&2; exit 1 ;;
esac
dnf config-manager --add-repo \
  "https://developer.download.nvidia.com/compute/cuda/repos/rhel8/$repository/cuda-rhel8.repo"
dnf install -y cuda-nvcc-13-0 cuda-cudart-devel-13-0
ln -sfn /usr/local/cuda-13.0 /usr/local/cuda
