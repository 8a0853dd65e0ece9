"""How firm the answers are, as the report says it: what would overturn them, and who benefits."""

from pipelines.reports.content import Document, Figure, Section, Table, traced


def _section(document: Document, anchor: str) -> Section:
    return next(section for section in document.sections if section.anchor == anchor)


def test_tipping_point_says_how_much_worse_the_missing_must_be(large_document: Document) -> None:
    """A shift of +1.5 on a scale where lower is better is worse by 1.5 points."""
    table = next(
        b for b in _section(large_document, "sensitivity").blocks if isinstance(b, Table) and b.anchor == "table-hidden"
    )
    said = {str(row.cells[0]): str(row.cells[2]) for row in table.rows}
    assert said["Leg pain: MILD vs ESI"] == (
        "The conclusion falls if those not seen after MILD were 1.5 points worse than patients like them"
    )
    assert str(table.rows[0].cells[1]) == "2.1 (1.4)"


def test_specification_curve_names_each_choice_in_order_of_size(large_document: Document) -> None:
    figure = next(b for b in _section(large_document, "sensitivity").blocks if isinstance(b, Figure))
    assert len(figure.panels) == 4
    alt = figure.panels[0].alt
    assert alt.index("weighting · overlap · dropout weights: −1.0") < alt.index(
        "ANCOVA · overlap · complete cases: −0.8"
    )


def test_groups_stand_beside_the_test_of_interaction(large_document: Document) -> None:
    figure = next(b for b in _section(large_document, "subgroups").blocks if isinstance(b, Figure))
    assert "Current smoker: MILD vs ESI: −0.2 (−0.8 to 0.4); p 0.04" in figure.panels[0].alt


def test_what_would_overturn_an_answer_is_traced(large_document: Document) -> None:
    """Each E-value and tipping point leads to its row; `traced` is what `lss trace` lists for a table."""
    table = next(
        b for b in _section(large_document, "sensitivity").blocks if isinstance(b, Table) and b.anchor == "table-hidden"
    )
    known = dict(traced(table))
    assert known["Leg pain: MILD vs ESI, E-value (of the limit)"] == "R-e000011"
    assert known["Leg pain: MILD vs ESI, Patients not seen"] == "R-e000012"
