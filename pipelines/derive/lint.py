"""Refuses SQL that does not travel from DuckDB to Spark, or whose answer can differ from run to run.

SQLGlot translates most of DuckDB's SQL and warns of few of the differences that remain; these are the rest. What is
fine on both sides needs no rule here. Layout is sqlfluff's business.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sqlglot import exp

from pipelines.derive.checks import SqlCheck
from pipelines.derive.resolve import resolve, resolve_query
from pipelines.derive.tables import SqlTable

Node = exp.Expr

_WHOLE = (*exp.DataType.INTEGER_TYPES, exp.DataType.Type.BOOLEAN)
_HUGE = (exp.DataType.Type.INT128, exp.DataType.Type.UINT128)
_CALENDAR_UNITS = ("MONTH", "QUARTER", "YEAR", "DECADE", "CENTURY")


@dataclass(frozen=True)
class Refusal:
    """A construct that is refused: how to find it and the sentence that says why and what to write instead."""

    name: str
    finds: Callable[[Node], bool]
    sentence: str


def _is_cast_to_whole(node: Node) -> bool:
    if not isinstance(node, exp.Cast | exp.TryCast) or node.to.this not in exp.DataType.INTEGER_TYPES:
        return False
    return not (isinstance(node.this, exp.Null) or node.this.is_type(*_WHOLE))


def _is_decimal(node: Node) -> bool:
    if isinstance(node, exp.DataType):
        return bool(node.is_type("DECIMAL"))
    return isinstance(node, exp.Literal) and not node.is_string and "." in node.name and "e" not in node.name.lower()


def _is_ordered_array(node: Node) -> bool:
    return isinstance(node, exp.ArrayAgg | exp.GroupConcat) and isinstance(node.this, exp.Order)


def _is_calendar_difference(node: Node) -> bool:
    return isinstance(node, exp.DateDiff) and node.text("unit").upper() in _CALENDAR_UNITS


def _is_bare_quantile(node: Node) -> bool:
    quantiles = (exp.PercentileCont, exp.PercentileDisc, exp.Quantile, exp.ApproxQuantile)
    return isinstance(node, quantiles) and not isinstance(node.parent, exp.WithinGroup)


def _is_division_by_unknown(node: Node) -> bool:
    if not isinstance(node, exp.Div | exp.IntDiv | exp.Mod):
        return False
    divisor = node.expression.unnest()
    if isinstance(divisor, exp.Literal):
        return float(divisor.name) == 0
    return not isinstance(divisor, exp.Nullif)


def _is_length_of_list(node: Node) -> bool:
    return isinstance(node, exp.Length | exp.ArraySize) and not node.this.is_type(*exp.DataType.TEXT_TYPES)


def _is_changed_star(node: Node) -> bool:
    return isinstance(node, exp.Star) and any(node.args.get(key) for key in ("replace", "except_", "rename"))


def _is(*kinds: type[Node]) -> Callable[[Node], bool]:
    return lambda node: isinstance(node, kinds)


# Seen in the SELECT as it was written; resolving names would already have spelled some of these out.
AS_WRITTEN = (
    Refusal("decimal", _is_decimal, "a decimal number or type divides differently on Spark; write 1e0 or DOUBLE"),
    Refusal(
        "logarithm",
        lambda node: isinstance(node, exp.Log) and not node.expression,
        "LOG(x) is base 10 in DuckDB and base e on Spark; write ln(x) or log10(x)",
    ),
    Refusal(
        "ordered array",
        _is_ordered_array,
        "an ordered list or array_agg loses its order on Spark; number the rows with row_number() instead",
    ),
    Refusal(
        "arg_min or arg_max",
        _is(exp.ArgMin, exp.ArgMax),
        "arg_min and arg_max treat missing values differently on Spark; use row_number() and QUALIFY",
    ),
    Refusal(
        "calendar difference",
        _is_calendar_difference,
        "date_diff of months or years counts differently on Spark; count days, which is all the warehouse holds",
    ),
    Refusal(
        "skewness", _is(exp.Skewness), "skewness is corrected for size in DuckDB and not on Spark; leave it to Python"
    ),
    Refusal(
        "quantile",
        _is_bare_quantile,
        "quantile functions fail on Spark; write percentile_cont(5e-1) WITHIN GROUP (ORDER BY x)",
    ),
    Refusal(
        "first or last",
        _is(exp.First, exp.Last, exp.AnyValue),
        "first, last and any_value depend on the order of rows or fail on Spark; use row_number() and QUALIFY",
    ),
    Refusal("pivot", _is(exp.Pivot), "PIVOT fails on Spark as DuckDB writes it; use max(x) FILTER (WHERE ...)"),
    Refusal(
        "union by name",
        lambda node: isinstance(node, exp.SetOperation) and bool(node.args.get("by_name")),
        "UNION BY NAME fails on Spark; list the columns in the same order and write UNION ALL",
    ),
    Refusal("changed star", _is_changed_star, "* REPLACE, EXCLUDE and RENAME fail on Spark; list the columns"),
    Refusal("columns", _is(exp.Columns), "COLUMNS() fails on Spark; list the columns"),
    Refusal(
        "generated series",
        _is(exp.GenerateSeries),
        "generate_series fails on Spark; join the table that holds the values",
    ),
    Refusal(
        "128-bit number",
        lambda node: isinstance(node, exp.DataType) and node.this in _HUGE,
        "HUGEINT does not exist on Spark; write BIGINT",
    ),
    Refusal(
        "as-of join",
        lambda node: isinstance(node, exp.Join) and node.args.get("method") == "ASOF",
        "ASOF joins fail on Spark; join on a range and keep one row with QUALIFY",
    ),
    Refusal(
        "unknown function",
        _is(exp.Anonymous, exp.AnonymousAggFunc),
        "SQLGlot does not know this function (strlen, list_sum, a macro) and cannot translate it; use a standard one",
    ),
    Refusal(
        "division",
        _is_division_by_unknown,
        "x / 0 is missing in DuckDB and an error on Spark; divide by nullif(x, 0)",
    ),
    Refusal(
        "chance or clock",
        _is(exp.Rand, exp.Randn, exp.TableSample, exp.CurrentDate, exp.CurrentTimestamp, exp.CurrentTime, exp.Uuid),
        "chance and the clock give another answer in each run; take the value from a table",
    ),
)

# Seen only once types are known.
AS_TYPED = (
    Refusal(
        "cast to whole number",
        _is_cast_to_whole,
        "a cast to a whole number rounds in DuckDB and cuts off on Spark; cast floor(x) or round(x) in Python, "
        "or keep DOUBLE",
    ),
    Refusal(
        "length of a list",
        _is_length_of_list,
        "len of a list fails on Spark; count rows instead of building lists",
    ),
)


def lint(tables: Sequence[SqlTable], checks: Sequence[SqlCheck] = ()) -> list[str]:
    """One sentence for each construct in each file that does not travel; empty when all is well.

    `tables` stand sources first, as `load_tables` gives them.

    Raises:
        DeriveError: a column is named that no table read has, or that several have.
    """
    return list(_lint(tables, checks))


def _lint(tables: Sequence[SqlTable], checks: Sequence[SqlCheck]) -> Iterator[str]:
    resolved = resolve(tables)
    for table in tables:
        yield from _found(table.name, table.query, AS_WRITTEN)
        yield from _found(table.name, resolved.queries[table.name], AS_TYPED)
    for check in checks:
        yield from _found(check.name, check.query, AS_WRITTEN)
        yield from _found(check.name, resolve_query(check.query, check.name, resolved.schema), AS_TYPED)


def _found(label: str, query: exp.Query, refusals: Sequence[Refusal]) -> Iterator[str]:
    for refusal in refusals:
        if any(refusal.finds(node) for node in query.walk()):
            yield f"{label}: {refusal.sentence}"
