"""Tests of mil_rbc."""
