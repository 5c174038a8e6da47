"""Open mHealth: only published schemas and versions, with allowed bodies."""

import copy
import json
from typing import Any

import pytest

from formats import open_mhealth
from formats.blood_pressure import joined
from formats.observed import Observed
from tests.support import open_mhealth as registry
from tests.support.observations import AT, observed, of_every_quantity
from wire.quantities import BY_NAME

Json = dict[str, Any]
_WITHOUT_SCHEMA = {"energy_expended", "battery_level"}


def points(rows: list[Observed]) -> list[Json]:
    """Return the data points of *rows*."""
    return [json.loads(line) for line in open_mhealth.lines(joined(rows), made_at=AT)]


def test_every_data_point_is_of_a_published_schema() -> None:
    """Name, version, header, fields and units of each data point are published."""
    found = points(of_every_quantity())
    assert [registry.problems(point) for point in found] == [[]] * len(found)
    assert {point["header"]["schema_id"]["name"] for point in found} == set(registry.PUBLISHED)


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_a_quantity_has_a_schema_or_is_known_to_have_none(name: str) -> None:
    """
    Each quantity has a schema or is listed as having none; a single pressure is no blood
    pressure.
    """
    is_alone = name.startswith("blood_pressure")
    assert (points([observed(name)]) == []) is (is_alone or name in _WITHOUT_SCHEMA)


def test_a_blood_pressure_is_one_data_point() -> None:
    """
    Both pressures of one moment are in one body, in mmHg; the schema has no place for
    the mean.
    """
    rows = [observed("blood_pressure_systolic", 121), observed("blood_pressure_diastolic", 80),
            observed("blood_pressure_mean", 93)]  # fmt: skip
    (point,) = points(rows)
    assert point["body"] == {
        "systolic_blood_pressure": {"value": 121, "unit": "mmHg"},
        "diastolic_blood_pressure": {"value": 80, "unit": "mmHg"},
        "effective_time_frame": {"date_time": "2026-10-25T00:30:00.123Z"},
    }


def test_glucose_says_where_it_was_measured() -> None:
    """Interstitial and capillary glucose have one schema, and differ in the specimen."""
    found = points([observed("glucose_capillary"), observed("glucose_interstitial")])
    assert [point["body"]["specimen_source"] for point in found] == [
        "capillary blood", "interstitial fluid",
    ]  # fmt: skip


def test_the_check_finds_what_is_not_published() -> None:
    """An unpublished version, unit, word or field is found."""
    (point,) = points([observed("glucose_capillary")])
    for path, value in {
        ("header", "schema_id", "version"): "3.1",
        ("body", "blood_glucose", "unit"): "mmol",
        ("body", "specimen_source"): "whole blood",
        ("body", "comment"): "-",
        ("body", "effective_time_frame"): {"date_time": "2026-10-25T00:30:00"},
        ("header", "creation_date_time"): "yesterday",
    }.items():
        broken = copy.deepcopy(point)
        place = broken
        for name in path[:-1]:
            place = place[name]
        place[path[-1]] = value
        assert registry.problems(broken) != [], path
