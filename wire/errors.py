"""
Errors of the wire.

* WireError
    * Malformed             (the sender's fault: refuse, count, go on)
        * TooLarge
        * WrongTopic
    * UnsupportedVersion    (the sender is ahead of us: refuse, count, go on)
    * BadSeal               (a wrong key or a changed byte: refuse, count, go on)
    * BadSignature          (not signed by whom we trust: keep what was in force before)
    * Unproven              (nothing shows who made it: forget nothing, count, go on)
        * BadProof          (made by someone who does not share a key with us: the same)
    * WeakKey               (a public key that agrees with everyone: prove and believe nothing)
    * SequenceReused        (ours: sealing twice under one nonce would break the cipher)

No message holds a value, a handle or an address.
"""


class WireError(Exception):
    """Something that crossed the wire, or was about to, breaks the contract."""


class Malformed(WireError):
    """The bytes do not have the shape that the contract announces."""


class TooLarge(Malformed):
    """There are more bytes, blocks or observations than the contract allows."""

    def __init__(self, what: str, *, limit: int, got: int) -> None:
        super().__init__(f"{what}: {got} is more than {limit}")
        self.limit = limit
        self.got = got


class WrongTopic(Malformed):
    """The topic is none of ours, or contradicts what it carries."""


class UnsupportedVersion(WireError):
    """A version or suite that this software does not know."""

    def __init__(self, what: str) -> None:
        super().__init__(f"unsupported {what}")


class BadSeal(WireError):
    """No key that we hold opens it."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} does not open with any key held here")


class BadSignature(WireError):
    """The signature was not made by the key that we trust, over these bytes."""

    def __init__(self, what: str) -> None:
        super().__init__(f"the signature of the {what} is not valid")


class Unproven(WireError):
    """Nothing in it shows who made it."""

    def __init__(self, what: str) -> None:
        super().__init__(f"nothing proves who made the {what}")


class BadProof(Unproven):
    """It was made, or changed, by someone who shares no key with us."""


class WeakKey(WireError):
    """A public key that agrees on the same secret with everyone."""

    def __init__(self) -> None:
        super().__init__("the public key is of a small order or a wrong length")


class SequenceReused(WireError):
    """A sequence that this sealer has already spent, or one below it."""

    def __init__(self) -> None:
        super().__init__("the sequence does not grow: its nonce is spent")
