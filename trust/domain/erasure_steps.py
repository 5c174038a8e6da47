"""
The steps of an erasure, as the ledger keeps them: one type for each, read strictly.

The facts of a step are signed as canonical JSON, with the number of the erasure and the name of
the step. They hold no pseudonym, no handle and no value. A fact that is missing, unknown or of
another type makes the step unreadable, as a broken signature does.

Rows are never rewritten. So each form that an earlier release signed has its own type, whose name
ends in 1 and which converts the facts to the form of today.
"""

import re
from collections.abc import Mapping
from typing import Final, TypeVar

import msgspec

from trust.domain import canonical
from trust.errors import Tampered

_WHAT: Final = "a step of an erasure"


class StepFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The facts of a step that an erasure does once."""


class RepeatedFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The facts of a step that is repeated each time erased data are found again."""


class EarlierFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The facts of a step in the form that an earlier release wrote; see `_Earlier`."""


class Frozen(StepFacts, frozen=True):
    """`freeze`: no more data of the person are measured or stored."""

    withdrawn: list[str]
    """Purposes whose withdrawal was recorded."""
    unverified: int
    """Number of purposes without a recorded withdrawal: their decisions do not verify."""
    in_force: bool
    """Whether every gateway concerned was brought up to date."""


class Frozen1(EarlierFacts, frozen=True):
    """`freeze` in its first form, when a damaged decision or gateway still stopped an erasure."""

    withdrawn: list[str]

    def today(self) -> Frozen:
        """Return these facts in the form of today."""
        return Frozen(self.withdrawn, unverified=0, in_force=True)


class Marked(StepFacts, frozen=True):
    """`mark`: what is to be erased, so that it can be recognised without any names."""

    agents: list[str]
    """Gateways that were ever permitted to send data in this scope."""
    data_key: str | None
    """Name of the person's data key in certificates; None when one purpose is erased."""
    relations: list[str]
    """Tables whose files hold the rows to be erased."""
    rows: dict[str, int]
    """Number of rows by store."""
    series: list[int]
    tombstones: list[str]
    """Tombstone of every pseudonym and handle."""


class KeysDestroyed(StepFacts, frozen=True):
    """`keys`: identity, bindings and exports can no longer be read."""

    handles: int
    """Number of handles deleted from the vault."""
    keys: list[str]
    """Destroyed keys, by their names in certificates."""
    exports: int
    """Number of export files deleted."""
    unverified: int
    """As in `Frozen`, from the freeze that was repeated just before this step."""


class KeysDestroyed1(EarlierFacts, frozen=True):
    """`keys` in its first form, from the same releases as `Frozen1`."""

    handles: int
    keys: list[str]
    exports: int

    def today(self) -> KeysDestroyed:
        """Return these facts in the form of today."""
        return KeysDestroyed(self.handles, self.keys, self.exports, unverified=0)


class RowsErased(StepFacts, frozen=True):
    """`rows`: rows and aggregates of all times are deleted."""

    relations: list[str]
    """Tables that held such rows just before the deletion, besides the marked tables."""


class RowsErased1(EarlierFacts, frozen=True):
    """`rows` in its first form, when only the marked tables were rewritten."""

    def today(self) -> RowsErased:
        """Return these facts in the form of today."""
        return RowsErased([])


class NamesErased(StepFacts, frozen=True):
    """`names`: the names that led to the rows, and rows in quarantine, are deleted."""

    rows: dict[str, int]
    """Number of deleted rows by store."""


class LeasesPublished(StepFacts, frozen=True):
    """`broker`: the leases that the broker retains no longer name the handles."""

    leases: dict[str, int]
    """Version of the published lease for each gateway."""
    published: bool
    """False when the settings name no broker."""


