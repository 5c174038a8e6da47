"""
FIT: a training or a day as Garmin, Polar, Suunto and others store it, read by `fitdecode`.

Heart rates of `record` messages, whose time is an instant. Everything else is passed over.
"""

import io
from collections.abc import Iterable
from typing import Any, Final

from recordings.errors import FileReason, FileRefused
from recordings.options import NO_OPTIONS, ReadOptions
from recordings.parsing.instants import instant_ms
from recordings.sample import Sample, SampleFault
from recordings.tally import ParseTally, Reason, in_order

KIND: Final = "fit"
MARK: Final = b".FIT"
"""Stands at byte 8 of the file."""
_MAX_BYTES: Final = 67_108_864


def is_fit(head: bytes) -> bool:
    """Tell whether a file that begins with *head* is one of FIT."""
    return head[8:12] == MARK and head[:1] in (b"\x0c", b"\x0e")


def parse(
    chunks: Iterable[bytes], tally: ParseTally, _options: ReadOptions = NO_OPTIONS
) -> list[Sample]:
    """
    Return the heart rates of a file in the order of time; count each in *tally*.

    Raises:
        FileRefused: The file is damaged or too large, or `fitdecode` is not installed.
    """
    tally.zone = "UTC"
    tally.say_unit("/min")
    found: list[Sample] = []
    for place, message in enumerate(_messages(_whole(chunks)), start=1):
        bpm = message.get_value("heart_rate", fallback=None) if message.name == "record" else None
        if bpm is None:
            tally.passed_over += 1
            continue
        tally.row()
        moment = message.get_value("timestamp", fallback=None)
        at_ms = instant_ms(str(moment)) if moment is not None else None
        if at_ms is None:
            tally.reject(Reason.BAD_TIME, place)
        elif not isinstance(bpm, int | float) or bpm < 0:
            tally.reject(Reason.BAD_NUMBER, place)
        elif bpm == 0:
            found.append(Sample(at_ms, "heart_rate", None, SampleFault.OFF_BODY))
        else:
            found.append(Sample(at_ms, "heart_rate", float(bpm)))
    return in_order(found, tally)


def _whole(chunks: Iterable[bytes]) -> io.BytesIO:
    whole = io.BytesIO()
    for chunk in chunks:
        if whole.tell() + len(chunk) > _MAX_BYTES:
            raise FileRefused(FileReason.TOO_LARGE)
        whole.write(chunk)
    whole.seek(0)
    return whole


def _messages(whole: io.BytesIO) -> list[Any]:
    """Return the data messages of a file."""
    try:
        import fitdecode
    except ImportError:
        raise FileRefused(FileReason.LIBRARY_MISSING) from None
    try:
        with fitdecode.FitReader(
            whole,
            check_crc=fitdecode.CrcCheck.RAISE,
            error_handling=fitdecode.ErrorHandling.RAISE,
        ) as frames:
            return [f for f in frames if f.frame_type == fitdecode.FIT_FRAME_DATA]
    except (fitdecode.FitError, ArithmeticError, LookupError, TypeError, ValueError):
        raise FileRefused(FileReason.MALFORMED) from None
