"""Torture: what must not hurt a published snapshot, done to the product from outside and measured.

Runs are killed, starved of disk, doubled and read from while they write; releases are mutated. Belongs here: the
harness (`make torture`) and its figures. What a run or a reader does about it belongs to the product's own rooms.
"""
