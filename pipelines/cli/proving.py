"""Commands that prove the program: simulated cohorts, the recall of the guard, estimators held against R and truth."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.shared import CHECK_FAILED, WRONG_USAGE, ProtocolFile, Stop, chosen_protocol


class FileFormat(StrEnum):
    """How simulated tables are written."""

    CSV = "csv"
    PARQUET = "parquet"


class Study(StrEnum):
    """The studies of `lss validate`."""

    AGREEMENT = "agreement"
    FAILURE = "failure"
    OUTCOMES = "outcomes"
    RECOVERY = "recovery"
    SITES = "sites"
    CALIBRATION = "calibration"


def recall(
    made: Annotated[
        int,
        typer.Option(help="Also this many identifiers of each kind that the library faker makes (0: none).", min=0),
    ] = 0,
    seed: Annotated[int, typer.Option(help="Seed of the identifiers that are made.")] = 1,
    protocol: ProtocolFile = None,
) -> None:
    """Measure the de-identification guard: plant identifiers into the bundled release and see which refuse it."""
    from pipelines.console import show_table
    from pipelines.ingest.independent import independent_identifiers
    from pipelines.ingest.recall import planted_identifiers, recall_table

    effective = chosen_protocol(protocol, None)
    corpora = {"Planted identifiers, written by those who wrote the patterns": planted_identifiers()}
    if made:
        try:
            corpora["Identifiers made by faker, which knows nothing of the patterns"] = independent_identifiers(
                made, seed
            )
        except ModuleNotFoundError:
            raise Stop("the library faker is not installed; install it, or leave out --made", 1) from None
    for title, corpus in corpora.items():
        table = recall_table(corpus, effective)
        rows = [row | {"recall": f"{row['recall']:.1%}"} for row in table.iter_rows(named=True)]
        show_table(title, table.columns, rows)
        print()
    print(
        "refused: the release was; kept_out: its row was, by a row rule; let_in: neither. recall is the share refused."
    )


def simulate(
    out_dir: Annotated[Path, typer.Argument(metavar="OUT_DIR", help="A new or empty folder.")],
    patients: Annotated[int, typer.Option(help="Number of patients.", min=1)] = 600,
    seed: Annotated[int, typer.Option(help="Seed of the random numbers: the same seed gives the same cohort.")] = 1,
    file_format: Annotated[FileFormat, typer.Option("--format", help="Format of the tables.")] = FileFormat.CSV,
    scenario: Annotated[
        str | None, typer.Option(help="A scenario of data/scenarios.toml, by name.", show_default=False)
    ] = None,
) -> None:
    """Make a synthetic release with known truth (truth.json)."""
    from pipelines.simulate import SettingsError
    from pipelines.simulate import simulate as write_release

    try:
        write_release(out_dir, patients, seed, file_format.value, scenario)
    except SettingsError as error:
        raise Stop(str(error), WRONG_USAGE) from None
    print(f"release: {out_dir.absolute()}")


def validate(
    out_dir: Annotated[Path, typer.Argument(help="Folder for the page.", show_default=False)] = Path(
        "validation-report"
    ),
    study: Annotated[
        list[Study] | None, typer.Option(help="Run only this study; may be given again.", show_default=False)
    ] = None,
    replications: Annotated[
        int | None, typer.Option(help="Replications of each scenario; by default those of the grid.", min=2)
    ] = None,
    cohorts: Annotated[int, typer.Option(help="Simulated cohorts of the recovery study.", min=2)] = 100,
) -> None:
    """Hold the estimators against R and against known truth, and write the page that shows it (takes long)."""
    from pipelines.assets.in_memory import derived_frames
    from pipelines.console import say_progress
    from pipelines.reports import render_html
    from pipelines.reports.validation_page import validation_document
    from pipelines.validation.run import failures, run_study

    frames = {
        name.value: run_study(
            name.value, replications, cohorts, derived_frames, chosen_protocol(None, None), say_progress
        )
        for name in study or list(Study)
    }
    settings = [("Studies", ", ".join(frames)), ("Replications", str(replications or "as in data/validation.toml"))]
    out_dir.mkdir(parents=True, exist_ok=True)
    for name, frame in frames.items():
        frame.write_csv(out_dir / f"{name}.csv")
    page = out_dir / "validation.html"
    page.write_text(render_html(validation_document(frames, settings)), encoding="utf-8")
    print(f"page: {page.absolute()}")
    if missed := failures(frames):
        raise Stop("; ".join(missed), CHECK_FAILED)
