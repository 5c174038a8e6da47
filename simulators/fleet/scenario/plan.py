"""
The plan: the acts of each gateway and their times, drawn from a scenario and its seed. Pure.

The load is an open loop: no act waits for the system. If the system stops for a second, the times
of everything that is due in that second show it. The same seed gives the same plan.
"""

import enum
import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from runtime.logs import describe
from simulators.fleet.errors import RosterError
from simulators.fleet.scenario.scenario import Phase, Scenario

Floats = NDArray[np.float64]


class Act(enum.IntEnum):
    """What a gateway does, or what happens to its connection."""

    SEND = 0
    SEND_TWICE = 1
    """The same bytes again, immediately."""
    SEND_LATE = 2
    """After the next envelope."""
    CORRUPT = 3
    """One bit of the seal is flipped."""
    GARBAGE = 10
    FROM_A_LATER_VERSION = 11
    FOREIGN_HANDLE = 12
    IMPLAUSIBLE = 13
    FROM_THE_FUTURE = 14
    NOT_PERMITTED = 15
    TOO_FINE = 16
    FORGED = 17
    """A sequence that is settled, with other bytes."""
    FOREIGN_TOPIC = 18
    LEAVE = 30
    RETURN = 31
    CHURN = 32
    STOP_READING = 33
    READ_AGAIN = 34
    WITHDRAW = 40


HOSTILE: Final = tuple(act for act in Act if 10 <= act < 30)


class Plan(msgspec.Struct, frozen=True, eq=False):
    """
    Acts in the order of time, in columns of equal length; `at_s` counts from the start of the
    first phase.
    """

    at_s: Floats
    agent: NDArray[np.uint32]
    act: NDArray[np.uint8]
    phase: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.at_s)

    @property
    def digest(self) -> str:
        """A digest: equal for equal plans."""
        state = hashlib.sha256()
        for column in (self.at_s, self.agent, self.act, self.phase):
            state.update(column.tobytes())
        return state.hexdigest()[:16]

    def where(self, chosen: NDArray[np.bool_]) -> "Plan":
        """Return the acts for which the mask *chosen* is true."""
        return Plan(self.at_s[chosen], self.agent[chosen], self.act[chosen], self.phase[chosen])

    def of_worker(self, number: int, workers: int) -> "Plan":
        """Return the acts of the gateways of process *number* of *workers*."""
        return self.where((self.agent % workers == number) & (self.act != Act.WITHDRAW))

    def withdrawals(self) -> Iterator[tuple[float, int]]:
        """Yield the time and the gateway of each withdrawal."""
        found = self.where(self.act == Act.WITHDRAW)
        return zip(found.at_s.tolist(), found.agent.tolist(), strict=True)

    def due_by_turn_s(self, turn_s: float) -> Floats:
        """
        Return when each act is due in a process that acts every *turn_s* seconds: at the end of
        its turn.
        """
        return np.ceil(self.at_s / turn_s) * turn_s

    def write(self, path: Path) -> None:
        """Write the plan to *path*."""
        with path.open("wb") as file:
            np.savez_compressed(
                file, at_s=self.at_s, agent=self.agent, act=self.act, phase=self.phase
            )


