"""
Errors of messages on the wire.

* WireError
    * Malformed             (sender: refuse the message, count it, continue)
        * TooLarge
        * WrongTopic
    * UnsupportedVersion    (the sender is newer than the receiver: refuse, count, continue)
    * BadSeal               (a wrong key or a changed byte: refuse, count, continue)
    * BadSignature          (not signed by trust: what was in force before stays in force)
    * Unproven              (no proof of its sender: remove nothing, count, continue)
        * BadProof          (made without the shared key: the same)
    * WeakKey               (a public key of small order: make and accept no proof with it)
    * SequenceReused        (caller: sealing twice under one nonce would break the cipher)

No message holds a value, a handle or an address.
"""


class WireError(Exception):
    """A message that was received, or was about to be sent, breaks the contract of the wire."""


class Malformed(WireError):
    """The bytes do not have the form that the contract defines."""


class TooLarge(Malformed):
    """There are more bytes, blocks or observations than the contract allows."""

    def __init__(self, what: str, *, limit: int, got: int) -> None:
        super().__init__(f"too many {what}: {got}, and at most {limit} are allowed")
        self.limit = limit
        self.got = got


class WrongTopic(Malformed):
    """The topic is not part of the contract, or contradicts the message."""


class UnsupportedVersion(WireError):
    """The message has a version or cipher suite that this software does not know."""

    def __init__(self, what: str) -> None:
        super().__init__(f"this software does not support the {what}")


class BadSeal(WireError):
    """No key that is held here opens the message."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} cannot be opened with any key that is held here")


class BadSignature(WireError):
    """The signature was not made by the trusted key for these bytes."""

    def __init__(self, what: str) -> None:
        super().__init__(f"the signature of the {what} is not valid")


class Unproven(WireError):
    """The message carries no proof of its sender."""

    def __init__(self, what: str) -> None:
        super().__init__(f"nothing proves who made the {what}")


class BadProof(Unproven):
    """The proof does not match: the message was made or changed without the shared key."""


class WeakKey(WireError):
    """The public key has a small order: it gives the same shared secret with every other key."""

    def __init__(self) -> None:
        super().__init__(
            "the public key has a small order or a wrong length, and must not be used"
        )


class SequenceReused(WireError):
    """The sequence number is not above every number that was used for sealing before."""

    def __init__(self) -> None:
        super().__init__(
            "the sequence number does not grow, so its nonce may have been used before"
        )
