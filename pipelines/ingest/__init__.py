"""Ingest: a release folder held against contract, de-identification guard and row rules, and read into `raw.*` frames.

Nothing here writes, knows Dagster or fits a model; this module only names what other rooms may use.
"""

from pipelines.ingest.errors import ReleaseRefused
from pipelines.ingest.manifest import Manifest
from pipelines.ingest.release import Ingested, Inspection, check_release, read_release

__all__ = ["Ingested", "Inspection", "Manifest", "ReleaseRefused", "check_release", "read_release"]
