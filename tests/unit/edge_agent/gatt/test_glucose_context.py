"""The contexts of glucose records."""

from edge_agent.gatt import glucose_context
from edge_agent.gatt.glucose_context import (
    Carbohydrate,
    Exercise,
    GlucoseContext,
    Medication,
    MedicationUnit,
)
from edge_agent.gatt.ieee11073 import decimal_of


def test_decode_golden_context() -> None:
    """A hand-written context with every field; the extended flags follow the sequence."""
    value = bytes.fromhex("ff 0700 00 02 32d0 01 51 100e 50 02 0ca0 43f0")
    assert glucose_context.decode(value) == GlucoseContext(
        sequence=7,
        extended_flags=0,
        carbohydrate=Carbohydrate(2, decimal_of(0.05)),
        meal=1,
        tester_health=(1, 5),
        exercise=Exercise(3600, 80),
        medication=Medication(2, decimal_of(0.000012), MedicationUnit.LITRE),
        hba1c_percent=decimal_of(6.7),
    )
