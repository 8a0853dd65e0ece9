"""What a careless export does to rows and columns, and what a hostile one does.

Each function spoils a draft's tables before they are written; bytes are damaged in `damage.py`, manifests in `lies.py`.
"""

from collections.abc import Callable

from pipelines.validation.torture.drafts import ESCAPE, SENTINEL, SENTINEL_NUMBER, Draft, Rows

HOSTILE = (
    f"'; DROP TABLE patients; --{SENTINEL}",
    f"\"; COPY (SELECT 1) TO '{ESCAPE}'; --",
    f"=cmd|' /C calc'!{SENTINEL}",
    f"{{{{7*7}}}}{SENTINEL}",
    f"<script>{SENTINEL}</script>",
    f"../../{SENTINEL}",
    f"{SENTINEL}\x00end",
    f"{SENTINEL}\x1b[31m",
    f"{SENTINEL}\u202e\u200b",
    f"{SENTINEL}\ud800",
    f"{SENTINEL}\U0001f9b4é\u0301",
    f'{SENTINEL}"quoted"',
    f"{SENTINEL}\nnext line",
    f"{SENTINEL},comma\tand tab;and semicolon|",
    f"%s%n%d{SENTINEL}",
    f"${{{SENTINEL}}}",
)
NUMBERS = (
    "NaN",
    "nan",
    "inf",
    "-inf",
    "Infinity",
    "1e308",
    "1e999",
    "-1e999",
    "-0",
    "0x10",
    "1_000",
    "1,5",
    "٣",
    "７",
    "½",
    "9" * 400,
    "-" + "9" * 25,
    "9223372036854775808",
    "2147483648",
    "-2147483649",
    "1e-400",
    ".5",
    "5.",
    "+5",
    "--5",
    "7 points",
    "true",
    "TRUE",
    "0.1" + "0" * 5000 + "1",
    SENTINEL_NUMBER,
    f"-{SENTINEL_NUMBER}",
    f"{SENTINEL_NUMBER}.5",
)
HEADERS = (
    "",
    " ",
    "patient_id",
    "PATIENT_ID",
    "$line",
    "$row",
    "$file",
    "unreadable:day",
    "select",
    "day; DROP TABLE raw.patients",
    "x" * 5_000,
    "col\x00umn",
    "a\nb",
    "=1+1",
    "../../x",
    "record_id",
    "ssn",
    "geburtsdatum",
    "пациент",
    "dаy",
    "*",
    "^.*$",
)


def swap_columns(draft: Draft) -> None:
    """Two headers change places, their values do not."""
    rows = draft.table()
    a, b = draft.random.sample(range(len(rows[0])), 2)
    rows[0][a], rows[0][b] = rows[0][b], rows[0][a]


def reorder_columns(draft: Draft) -> None:
    """Columns in another order, each with its values: the same release."""
    rows = draft.table()
    order = draft.random.sample(range(len(rows[0])), len(rows[0]))
    rows[:] = [[row[place] for place in order] for row in rows]


def shuffle_rows(draft: Draft) -> None:
    """Rows in another order: the same release."""
    rows = draft.table()
    body = rows[1:]
    draft.random.shuffle(body)
    rows[1:] = body


def repeat_rows(draft: Draft) -> None:
    """Some rows stand twice, some of them changed."""
    rows = draft.table()
    for row in draft.random.choices(rows[1:], k=draft.random.choice((1, 5, 500))):
        rows.append(list(row))
        if draft.random.random() < 0.5:
            rows[-1][_place(draft, rows)] = draft.random.choice(NUMBERS)


def lose_rows(draft: Draft) -> None:
    """Rows are missing, so that others are orphans; perhaps all of them."""
    rows = draft.table()
    share = draft.random.choice((0.0, 0.1, 0.9))
    rows[1:] = [row for row in rows[1:] if draft.random.random() < share]


def drop_column(draft: Draft) -> None:
    """A column is missing."""
    rows = draft.table()
    place = _place(draft, rows)
    for row in rows:
        del row[place]


