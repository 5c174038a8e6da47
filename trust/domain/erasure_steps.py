"""
The steps of an erasure, as the ledger keeps them: one type for each, read strictly.

What a step found or did is signed as canonical JSON with the number of the erasure and the name of
the step. It holds no pseudonym, no handle and no value. A fact that is missing, of another type or
not known makes the step unreadable, as a broken signature does.

Rows are never rewritten, so each form that was signed before has a type of its own (its name ends
in 1), which says what it means today.
"""

import re
from collections.abc import Mapping
from typing import Final, TypeVar

import msgspec

from trust.domain import canonical
from trust.errors import Tampered

_WHAT: Final = "a step of an erasure"


class StepFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a step that an erasure does once found or did."""


class RepeatedFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was found or done each time that something of an erasure was there again."""


class EarlierFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a step found or did, as an earlier release wrote it."""

    def today(self) -> StepFacts:
        """Return it as it is written today."""
        raise NotImplementedError


class Frozen(StepFacts, frozen=True):
    """`freeze`: nothing more of the person is measured or stored."""

    withdrawn: list[str]
    """Purposes whose withdrawal was recorded."""
    unverified: int
    """Purposes where none could be recorded: the decisions before it do not verify."""
    in_force: bool
    """Every gateway concerned could be brought up to date."""


class Frozen1(EarlierFacts, frozen=True):
    """`freeze` in its first form, when a damaged decision or gateway still stopped an erasure."""

    withdrawn: list[str]

    def today(self) -> Frozen:
        """Return it as it is written today."""
        return Frozen(self.withdrawn, unverified=0, in_force=True)


class Marked(StepFacts, frozen=True):
    """`mark`: what is to be erased, so that it can be recognised after all names are gone."""

    agents: list[str]
    """Gateways that were ever permitted to send something of it."""
    data_key: str | None
    """What certificates call the person's data key; None where one purpose is erased."""
    relations: list[str]
    """Tables whose files hold the rows."""
    rows: dict[str, int]
    """By store."""
    series: list[int]
    tombstones: list[str]
    """Of every pseudonym and handle."""


class KeysDestroyed(StepFacts, frozen=True):
    """`keys`: identity, bindings and exports cannot be read any more."""

    handles: int
    """Deleted from the vault."""
    keys: list[str]
    """Destroyed, as certificates name them."""
    exports: int
    """Files deleted."""
    unverified: int
    """As of `Frozen`, when it was frozen again just before."""


class KeysDestroyed1(EarlierFacts, frozen=True):
    """`keys` in its first form, of the same time as `Frozen1`."""

    handles: int
    keys: list[str]
    exports: int

    def today(self) -> KeysDestroyed:
        """Return it as it is written today."""
        return KeysDestroyed(self.handles, self.keys, self.exports, unverified=0)


class RowsErased(StepFacts, frozen=True):
    """`rows`: rows and aggregates are deleted, over all time."""

    relations: list[str]
    """Tables that held them just before, besides those marked."""


class RowsErased1(EarlierFacts, frozen=True):
    """`rows` in its first form, when the relations of the mark alone were rewritten."""

    def today(self) -> RowsErased:
        """Return it as it is written today."""
        return RowsErased([])


class NamesErased(StepFacts, frozen=True):
    """`names`: what led to the rows, and what rested in quarantine, is deleted."""

    rows: dict[str, int]
    """By store."""


class LeasesPublished(StepFacts, frozen=True):
    """`broker`: the broker retains leases that do not name the handles any more."""

    leases: dict[str, int]
    """The version for each gateway."""
    published: bool
    """False where the settings name no broker."""


