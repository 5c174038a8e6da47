"""What can be measured."""

import pytest

from wire.quantities import (
    BY_NAME,
    MISSING,
    QUANTITIES,
    Code,
    GdprClass,
    Quantity,
    all_quantities,
    glucose_from_mg_dl,
)

EVERY = [pytest.param(q, id=q.name) for q in all_quantities()]


def test_codes_are_never_reused() -> None:
    """The numbers in a database of years ago still mean the same."""
    assert {code.name.lower(): int(code) for code in Code} == {
        "heart_rate": 1,
        "rr_interval": 2,
        "glucose_capillary": 3,
        "glucose_interstitial": 4,
        "spo2": 5,
        "pulse_rate": 6,
        "blood_pressure_systolic": 7,
        "blood_pressure_diastolic": 8,
        "blood_pressure_mean": 9,
        "body_temperature": 10,
        "body_weight": 11,
        "energy_expended": 12,
        "battery_level": 13,
    }


def test_every_code_has_one_quantity() -> None:
    """Found by code and by name, and named like its code."""
    assert set(QUANTITIES) == set(Code)
    assert {q.name for q in all_quantities()} == set(BY_NAME)
    assert [q.code for q in all_quantities()] == sorted(Code)
    assert all(q.name == q.code.name.lower() for q in all_quantities())


@pytest.mark.parametrize("quantity", EVERY)
def test_plausible_values_fit_the_wire(quantity: Quantity) -> None:
    """The range is not empty, fits an int16, and leaves out the mark for nothing."""
    assert -0x7FFF <= quantity.low < quantity.high <= 0x7FFF
    assert quantity.is_plausible(quantity.low)
    assert quantity.is_plausible(quantity.high)
    assert not quantity.is_plausible(quantity.low - 1)
    assert not quantity.is_plausible(quantity.high + 1)
    assert not quantity.is_plausible(MISSING)


@pytest.mark.parametrize("quantity", EVERY)
def test_every_step_survives_the_unit(quantity: Quantity) -> None:
    """Into the unit and back, no value moves."""
    for steps in range(-0x7FFF, 0x8000, 7):
        assert quantity.to_steps(quantity.to_unit(steps)) == steps


def test_all_is_health_but_the_battery() -> None:
    """What is not proven otherwise is data concerning health (GDPR art. 4(15))."""
    technical = [q.name for q in all_quantities() if q.gdpr_class is GdprClass.TECHNICAL]

    assert technical == ["battery_level"]


def test_zero_is_never_a_vital_sign() -> None:
    """A sensor off the wrist or warming up does not pass for a person."""
    zero_may_be = {"energy_expended", "battery_level"}

    assert {q.name for q in all_quantities() if q.is_plausible(0)} == zero_may_be


@pytest.mark.parametrize(
    ("mg_dl", "mmol_l"), [(18.0156, 1.0), (70.0, 3.8855), (180.0, 9.9913), (0.0, 0.0)]
)
def test_glucose_is_converted_by_its_molar_mass(mg_dl: float, mmol_l: float) -> None:
    """180.156 g are a mole."""
    assert glucose_from_mg_dl(mg_dl) == pytest.approx(mmol_l, abs=1e-4)
