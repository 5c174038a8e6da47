"""The parser of trust's command line: an error is raised, and never quotes a value."""

from typing import NoReturn

from runtime.command_line import parser
from trust.errors import UsageError


class Parser(parser.Parser):
    """Raises UsageError instead of exiting; a batch goes on with its next line."""

    def error(self, message: str) -> NoReturn:
        """Raise UsageError with the sentence of *message*."""
        raise UsageError(self.sentence(message))
