"""Drawings of the report: gated numbers in, one SVG panel out.

Each module holds one kind of picture. How things look is in `style.py`; which numbers are drawn is for `sections/`.
"""
