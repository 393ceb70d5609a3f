"""The confirmatory experiment, written down before it was run: `plan.yaml`."""
