"""Builds from the settings what verifies erasures, for commands and for the daemon."""

from trust.config import Settings
from trust.erasure.ledger_copy import LedgerCopy
from trust.erasure.metrics import ErasureMetrics
from trust.erasure.physical_rewrite import PhysicalRewrite
from trust.erasure.verification import Verifier
from trust.erasure.verification_rounds import Rounds
from trust.metrics import Metrics
from trust.ports import Keys
from trust.reconcile.reconciler import Reconciler
from trust.telemetry.erasure import Stores
from trust.vault.erasure_file import LedgerFile
from trust.vault.vault import Vault


def ledger_file(settings: Settings) -> LedgerFile | None:
    """Return the ledger's copy outside the databases; None where none is configured."""
    path = None if settings.erasure is None else settings.erasure.ledger_file
    return None if path is None else LedgerFile(path)


def ledger_copy(settings: Settings, vault: Vault, stores: Stores) -> LedgerCopy:
    """Return what compares that file with *vault*."""
    return LedgerCopy(vault, stores, ledger_file(settings))


def verifier(
    settings: Settings, keys: Keys, vault: Vault, reconciler: Reconciler, stores: Stores
) -> Verifier:
    """Return what looks whether something that was erased is there again."""
    return Verifier(
        vault,
        stores,
        reconciler,
        keys,
        rewrite=None if settings.erasure is None else PhysicalRewrite(settings.erasure).sweep,
        ledger_file=ledger_file(settings),
    )


def rounds(verifies: Verifier, stores: Stores, copy: LedgerCopy, metrics: Metrics) -> Rounds:
    """Return what verifies round after round, and tells *metrics*."""
    return Rounds(
        verifies,
        stores,
        copy,
        note=ErasureMetrics(metrics.registry),
        done=lambda: metrics.note_done("erasures_verified"),
    )
