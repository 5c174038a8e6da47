"""The cause of an error, in words."""

import msgspec


class Cause(msgspec.Struct, frozen=True):
    """
    The cause of an error. Neither text holds a secret, a value, an address or a name of a person.

    Args:
        text: What happened: a clause without a full stop.

        remedy: What to do: one or more sentences.

        is_permanent: Whether it stays until the operator changes the settings or a server.
    """

    text: str
    remedy: str
    is_permanent: bool = False

    def __str__(self) -> str:
        return f"{self.text}. {self.remedy}"
