"""Logs never contain private data."""

import asyncio
import gc
import io
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from runtime.errors import ConfigError
from runtime.logs import Log, configure, describe


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """The stream that this process logs to during the test."""
    root, ours = logging.getLogger(), logging.getLogger("vitalveil")
    before = (root.handlers[:], root.level, ours.level)
    written = io.StringIO()
    configure("info", stream=written)
    yield written
    root.handlers[:], level, our_level = before
    root.setLevel(level)
    ours.setLevel(our_level)
    logging.captureWarnings(False)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    """Return the log lines."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_line_has_an_action_and_its_fields(stream: io.StringIO) -> None:
    """A line is one JSON object with time, level, component, action and fields."""
    Log("spool").warning("spool_full", envelopes=3)
    [line] = lines(stream)

    assert line.pop("at").endswith("+00:00")
    assert line == {
        "level": "warning",
        "part": "spool",
        "action": "spool_full",
        "envelopes": 3,
    }


def test_level_is_heeded(stream: io.StringIO) -> None:
    """Lines below the level are not written."""
    log = Log("spool")
    log.debug("a")
    log.info("b")
    log.warning("c")
    log.error("d")

    assert [line["action"] for line in lines(stream)] == ["b", "c", "d"]


def test_line_feed_does_not_make_a_second_line(stream: io.StringIO) -> None:
    """A field can neither forge a line nor contain non-ASCII characters."""
    Log("spool").info("x", reason='a"\n{"level": "error"}\u2028é')

    assert len(stream.getvalue().splitlines()) == 1
    assert stream.getvalue().isascii()


def test_arguments_of_a_library_are_left_out(stream: io.StringIO) -> None:
    """
    Of a library's message only the template is logged, because its arguments may be topics,
    payloads or rows.
    """
    logging.getLogger("some.library").warning("row %s of %s", 72.5, "C0:FF:EE:00:00:01")
    [line] = lines(stream)

    assert line["part"] == "some.library"
    assert line["template"] == "row %s of %s"
    assert "72.5" not in stream.getvalue()
    assert "C0:FF" not in stream.getvalue()


@pytest.mark.parametrize("message", ["value 72.5 of C0:FF:EE:00:00:01", 72.5])
def test_message_that_is_no_template_is_left_out(stream: io.StringIO, message: object) -> None:
    """Of a message that is no template only its place is logged."""
    logging.getLogger("some.library").error(message)
    [line] = lines(stream)

    assert line["where"].startswith("test_logs:")
    assert "72.5" not in stream.getvalue()


def test_text_of_an_exception_is_left_out(stream: io.StringIO) -> None:
    """Of an exception of a library only its cause is written: its text may quote a row."""
    try:
        raise ValueError("value 72.5")
    except ValueError:
        logging.getLogger("some.library").exception("failed")
    [line] = lines(stream)

    assert "not foreseen (ValueError)" in line["error"]
    assert "72.5" not in stream.getvalue()


async def test_task_that_failed_unseen_does_not_leak(stream: io.StringIO) -> None:
    """The text of an unhandled exception, which asyncio puts into its message, is not logged."""

    async def fail() -> None:
        raise ValueError("value 72.5")

    task = asyncio.create_task(fail())
    await asyncio.wait([task])
    del task
    gc.collect()
    [line] = lines(stream)

    assert line["part"] == "asyncio"
    assert "not foreseen (ValueError)" in line["error"]
    assert "72.5" not in stream.getvalue()


def test_text_of_a_warning_is_left_out(stream: io.StringIO) -> None:
    """The text of a warning is not logged."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        warnings.warn("value 72.5", UserWarning, stacklevel=1)

    assert lines(stream)[0]["part"] == "py.warnings"
    assert "72.5" not in stream.getvalue()


def test_description_of_an_error_is_its_cause() -> None:
    """Our own text; the cause and the SQLSTATE of a database; of a bug, the type."""

    class DatabaseError(Exception):
        sqlstate = "40P01"

    own = ConfigError(key="a.b", source="f", problem="it is wrong", remedy="Correct it.")
    assert describe(own) == "a.b (from f): it is wrong. Correct it."
    told = describe(DatabaseError("value 72.5"))
    assert told.startswith("two transactions waited for each other (SQLSTATE 40P01). ")
    assert describe(ValueError("value 72.5")) == (
        "an error that is not foreseen (ValueError): please report it as a bug"
    )
