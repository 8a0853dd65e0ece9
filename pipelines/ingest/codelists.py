"""The code lists that travel with the pipeline: which procedure code means which tier.

The list is a CSV file, not code: `data/codelists/treatments.csv`. Labels there are our own short words, since the
descriptors of some code systems are licensed.
"""

from functools import cache

import polars as pl

from pipelines.resources import data_folder

_SCHEMA = {
    "code_system": pl.String,
    "code": pl.String,
    "tier": pl.String,
    "label": pl.String,
    "valid_from": pl.String,
    "valid_to": pl.String,
    "source": pl.String,
    "is_active": pl.Boolean,
}


@cache
def treatment_codes() -> pl.DataFrame:
    """Every code known: code_system, code, tier, label, valid_from, valid_to, source, is_active; one row a code.

    `source` is `seen` (read in a published list) or `unverified`; a code that is not active maps to nothing.
    """
    return pl.read_csv(data_folder() / "codelists" / "treatments.csv", schema=_SCHEMA)


def active_treatment_codes() -> pl.DataFrame:
    """The codes that map to a tier: code_system, code, tier, label."""
    return treatment_codes().filter("is_active").select("code_system", "code", "tier", "label")
