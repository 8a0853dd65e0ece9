"""OMOP CDM 5.3 and 5.4 as a release: from files, a DuckDB file or a PostgreSQL database to the contract's tables."""