class Rewritten(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was checked in one database when its files were rewritten."""

    relations: list[str]
    """Rewritten tables, each proved to hold no row that was deleted before."""
    horizon: str
    """Transaction number below which every transaction had ended."""
    looked_at: str
    """Time of the check, in RFC 3339."""
    waited_ms: int
    """Milliseconds spent waiting for transactions that could still read deleted rows."""
    sessions_ended: int
    """Number of dashboard sessions that were ended."""
    prepared_transactions: int
    """Number of prepared transactions, all later than the erasure; likewise the next three."""
    replication_slots: int
    standbys: int
    sessions_with_temporary_tables: int


class FilesRewritten(StepFacts, frozen=True):
    """`rewrite`: files and statistics hold nothing that was erased."""

    looked: dict[str, Rewritten]
    """The checks of the rewritten files, by database."""


class FoundNothing(StepFacts, frozen=True, omit_defaults=True):
    """`verify`: a second search of all stores found nothing."""

    residue: int
    """Always 0: with any other number the step is not done."""
    exports: int
    """Number of export files deleted since the keys were destroyed."""
    not_exports: int
    """Number of export records whose file is no export; such a file is not deleted."""
    looked: dict[str, Rewritten] | None = None
    """By database, if files were rewritten for data that came after the mark."""


class FoundNothing1(EarlierFacts, frozen=True):
    """`verify` in its first forms, without and with files that were rewritten twice."""

    residue: int
    looked: dict[str, Rewritten] | None = None

    def today(self) -> FoundNothing:
        """Return these facts in the form of today."""
        return FoundNothing(self.residue, exports=0, not_exports=0, looked=self.looked)


class Remains(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Data that the erasure does not reach at once."""

    where: str
    what: str
    until: str
    """A date, or the event after which the data are gone."""


class Certificate(StepFacts, frozen=True, omit_defaults=True):
    """`certify`: what was erased from which store, and what remains until when."""

    number: int
    subject: str
    scope: str
    """The name of a purpose, or `all`."""
    requested_at: str
    erased_at: str
    rows: dict[str, int]
    """Number of erased rows by store."""
    handles: int
    exports: int
    keys_destroyed: list[str]
    leases: dict[str, int]
    """Version of the lease without the handles, for each gateway concerned."""
    files_rewritten: dict[str, int]
    remains: list[Remains]
    looked: dict[str, Rewritten] | None = None
    """By database, the checks of the rewritten files; None in format 1."""


class Entered(StepFacts, frozen=True):
    """`entered`: the erasure was in the ledger's file and not in the vault."""


class ErasedAgain(RepeatedFacts, frozen=True):
    """`found-1`, `found-2` …: erased data were found again and were erased again."""

    where: list[str]
    """Descriptions of the places where data were found."""
    series: list[int]
    relations: list[str]
    """Tables whose files must be rewritten because of these data."""
    handles: int


class RewrittenAgain(RepeatedFacts, frozen=True):
    """`again-1`, `again-2` …: files were rewritten after the `found` of the same number."""

    looked: dict[str, Rewritten]


F = TypeVar("F", bound=StepFacts)
_Earlier = Frozen1 | KeysDestroyed1 | RowsErased1 | FoundNothing1
"""Each has `today`, which returns its facts in the form of today."""
_Form = type[StepFacts] | type[RepeatedFacts] | type[_Earlier]
_FORMS: Final[Mapping[str, tuple[_Form, ...]]] = {
    "freeze": (Frozen, Frozen1),
    "mark": (Marked,),
    "keys": (KeysDestroyed, KeysDestroyed1),
    "rows": (RowsErased, RowsErased1),
    "names": (NamesErased,),
    "broker": (LeasesPublished,),
    "rewrite": (FilesRewritten,),
    "verify": (FoundNothing, FoundNothing1),
    "certify": (Certificate,),
    "entered": (Entered,),
}
"""The forms of each step; the form of today is first."""
STEPS: Final = (
    "freeze", "mark", "keys", "rows", "names", "broker", "rewrite", "verify", "certify",
)  # fmt: skip
"""The names of the steps, in the order in which an erasure does them."""
_NAMES: Final[Mapping[_Form, str]] = {forms[0]: name for name, forms in _FORMS.items()}
_REPEATED: Final[Mapping[str, _Form]] = {"found": ErasedAgain, "again": RewrittenAgain}
_REPEATED_NAMES: Final[Mapping[_Form, str]] = {form: name for name, form in _REPEATED.items()}
_NUMBERED: Final = re.compile(r"(found|again)-[1-9][0-9]*", re.ASCII)


class _Signed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The document of one step, as it is signed."""

    number: int
    step: str
    facts: msgspec.Raw


class _Written(msgspec.Struct, frozen=True):
    number: int
    step: str
    facts: StepFacts | RepeatedFacts


def encode(number: int, step: str, facts: StepFacts | RepeatedFacts) -> bytes:
    """Return the canonical document of *step* of erasure *number*, which is then signed."""
    return canonical.encode(_Written(number, step, facts))


def step_of(facts: StepFacts) -> str:
    """Return the name of the step that *facts* belong to."""
    return _NAMES[type(facts)]


def repeated_step_of(facts: RepeatedFacts, *, times: int) -> str:
    """Return the name of the repeated step of *facts*, numbered *times* (from 1)."""
    return f"{_REPEATED_NAMES[type(facts)]}-{times}"


def times_of(step: str) -> int:
    """Return the number, from 1, at the end of *step*, the name of a repeated step."""
    return int(step.rpartition("-")[2])


def is_known(step: str) -> bool:
    """
    Tell whether this release can read *step*.

    An unknown step is done again under its name of today: the early step `sweep` did not prove
    that the files hold nothing erased, and `rewrite` does.
    """
    return bool(_forms(step))


def decode(document: bytes, *, number: int, step: str) -> StepFacts | RepeatedFacts:
    """
    Return the facts of *step* of erasure *number*, in the form of today.

    Args:
        document: The document; its signature is already verified.

        number: The number of the erasure in the row of the document.

        step: The name of the step in that row.

    Raises:
        Tampered: The document is of another erasure or step, or has a form that no release wrote.
    """
    signed = canonical.decode(document, _Signed, what=_WHAT)
    if (signed.number, signed.step) != (number, step):
        raise Tampered(_WHAT)
    for form in _forms(step):
        try:
            found = msgspec.json.decode(signed.facts, type=form)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue
        return found.today() if isinstance(found, _Earlier) else found
    raise Tampered(_WHAT)


def _forms(step: str) -> tuple[_Form, ...]:
    if _NUMBERED.fullmatch(step):
        return (_REPEATED[step.partition("-")[0]],)
    return _FORMS.get(step, ())


class Steps:
    """
    The steps of one erasure that are done.

    Args:
        facts: The facts of each step that is done, by the name of the step.
    """

    def __init__(self, facts: Mapping[str, StepFacts | RepeatedFacts]) -> None:
        self._facts = facts

    def get(self, kind: type[F]) -> F | None:
        """Return the facts of the step whose type is *kind*, or None if that step is not done."""
        found = self._facts.get(_NAMES[kind])
        return found if isinstance(found, kind) else None

    def names(self) -> list[str]:
        """Return the names of the steps that are done, in the order of their completion."""
        return list(self._facts)
