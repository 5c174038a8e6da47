"""Errors of export formats."""


class FormatError(Exception):
    """Base of the errors of export formats."""


class Unopened(FormatError):
    """The passphrase is wrong, or the file is damaged."""

    def __init__(self) -> None:
        super().__init__(
            "the export cannot be opened: the passphrase is wrong, or the file is damaged"
        )
