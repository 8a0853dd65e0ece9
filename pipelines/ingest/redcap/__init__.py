"""REDCap: a flat export and its mapping file as the four tables; `source.py` is where ingest enters."""
