"""The last gate: pandera holds every table that leaves ingest to the contract's columns, order, types and empty fields.

Frames are collected before: on a lazy frame pandera looks at the schema only. What is wrong with values is found
earlier, by `rules.py`, with reasons for the steward; a frame that fails here is a fault of ours. This module alone
imports pandera, which takes most of a second, so that `lss check` need not.
"""

import pandera.polars as pa
import polars as pl

from pipelines.ingest.contract import Table
from pipelines.ingest.errors import ReleaseRefused
from pipelines.ingest.tables import RECORD_ID


def hold_shape(frame: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Return the frame, having the contract's columns and `record_id`, in order and of their types.

    Raises:
        ReleaseRefused: it does not (the message shows no value).
    """
    columns = {column.name: pa.Column(column.dtype, nullable=column.may_be_empty) for column in table.columns}
    schema = pa.DataFrameSchema(columns | {RECORD_ID: pa.Column(pl.String)}, strict=True, ordered=True)
    try:
        schema.validate(frame)
    except (pa.errors.SchemaError, pa.errors.SchemaErrors) as error:
        column = getattr(getattr(error, "schema", None), "name", None)
        where = f" (column {column})" if column else ""
        raise ReleaseRefused(
            f"the accepted rows of {table.name} do not fit the contract{where}; "
            f"this is a fault of the program, please report it"
        ) from None
    return frame
