"""Who published a recording, and the licence under which it may be used."""

import hashlib
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

T1D_UOM: Final = (
    "CC BY 4.0: T1D-UOM, University of Manchester, github"
    " sharpic/ManchesterCSCoordinatedDiabetesStudy commit c4726b26, doi 10.5281/zenodo.15806142"
)
_DETECT_PVC: Final = "MIT: kbroman/detectPVC commit 35cd6c2d"
_HRV: Final = "BSD-3: rhenanbartels/hrv commit 14807c8c"
_CGM_ANALYSIS: Final = "CC0: cran/cgmanalysis commit 448e6da5"
UNKNOWN: Final = "not a published recording that we know: yours, to use as you may"

# Formats alone do not tell a published file from a private export; its content does.
_PUBLISHED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "4de1a650fe84415cbdb521775dc7e492da88a270f5517fd83cbde31bbcf54f9e": _CGM_ANALYSIS,
        "e9a9504e1330e7f62aea6b9517f81414e4fdb5097a32756fd9f057e23c2e8bb6": _CGM_ANALYSIS,
        "d0c798e014aaf6b26aa886a3232ab2b04bbbdf61389430f9489752f30f9a162b": _DETECT_PVC,
        "77d09cc3ab7ae66e9f6fdb1809bc4a808f0f3a7a9ee0abe645c07320e6f3ab00": _HRV,
        "004042d6a14787d0662eac73e33096fb70dcbc287d9723ef6761826eb7b6a72d": _HRV,
        "b4c76c0bdc1aa74f4ebbe065be6baf5a162bc23ccd16d4c21be5911276a7527c": _HRV,
    }
)


def attribution_of(chunks: Iterable[bytes]) -> str:
    """Return the source and licence of a file with exactly these bytes."""
    return _PUBLISHED.get(_digest(chunks), UNKNOWN)


def is_published(chunks: Iterable[bytes]) -> bool:
    """Tell whether a file with exactly these bytes is a published recording that we know."""
    return _digest(chunks) in _PUBLISHED


def _digest(chunks: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()
