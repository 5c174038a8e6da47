"""The quantities that can be measured."""

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
    """The numbers of quantities never change, because old rows use them."""
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
    """Every code has one quantity, found by code and by name."""
    assert set(QUANTITIES) == set(Code)
    assert {q.name for q in all_quantities()} == set(BY_NAME)
    assert [q.code for q in all_quantities()] == sorted(Code)
    assert all(q.name == q.code.name.lower() for q in all_quantities())


@pytest.mark.parametrize("quantity", EVERY)
def test_plausible_values_fit_the_wire(quantity: Quantity) -> None:
    """The plausible range is not empty, fits an int16, and excludes the value for "missing"."""
    assert -0x7FFF <= quantity.low < quantity.high <= 0x7FFF
    assert quantity.is_plausible(quantity.low)
    assert quantity.is_plausible(quantity.high)
    assert not quantity.is_plausible(quantity.low - 1)
    assert not quantity.is_plausible(quantity.high + 1)
    assert not quantity.is_plausible(MISSING)


@pytest.mark.parametrize("quantity", EVERY)
def test_every_step_survives_the_unit(quantity: Quantity) -> None:
    """Converting a step to the unit and back gives the same step."""
    for steps in range(-0x7FFF, 0x8000, 7):
        assert quantity.to_steps(quantity.to_unit(steps)) == steps


def test_all_is_health_but_the_battery() -> None:
    """Every quantity except the battery is data concerning health (GDPR art. 4(15))."""
    technical = [q.name for q in all_quantities() if q.gdpr_class is GdprClass.TECHNICAL]

    assert technical == ["battery_level"]


def test_zero_is_never_a_vital_sign() -> None:
    """0 is never a plausible vital sign, because sensors send it when they are not worn."""
    zero_may_be = {"energy_expended", "battery_level"}

    assert {q.name for q in all_quantities() if q.is_plausible(0)} == zero_may_be


@pytest.mark.parametrize(
    ("mg_dl", "mmol_l"), [(18.0156, 1.0), (70.0, 3.8855), (180.0, 9.9913), (0.0, 0.0)]
)
def test_glucose_is_converted_by_its_molar_mass(mg_dl: float, mmol_l: float) -> None:
    """Glucose is converted with its molar mass of 180.156 g/mol."""
    assert glucose_from_mg_dl(mg_dl) == pytest.approx(mmol_l, abs=1e-4)
