"""Glucose Measurement Context (0x2A34): meal, exercise and medication around a record."""

import enum
import struct
from collections.abc import Iterator
from typing import Final

import msgspec

from edge_agent.gatt.ieee11073 import Number, to_sfloat
from edge_agent.gatt.octets import Octets, Value, nibbles

# GSS, Glucose Measurement Context, Flags.
_CARBOHYDRATE: Final = 0x01
_MEAL: Final = 0x02
_TESTER_HEALTH: Final = 0x04
_EXERCISE: Final = 0x08
_MEDICATION: Final = 0x10
_LITRES: Final = 0x20
_HBA1C: Final = 0x40
_EXTENDED: Final = 0x80


class Meal(enum.IntEnum):
    """The relation of a record to meals."""

    PREPRANDIAL = 1
    POSTPRANDIAL = 2
    FASTING = 3
    CASUAL = 4
    BEDTIME = 5
    KETONE = 6
    """Not a meal: a reserved number, with which CareSens meters mark a ketone record."""


class Carbohydrate(msgspec.Struct, frozen=True):
    """Carbohydrate intake."""

    identifier: int
    """1 breakfast, 2 lunch, 3 dinner, 4 snack, 5 drink, 6 supper, 7 brunch."""
    mass_kg: Number


class Exercise(msgspec.Struct, frozen=True):
    """Physical exercise."""

    duration_s: int
    """65535 means longer than the field can express."""
    intensity_percent: int


class MedicationUnit(enum.Enum):
    """
    The unit of a dose.

    The tables of flags name milligrams and millilitres; the field itself is in kg and litres.
    """

    KG = "kg"
    LITRE = "L"


class Medication(msgspec.Struct, frozen=True):
    """A dose of medication."""

    identifier: int
    """1 rapid, 2 short, 3 intermediate, 4 long acting insulin, 5 pre-mixed insulin."""
    dose: Number
    unit: MedicationUnit


class GlucoseContext(msgspec.Struct, frozen=True, kw_only=True):
    """The context of the glucose record with the same sequence. It never leaves the gateway."""

    sequence: int
    extended_flags: int | None = None
    carbohydrate: Carbohydrate | None = None
    meal: int | None = None
    """A `Meal`, or a reserved number."""
    tester_health: tuple[int, int] | None = None
    """Who tested (1 self, 2 professional, 3 lab, 15 not told), and health (1 .. 5, 15)."""
    exercise: Exercise | None = None
    medication: Medication | None = None
    hba1c_percent: Number | None = None

    @property
    def is_ketone(self) -> bool:
        """Whether the record of this context is a ketone concentration."""
        return self.meal == Meal.KETONE


def decode(value: Value) -> GlucoseContext:
    """
    Read a Glucose Measurement Context, 0x2A34.

    Raises:
        DecodeError: A field is incomplete.
    """
    octets = Octets(value)
    flags = octets.uint8()
    # GSS, structure: the extended flags follow the sequence, although their bit is the last one.
    return GlucoseContext(
        sequence=octets.uint16(),
        extended_flags=octets.uint8() if flags & _EXTENDED else None,
        carbohydrate=(
            Carbohydrate(octets.uint8(), octets.sfloat()) if flags & _CARBOHYDRATE else None
        ),
        meal=octets.uint8() if flags & _MEAL else None,
        tester_health=nibbles(octets.uint8()) if flags & _TESTER_HEALTH else None,
        exercise=Exercise(octets.uint16(), octets.uint8()) if flags & _EXERCISE else None,
        medication=_take_medication(octets, flags) if flags & _MEDICATION else None,
        hba1c_percent=octets.sfloat() if flags & _HBA1C else None,
    )


def encode(context: GlucoseContext) -> bytes:
    """Return *context* as a meter sends it."""
    fields = list(_fields(context))
    flags = sum(flag for flag, _ in fields)
    if context.medication is not None and context.medication.unit is MedicationUnit.LITRE:
        flags |= _LITRES
    head = struct.pack("<BH", flags, context.sequence)
    return head + b"".join(field for _, field in fields)


def _fields(context: GlucoseContext) -> Iterator[tuple[int, bytes]]:
    """Yield (flag, encoded field) for each field that is present, in their order."""
    if context.extended_flags is not None:
        yield _EXTENDED, bytes((context.extended_flags,))
    if (food := context.carbohydrate) is not None:
        yield _CARBOHYDRATE, struct.pack("<BH", food.identifier, to_sfloat(food.mass_kg))
    if context.meal is not None:
        yield _MEAL, bytes((context.meal,))
    if context.tester_health is not None:
        tester, health = context.tester_health
        yield _TESTER_HEALTH, bytes((health << 4 | tester,))
    if (exercise := context.exercise) is not None:
        yield _EXERCISE, struct.pack("<HB", exercise.duration_s, exercise.intensity_percent)
    if (drug := context.medication) is not None:
        yield _MEDICATION, struct.pack("<BH", drug.identifier, to_sfloat(drug.dose))
    if context.hba1c_percent is not None:
        yield _HBA1C, struct.pack("<H", to_sfloat(context.hba1c_percent))


def _take_medication(octets: Octets, flags: int) -> Medication:
    unit = MedicationUnit.LITRE if flags & _LITRES else MedicationUnit.KG
    return Medication(octets.uint8(), octets.sfloat(), unit)
