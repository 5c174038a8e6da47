"""The Python that all this runs on: whether it was built to be fast."""

import re
import sys
import sysconfig
from typing import Final

from vitalveil.doctor.finding import Finding, note, sound

_LEVEL: Final = re.compile(r"(?:^|\s)-O(\S*)")
_DISTRIBUTION: Final = "/usr"
"""Where a distribution has its own, which it optimises by means that leave no trace in the
configuration (Debian's, Ubuntu's)."""
_MEND: Final = (
    "Take python3 of the distribution or of the official image: ingest takes up to a fifth less "
    "of the processor where flushes are small."
)


def look() -> Finding:
    """Look at the interpreter that runs this; the programs run on the same, if they share it."""
    return judge(
        arguments=sysconfig.get_config_var("CONFIG_ARGS") or "",
        flags=sysconfig.get_config_var("PY_CFLAGS") or "",
        prefix=sys.base_prefix,
    )


def judge(*, arguments: str, flags: str, prefix: str) -> Finding:
    """
    Judge how a Python was built.

    Args:
        arguments: What `configure` was told.

        flags: What its compiler was told; of several levels the last one counts.

        prefix: Where it stands.
    """
    code = "interpreter"
    levels = _LEVEL.findall(flags)
    if flags and (not levels or levels[-1] not in ("2", "3", "fast")):
        return note(code, "Python was compiled without optimisation", _MEND)
    if prefix == _DISTRIBUTION or "--enable-optimizations" in arguments:
        return sound(code, "Python was built with profile-guided optimisation")
    return note(code, "Python was built without profile-guided optimisation", _MEND)
