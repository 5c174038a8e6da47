"""The parser of the command line, whose errors never quote a value."""

import argparse
import re
from typing import Final, NoReturn

from trust.errors import UsageError

_ARGUMENT: Final = re.compile(r"argument ([^:]+):")
_MISSING: Final = "the following arguments are required"


class Parser(argparse.ArgumentParser):
    """
    Raises UsageError instead of exiting, and never quotes a value, which may be a person's
    name.
    """

    def error(self, message: str) -> NoReturn:
        remedy = f" See `{self.prog} --help`."
        found = _ARGUMENT.match(message)
        if message.startswith(_MISSING):
            raise UsageError(f"{message}.{remedy}")
        if found and found.group(1).startswith("-"):
            raise UsageError(f"the value of {found.group(1)} is missing or wrong.{remedy}")
        if found:
            raise UsageError(f"there is no such {found.group(1).lower()}.{remedy}")
        raise UsageError(f"there are arguments that the command does not take.{remedy}")
