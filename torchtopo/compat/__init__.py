"""Other libraries' interfaces on torchtopo's kernels: one import changes, the numbers don't."""
