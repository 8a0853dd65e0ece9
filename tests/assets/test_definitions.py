"""What Dagster shows is what the committed list says: asset keys by group, checks, jobs, schedules and sensors.

After a change on purpose, write the list anew with: python tests/assets/test_definitions.py
"""

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pipelines.definitions import build_defs
from pipelines.releases import Home, Register, Release

LIST = Path(__file__).with_name("definitions.json")


def _listed(home: Home) -> dict[str, Any]:
    repository = build_defs(home).get_repository_def()
    graph = repository.asset_graph
    groups: dict[str, list[str]] = {}
    for key in graph.get_all_asset_keys():
        groups.setdefault(graph.get(key).group_name or "", []).append(key.to_user_string())
    checks = [f"{check.asset_key.to_user_string()}: {check.name}" for check in graph.asset_check_keys]
    return {
        "assets": {group: sorted(keys) for group, keys in sorted(groups.items())},
        "checks": sorted(checks),
        "jobs": sorted(job.name for job in repository.get_all_jobs() if not job.name.startswith("__")),
        "schedules": {s.name: [s.cron_schedule, s.default_status.value] for s in repository.schedule_defs},
        "sensors": {s.name: s.default_status.value for s in repository.sensor_defs},
    }


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("home"))


def test_assets_checks_jobs_and_schedules_are_those_of_the_list(home: Home) -> None:
    assert _listed(home) == json.loads(LIST.read_text(encoding="utf-8"))


def test_every_asset_says_what_it_is_and_is_partitioned_by_release(home: Home) -> None:
    graph = build_defs(home).get_repository_def().asset_graph
    for key in graph.get_all_asset_keys():
        asset = graph.get(key)
        assert len(asset.description or "") > 20, key
        assert isinstance(asset.partitions_def, dg.DynamicPartitionsDefinition), key
        assert asset.partitions_def.name == "releases"


def test_the_lineage_of_a_column_leads_to_columns_that_exist(home: Home) -> None:
    graph = build_defs(home).get_repository_def().asset_graph
    lineage = graph.get(dg.AssetKey(["outcomes", "visits"])).metadata["dagster/column_lineage"]
    sources = lineage.deps_by_column["source_id"]
    assert [(source.asset_key.to_user_string(), source.column_name) for source in sources]
    for deps in lineage.deps_by_column.values():
        assert {dep.asset_key for dep in deps} <= set(graph.get_all_asset_keys())


def test_the_schedule_asks_for_the_release_registered_last(home: Home) -> None:
    repository = build_defs(home).get_repository_def()
    context = dg.build_schedule_context(repository_def=repository)
    schedule = repository.get_schedule_def("quarterly_report")
    skip = schedule.evaluate_tick(context).skip_message
    assert skip == "no release is registered; drop one into the inbox, or: lss run RELEASE_DIR"
    for name in ("spring", "autumn"):
        Register(home).add(Release(name, f"/data/{name}", "a" * 64, "lss-ladder"))
    request = schedule(context)
    assert isinstance(request, dg.RunRequest)
    assert request.partition_key == "autumn"


if __name__ == "__main__":
    LIST.write_text(json.dumps(_listed(Home(Path("none"))), indent=2) + "\n", encoding="utf-8")