class Rewritten(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was looked at in one database when its files were rewritten."""

    relations: list[str]
    """Rewritten, each proved to hold nothing that was deleted before."""
    horizon: str
    """Every transaction with a lower number had ended."""
    looked_at: str
    """RFC 3339."""
    waited_ms: int
    """For transactions that could still read what was deleted."""
    sessions_ended: int
    """Of dashboards."""
    prepared_transactions: int
    """There were so many, all later than the erasure; likewise:"""
    replication_slots: int
    standbys: int
    sessions_with_temporary_tables: int


class FilesRewritten(StepFacts, frozen=True):
    """`rewrite`: files and statistics keep nothing of before."""

    looked: dict[str, Rewritten]
    """By database."""


class FoundNothing(StepFacts, frozen=True, omit_defaults=True):
    """`verify`: nothing was found when everything was looked through once more."""

    residue: int
    """0: with anything else the step is not done."""
    exports: int
    """Files of exports deleted since the keys were."""
    not_exports: int
    """Records of exports that name a file which is no export: it was left."""
    looked: dict[str, Rewritten] | None = None
    """By database, when files were rewritten for something that came after the mark."""


class FoundNothing1(EarlierFacts, frozen=True):
    """`verify` in its first forms, without and with files that were rewritten again."""

    residue: int
    looked: dict[str, Rewritten] | None = None

    def today(self) -> FoundNothing:
        """Return it as it is written today."""
        return FoundNothing(self.residue, exports=0, not_exports=0, looked=self.looked)


class Remains(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something that erasing does not reach at once."""

    where: str
    what: str
    until: str
    """A date, or what ends it."""


class Certificate(StepFacts, frozen=True, omit_defaults=True):
    """`certify`: what was erased, from where, and what remains until when."""

    number: int
    subject: str
    scope: str
    """A purpose, or `all`."""
    requested_at: str
    erased_at: str
    rows: dict[str, int]
    """Erased, by store."""
    handles: int
    exports: int
    keys_destroyed: list[str]
    leases: dict[str, int]
    """The version, without the handles, that each gateway concerned was given."""
    files_rewritten: dict[str, int]
    remains: list[Remains]
    looked: dict[str, Rewritten] | None = None
    """By database, what was looked at when its files were rewritten; None in format 1."""


class Entered(StepFacts, frozen=True):
    """`entered`: the ledger's file knew the erasure, and the vault did not."""


class ErasedAgain(RepeatedFacts, frozen=True):
    """`found-1`, `found-2` …: something was there again, and was erased again."""

    where: list[str]
    """In words."""
    series: list[int]
    relations: list[str]
    """Tables whose files are to be rewritten for it."""
    handles: int


class RewrittenAgain(RepeatedFacts, frozen=True):
    """`again-1`, `again-2` …: files were rewritten for what was found under the same number."""

    looked: dict[str, Rewritten]


F = TypeVar("F", bound=StepFacts)
_Form = type[StepFacts] | type[RepeatedFacts] | type[EarlierFacts]
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
"""The forms of each step, that of today first."""
STEPS: Final = (
    "freeze", "mark", "keys", "rows", "names", "broker", "rewrite", "verify", "certify",
)  # fmt: skip
"""In the order in which an erasure does them."""
_NAMES: Final[Mapping[_Form, str]] = {forms[0]: name for name, forms in _FORMS.items()}
_REPEATED: Final[Mapping[str, _Form]] = {"found": ErasedAgain, "again": RewrittenAgain}
_REPEATED_NAMES: Final[Mapping[_Form, str]] = {form: name for name, form in _REPEATED.items()}
_NUMBERED: Final = re.compile(r"(found|again)-[1-9][0-9]*", re.ASCII)


class _Signed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The document that is signed."""

    number: int
    step: str
    facts: msgspec.Raw


class _Written(msgspec.Struct, frozen=True):
    number: int
    step: str
    facts: StepFacts | RepeatedFacts


def encode(number: int, step: str, facts: StepFacts | RepeatedFacts) -> bytes:
    """Return the document of *step* of erasure *number*, canonical, to be signed."""
    return canonical.encode(_Written(number, step, facts))


def step_of(facts: StepFacts) -> str:
    """Return the name of the step that *facts* are of."""
    return _NAMES[type(facts)]


def repeated_step_of(facts: RepeatedFacts, *, times: int) -> str:
    """Return the name of the step that *facts* are of, the time that is the *times*-th."""
    return f"{_REPEATED_NAMES[type(facts)]}-{times}"


def times_of(step: str) -> int:
    """Return which time it is that *step*, the name of a repeated one, tells of."""
    return int(step.rpartition("-")[2])


def is_known(step: str) -> bool:
    """
    Tell whether this release reads *step*.

    A step that it does not read is done again under the name of today: the early step `sweep` did
    not prove that the files keep nothing, and `rewrite` does.
    """
    return bool(_forms(step))


def decode(document: bytes, *, number: int, step: str) -> StepFacts | RepeatedFacts:
    """
    Return the facts of *step* of erasure *number*, in the form of today.

    Args:
        document: Whose signature was verified.

        number: Of the row that it stands in.

        step: The name in that row.

    Raises:
        Tampered: It is of another erasure or step, or in no form that any release wrote.
    """
    signed = canonical.decode(document, _Signed, what=_WHAT)
    if (signed.number, signed.step) != (number, step):
        raise Tampered(_WHAT)
    for form in _forms(step):
        try:
            found = msgspec.json.decode(signed.facts, type=form)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue
        return found.today() if isinstance(found, EarlierFacts) else found
    raise Tampered(_WHAT)


def _forms(step: str) -> tuple[_Form, ...]:
    if _NUMBERED.fullmatch(step):
        return (_REPEATED[step.partition("-")[0]],)
    return _FORMS.get(step, ())


class Steps:
    """
    The steps of one erasure that are done.

    Args:
        facts: Of each, by the name of the step.
    """

    def __init__(self, facts: Mapping[str, StepFacts | RepeatedFacts]) -> None:
        self._facts = facts

    def get(self, kind: type[F]) -> F | None:
        """Return the facts of the step whose type is *kind*; None when it is not done."""
        found = self._facts.get(_NAMES[kind])
        return found if isinstance(found, kind) else None

    def names(self) -> list[str]:
        """Return the names of the steps that are done, in the order in which they were."""
        return list(self._facts)
