"""Is it right, and is it fast? Agreement with R, simulation studies, recovery of known truth, benchmarks.

Each module is one study; `lss validate` and `make bench` run them. Tests run small versions.
"""