def read(path: Path) -> Plan:
    """
    Return the plan in *path*.

    Raises:
        RosterError: The file cannot be read, or is not a plan.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
            return Plan(found["at_s"], found["agent"], found["act"], found["phase"])
    except OSError as exc:
        raise RosterError(f"The recorded plan cannot be read: {describe(exc)}") from None
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile, AttributeError):
        raise RosterError(
            "The recorded plan is damaged, or is another file. Name the file that --record wrote."
        ) from None


def draw(scenario: Scenario) -> Plan:
    """Return the plan of *scenario*, drawn from its seed."""
    random = np.random.default_rng(scenario.seed)
    columns: list[tuple[Floats, NDArray[np.int64], NDArray[np.int64], int]] = []
    at, agent = _envelopes(scenario, random)
    start = 0.0
    willing = random.permutation(scenario.agents)
    for number, phase in enumerate(scenario.phases):
        end = start + phase.duration_s
        chosen = (at >= start) & (at < end)
        acts = _acts(phase, int(chosen.sum()), random)
        columns.append((at[chosen], agent[chosen], acts, number))
        columns.extend(_events(scenario, number, start, random))
        people, willing = willing[: phase.withdrawals], willing[phase.withdrawals :]
        columns.append(_at_even_times(people, start, end, Act.WITHDRAW, number))
        start = end
    return _sorted(columns)


def _envelopes(
    scenario: Scenario, random: np.random.Generator
) -> tuple[Floats, NDArray[np.int64]]:
    """
    Return the times and gateways of all envelopes.

    Each gateway has a beat of its own; where the rate changes, all beats change. A beat is where
    the integral of the rate passes a whole number.
    """
    times, beats = [0.0], [0.0]
    for phase in scenario.phases:
        # The integral of a rate that changes evenly is a parabola; at this resolution, lines
        # suffice.
        rates = np.linspace(phase.rate, phase.last_rate, 201)
        step_s = phase.duration_s / 200
        grown = np.cumsum((rates[:-1] + rates[1:]) / 2 * step_s / scenario.every_s)
        beats.extend((beats[-1] + grown).tolist())
        times.extend((times[-1] + step_s * np.arange(1, 201)).tolist())
    place = random.permutation(scenario.agents) / scenario.agents
    found_at, found_agent = [], []
    for beat in range(int(beats[-1]) + 1):
        due = beat + place
        # A sum of floats is not exact: without the margin, rounding would decide whether the last
        # beat is due.
        whose = np.flatnonzero(due < beats[-1] - 1e-6)
        found_at.append(np.interp(due[whose], beats, times))
        found_agent.append(whose)
    return np.concatenate(found_at), np.concatenate(found_agent).astype(np.int64)


def _acts(phase: Phase, count: int, random: np.random.Generator) -> NDArray[np.int64]:
    shares = [phase.duplicates, phase.reordered, phase.corrupt, phase.hostile]
    acts = random.choice(
        np.array([Act.SEND, Act.SEND_TWICE, Act.SEND_LATE, Act.CORRUPT, Act.GARBAGE]),
        size=count,
        p=[1 - sum(shares), *shares],
    ).astype(np.int64)
    hostile = acts == Act.GARBAGE
    acts[hostile] = random.choice(np.array(HOSTILE), size=int(hostile.sum()))
    return acts


def _events(
    scenario: Scenario, number: int, start: float, random: np.random.Generator
) -> Iterator[tuple[Floats, NDArray[np.int64], NDArray[np.int64], int]]:
    """Yield the acts on connections in a phase."""
    phase, agents = scenario.phases[number], scenario.agents
    end = start + phase.duration_s
    gone = random.permutation(agents)[: round(phase.offline * agents)]
    if len(gone):
        yield np.full(len(gone), start), gone, np.full(len(gone), Act.LEAVE), number
        back = end + random.uniform(0, phase.return_within_s, len(gone))
        yield back, gone, np.full(len(gone), Act.RETURN), number
    slow = random.permutation(agents)[: round(phase.slow * agents)]
    if len(slow):
        yield np.full(len(slow), start), slow, np.full(len(slow), Act.STOP_READING), number
        yield np.full(len(slow), end), slow, np.full(len(slow), Act.READ_AGAIN), number
    churn = random.integers(0, agents, round(phase.churn_per_min * phase.duration_s / 60))
    if len(churn):
        yield _at_even_times(churn, start, end, Act.CHURN, number)


def _at_even_times(
    agents: NDArray[np.int64], start: float, end: float, act: Act, phase: int
) -> tuple[Floats, NDArray[np.int64], NDArray[np.int64], int]:
    count = len(agents)
    places = np.arange(count, dtype=np.float64) + 0.5
    at = start + places * ((end - start) / max(count, 1))
    return at, agents, np.full(count, act, np.int64), phase


def _sorted(
    columns: list[tuple[Floats, NDArray[np.int64], NDArray[np.int64], int]],
) -> Plan:
    at = np.concatenate([column[0] for column in columns])
    order = np.argsort(at, kind="stable")
    return Plan(
        at[order],
        np.concatenate([column[1] for column in columns])[order].astype(np.uint32),
        np.concatenate([column[2] for column in columns])[order].astype(np.uint8),
        np.concatenate([np.full(len(c[0]), c[3], np.uint8) for c in columns])[order],
    )
