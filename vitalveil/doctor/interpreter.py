"""Checks the version of the Python interpreter, and whether it was built with optimisation."""

import re
import sys
import sysconfig
from typing import Final

from runtime import supported
from vitalveil.doctor.finding import Finding, note, of_version, sound

_LEVEL: Final = re.compile(r"(?:^|\s)-O(\S*)")
_DISTRIBUTION: Final = "/usr"
"""
Prefix of a distribution's interpreter. Debian and Ubuntu optimise it in a way that the build
configuration does not show.
"""
_MEND: Final = (
    "Use python3 of the distribution or of the official image: ingest needs up to a fifth less "
    "processor time when flushes are small."
)


def version() -> Finding:
    """Check the version of the interpreter that runs the doctor."""
    return of_version("python-version", supported.PYTHON, sys.version_info[:2])


def look() -> Finding:
    """Check the interpreter that runs the doctor, which mostly runs the programs as well."""
    return judge(
        arguments=sysconfig.get_config_var("CONFIG_ARGS") or "",
        flags=sysconfig.get_config_var("PY_CFLAGS") or "",
        prefix=sys.base_prefix,
    )


def judge(*, arguments: str, flags: str, prefix: str) -> Finding:
    """
    Judge how a Python interpreter was built.

    Args:
        arguments: The arguments of `configure`.

        flags: The flags of the compiler; of several optimisation levels, the last one applies.

        prefix: The installation prefix of the interpreter.
    """
    code = "interpreter"
    levels = _LEVEL.findall(flags)
    if flags and (not levels or levels[-1] not in ("2", "3", "fast")):
        return note(code, "Python was compiled without optimisation", _MEND)
    if prefix == _DISTRIBUTION or "--enable-optimizations" in arguments:
        return sound(code, "Python was built with profile-guided optimisation")
    return note(code, "Python was built without profile-guided optimisation", _MEND)
