"""Published figures that travel with the pipeline, for the report's outside view: `data/literature.csv`.

Facts and numbers with their citation, in our own words; no text of a paper. Only rows that were read in their source
(`confidence` = `seen_in_source`) leave this module: what was recalled is never a benchmark.
"""

from pathlib import Path

import polars as pl

from pipelines.protocol import Protocol
from pipelines.protocol_tables import LITERATURE_SCHEMA
from pipelines.resources import data_folder

SEEN = "seen_in_source"


def published_figures(protocol: Protocol, folder: Path | None = None) -> pl.DataFrame:
    """The verified rows of the file that the protocol names, one a published figure; none where it names no file.

    Columns: study, design, funding, tier, comparator, outcome, instrument, kind (`mean`, `mean change`, `difference`,
    `share`, `responders`, `incidence`, ...), unit (shares in per cent), citation, caveat, year, subjects, months,
    estimate, std_dev, ci_low, ci_high.
    """
    if protocol.literature is None:
        return pl.DataFrame(schema=LITERATURE_SCHEMA)
    file = (folder or data_folder()) / protocol.literature.file
    read = pl.read_csv(file, schema_overrides={**LITERATURE_SCHEMA, "confidence": pl.String})
    return read.filter(pl.col("confidence") == SEEN).select(*LITERATURE_SCHEMA)
