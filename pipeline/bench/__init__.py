"""Benchmarks behind `earshot bench`."""
