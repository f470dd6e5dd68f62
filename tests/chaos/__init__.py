"""Delivery under faults: real processes on a real Kafka, faults from a seed, and an account at the end.

`python -m tests.chaos --help`. `cluster` is the brokers, `proxy` the network between, `workers` the roles, `load` what
goes in, `faults` what is done to all of them, `account` what must have come out, `run` puts them together.
"""
