"""OMOP sources written row by row, for tests of what single records become; every person enters on 2020-01-01."""

import hashlib
from datetime import date, timedelta
from pathlib import Path

import polars as pl

ENTRY = date(2020, 1, 1)
_DATES = {
    "condition_occurrence": "condition_start_date", "procedure_occurrence": "procedure_date",
    "measurement": "measurement_date", "observation": "observation_date",
    "drug_exposure": "drug_exposure_start_date", "visit_occurrence": "visit_start_date",
    "episode": "episode_start_date",
}  # fmt: skip
_STEMS = {"condition_occurrence": "condition", "procedure_occurrence": "procedure", "drug_exposure": "drug",
          "visit_occurrence": "visit"}  # fmt: skip


def on(day: int) -> str:
    """The date of a day from entry."""
    return (ENTRY + timedelta(days=day)).isoformat()


class Cdm:
    """A source under construction: persons 1, 2, … with a diagnosis of lumbar stenosis on the day of entry."""

    def __init__(self, persons: int = 1) -> None:
        self.tables: dict[str, list[dict[str, object]]] = {"person": [], "condition_occurrence": []}
        for person in range(1, persons + 1):
            self.tables["person"].append(
                {"person_id": person, "gender_concept_id": 8507, "year_of_birth": 1950 + person, "care_site_id": ""}
            )
            self.coded("condition_occurrence", "M48.062", 0, person)
        self.add("observation_period", observation_period_id=1, person_id=1, observation_period_start_date=on(-900),
                 observation_period_end_date=on(900))  # fmt: skip
        self.lists: dict[str, str] = {}

    def add(self, table: str, **fields: object) -> None:
        """A row as it is."""
        self.tables.setdefault(table, []).append(fields)

    def coded(
        self,
        table: str,
        code: str,
        day: int,
        person: int = 1,
        concept: int = 0,
        source_concept: int = 0,
        **more: object,
    ) -> None:
        """A coded record: the code as source value, concepts where given."""
        stem = _STEMS.get(table, table)
        number = len(self.tables.get(table, [])) + 1
        head = "episode_object" if table == "episode" else stem
        self.add(table, **{
            f"{table}_id": number, "person_id": person, f"{head}_concept_id": concept,
            f"{stem}_source_concept_id": source_concept, f"{stem}_source_value": code, _DATES[table]: on(day), **more,
        })  # fmt: skip

    def write(self, folder: Path, **settings: str) -> Path:
        """CSV files with their manifest; `lists` become code lists of the release."""
        folder.mkdir()
        text = 'release = "cdm"\nsource = "made by hand"\ndeidentification = "synthetic"\nlinkage = "all payers"\n'
        text += 'format = "omop"\n'
        for file, content in self.lists.items():
            (folder / file).write_text(content, encoding="utf-8")
            sha256 = hashlib.sha256(content.encode()).hexdigest()
            text += f'[[code_lists]]\nfile = "{file}"\nsha256 = "{sha256}"\n'
        about = {"version": "5.4"} | settings
        text += "[omop]\n" + "".join(f'{key} = "{value}"\n' for key, value in about.items())
        for name, rows in self.tables.items():
            file = folder / f"{name}.csv"
            pl.DataFrame(rows, infer_schema_length=None).write_csv(file)
            sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
            text += f'[tables.{name}]\nfiles = ["{file.name}"]\nrows = {len(rows)}\nsha256 = ["{sha256}"]\n'
        (folder / "manifest.toml").write_text(text, encoding="utf-8")
        return folder