def add_column(draft: Draft) -> None:
    """A column too many, or very many."""
    rows = draft.table()
    name = draft.random.choice(HEADERS)
    value = draft.random.choice((*HOSTILE, *NUMBERS, ""))
    for number in range(draft.random.choice((1, 1, 1, 3_000))):
        for row in rows[:200]:
            row.append(value)
        rows[0][-1] = f"{name}{number or ''}"


def rename_header(draft: Draft) -> None:
    """A header has another name."""
    rows = draft.table()
    rows[0][_place(draft, rows)] = draft.random.choice(HEADERS)


def repeat_header(draft: Draft) -> None:
    """Two columns have one name."""
    rows = draft.table()
    rows[0][_place(draft, rows)] = rows[0][_place(draft, rows)]


def lose_header(draft: Draft) -> None:
    """The first row stands where the header should."""
    del draft.table()[0]


def hostile_values(draft: Draft) -> None:
    """Values that are code somewhere: SQL, formulas, markup, paths, control and invisible characters."""
    _set_some(draft, HOSTILE)


def odd_numbers(draft: Draft) -> None:
    """Numbers no measure has, or not written as numbers."""
    _set_some(draft, NUMBERS)


def change_type(draft: Draft) -> None:
    """A whole column of another type."""
    rows = draft.table()
    place = _place(draft, rows)
    kind = draft.random.choice(("text", "float", "date", "empty", "boolean", "long"))
    for number, row in enumerate(rows[1:]):
        row[place] = {
            "text": f"{SENTINEL}{number % 3}",
            "float": f"{number}.25",
            "date": f"2021-03-{1 + number % 28:02d}",
            "empty": "",
            "boolean": "true" if number % 2 else "false",
            "long": str(10**18 + number),
        }[kind]


def absurd_length(draft: Draft) -> None:
    """A field of up to a few megabytes, or a row of as many fields."""
    rows = draft.table()
    row = draft.random.choice(rows)
    length = draft.random.choice((70_000, 300_000, 5_000_000))
    if draft.random.random() < 0.7:
        row[_place(draft, rows)] = (SENTINEL * (length // 5 + 1))[:length]
    else:
        row.extend([""] * length)


def deep_quotes(draft: Draft) -> None:
    """Quotation marks in quotation marks, and line breaks in them."""
    rows = draft.table()
    for _ in range(draft.random.choice((1, 20))):
        _row(draft, rows)[_place(draft, rows)] = '"' * draft.random.choice((1, 2, 3, 999)) + SENTINEL + "\n" * 3 + '"'


def ragged_rows(draft: Draft) -> None:
    """Rows with too few or too many fields."""
    rows = draft.table()
    for _ in range(draft.random.choice((1, 30))):
        row = _row(draft, rows)
        row[:] = row[: draft.random.randrange(len(row) + 1)] + [SENTINEL] * draft.random.randrange(4)


def _set_some(draft: Draft, values: tuple[str, ...]) -> None:
    rows = draft.table()
    place = _place(draft, rows)
    for _ in range(draft.random.choice((1, 3, 50))):
        row = _row(draft, rows)
        row[min(place, len(row) - 1)] = draft.random.choice(values)


def _place(draft: Draft, rows: Rows) -> int:
    return draft.random.randrange(len(rows[0]))


def _row(draft: Draft, rows: Rows) -> list[str]:
    full = [row for row in rows[1:] if len(row) >= len(rows[0])]
    return draft.random.choice(full or rows[:1])


MUTATIONS: tuple[Callable[[Draft], None], ...] = (
    swap_columns,
    reorder_columns,
    shuffle_rows,
    repeat_rows,
    lose_rows,
    drop_column,
    add_column,
    rename_header,
    repeat_header,
    lose_header,
    hostile_values,
    odd_numbers,
    change_type,
    absurd_length,
    deep_quotes,
    ragged_rows,
)
