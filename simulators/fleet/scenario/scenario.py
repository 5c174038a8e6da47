"""
Scenarios: the description of a fleet and of the events of a run, in YAML.

A file with an unknown key, an impossible rate or without a limit is refused, with the line and the
remedy, because a load test that silently tests something different is worse than none.
"""

from typing import Final

import msgspec

from simulators.fleet.errors import LimitError
from simulators.fleet.scenario import limits
from wire.quantities import BY_NAME

MAX_AGENTS: Final = 100_000
MAX_RATE_PER_S: Final = 20_000
MAX_ENVELOPES: Final = 20_000_000
MAX_SKEW_S: Final = 4.0
MAX_STANDSTILL_S: Final = 25.0
MAX_CHURN_PER_MIN: Final = 100_000
MAX_SEED: Final = (1 << 63) - 1
_WORN: Final = ("heart_rate", "glucose_interstitial")


def _refuse(key: str, problem: str, remedy: str) -> ValueError:
    """Return an error that names *key*, so that its line can be found."""
    return ValueError(f"{key}: {problem}. {remedy}")


def _check_share(key: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise _refuse(key, "the value is not a share", "Write 0 to 1, as in 0.05")


def _check_least(key: str, value: float, least: float, *, greatest: float = 1e9) -> None:
    if not least <= value <= greatest:
        raise _refuse(key, "the value is out of range", f"Write {least:g} to {greatest:g}")


class Network(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The network between the fleet and its broker during a phase."""

    latency_ms: float = 0.0
    jitter_ms: float = 0.0
    """Added to the latency, uniformly between 0 and this."""
    stall: float = 0.0
    """Share of the reads that wait for `stall_ms`, as after a lost segment."""
    stall_ms: float = 0.0
    kbit_per_s: float = 0.0
    """The bandwidth of each connection and direction, in kbit/s; 0 for no limit."""
    cut_every_s: float = 0.0
    """Seconds between resets of one connection in ten; 0 for never."""
    vanish_every_s: float = 0.0
    """
    Seconds between losses of one connection in ten: the connection stays open, but carries no data
    any more.
    """

    def __post_init__(self) -> None:
        _check_share("stall", self.stall)
        for key in ("latency_ms", "jitter_ms", "stall_ms", "kbit_per_s", "cut_every_s",
                    "vanish_every_s"):  # fmt: skip
            _check_least(key, getattr(self, key), 0)


class Phase(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of a run in which conditions stay the same."""

    name: str
    duration_s: float
    rate: float = 1.0
    """Multiplies the usual rate."""
    rate_to: float | None = None
    """The rate at the end of the phase, reached evenly; None for the same rate."""
    offline: float = 0.0
    """Share of the gateways without a network: they measure, and keep their envelopes."""
    return_within_s: float = 5.0
    """How soon after the phase these gateways return."""
    duplicates: float = 0.0
    reordered: float = 0.0
    corrupt: float = 0.0
    hostile: float = 0.0
    slow: float = 0.0
    """Share of the gateways that do not read what the broker sends."""
    churn_per_min: float = 0.0
    """Gateways that drop their connection and return."""
    withdrawals: int = 0
    """People who withdraw their consent, evenly over the phase."""
    ingest_stopped: bool = False
    """Whether ingest is stopped, so that envelopes gather at the broker."""
    network: Network = Network()

    def __post_init__(self) -> None:
        if not self.name.replace("-", "").replace("_", "").isalnum():
            raise _refuse("name", "it is no word", "Write letters, digits, - and _")
        _check_least("duration_s", self.duration_s, 0.1, greatest=604_800)
        for key in ("offline", "duplicates", "reordered", "corrupt", "hostile", "slow"):
            _check_share(key, getattr(self, key))
        if self.duplicates + self.reordered + self.corrupt + self.hostile > 1:
            raise _refuse("hostile", "the shares of envelopes add up to over 1", "Lower one")
        _check_least("rate", self.rate, 0)
        _check_least("rate_to", self.last_rate, 0)
        _check_least("return_within_s", self.return_within_s, 0)
        _check_least("churn_per_min", self.churn_per_min, 0, greatest=MAX_CHURN_PER_MIN)
        _check_least("withdrawals", self.withdrawals, 0)
        if self.ingest_stopped and self.duration_s > MAX_STANDSTILL_S:
            raise _refuse("ingest_stopped", "gateways send again what has waited for 30 s",
                          f"Let it stand still for at most {MAX_STANDSTILL_S:g} s")  # fmt: skip

    @property
    def last_rate(self) -> float:
        """The rate at the end of the phase."""
        return self.rate if self.rate_to is None else self.rate_to


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The description of a run."""

    name: str
    agents: int
    every_s: float
    """Seconds between two envelopes of a gateway, at rate 1."""
    phases: list[Phase]
    limits: list[str]
    about: str = ""
    quantities: dict[str, float] = msgspec.field(
        default_factory=lambda: {"heart_rate": 5.0, "glucose_interstitial": 300.0}
    )
    """The quantities of each person's sensors, with the seconds between two measurements."""
    ramp_s: float = 5.0
    """Seconds over which the gateways connect, one after the other."""
    seed: int = 1
    clock_skew_s: float = 0.0
    """The most by which clocks of gateways are off, in both directions."""
    settle_s: float = 60.0
    """The most seconds to wait at the end until everything is settled."""
    connecting_at_once: int = 256

    def __post_init__(self) -> None:
        _check_least("agents", self.agents, 1, greatest=MAX_AGENTS)
        _check_least("every_s", self.every_s, 0.01, greatest=86_400)
        _check_least("ramp_s", self.ramp_s, 0)
        _check_least("settle_s", self.settle_s, 0)
        _check_least("seed", self.seed, 0, greatest=MAX_SEED)
        _check_least("connecting_at_once", self.connecting_at_once, 1, greatest=10_000)
        if not 0 <= self.clock_skew_s <= MAX_SKEW_S:
            raise _refuse(
                "clock_skew_s",
                "ingest refuses what is 5 s ahead",
                f"Write at most {MAX_SKEW_S:g}; hostile envelopes come from the future",
            )
        if not self.phases or len({p.name for p in self.phases}) < len(self.phases):
            raise _refuse("phases", "none, or two of one name", "Give each a name of its own")
        if not 1 <= len(self.phases) <= 200:
            raise _refuse("phases", "there are too many", "Write at most 200")
        self._check_quantities()
        self._check_rates()
        self._check_limits()

    def _check_quantities(self) -> None:
        if not self.quantities or not set(self.quantities) <= set(_WORN):
            raise _refuse("quantities", "invented people wear no such sensor",
                          f"Choose among {', '.join(_WORN)}")  # fmt: skip
        for name, step_s in self.quantities.items():
            _check_least(f"quantities.{name}", step_s, 0.01, greatest=86_400)
            if abs(step_s * 1000 - round(step_s * 1000)) > 1e-6:
                raise _refuse(f"quantities.{name}", "the value is not a whole number of ms",
                              "Write seconds, as in 0.25")  # fmt: skip

    def _check_rates(self) -> None:
        finest = min(self.quantities.values())
        envelopes = 0.0
        for number, phase in enumerate(self.phases):
            highest = max(phase.rate, phase.last_rate)
            if highest and self.every_s / highest < finest - 1e-9:
                raise _refuse(f"phases[{number}].rate", "an envelope would have nothing in it",
                              f"Lower it, or measure oftener than each {finest:g} s")  # fmt: skip
            if self.agents * highest / self.every_s > MAX_RATE_PER_S:
                raise _refuse(f"phases[{number}].rate",
                              f"it comes to over {MAX_RATE_PER_S} envelopes a second",
                              "Lower it, or take fewer agents")  # fmt: skip
            mean = (phase.rate + phase.last_rate) / 2
            envelopes += self.agents / self.every_s * phase.duration_s * mean
            if phase.withdrawals > self.agents:
                raise _refuse(f"phases[{number}].withdrawals", "there are fewer people",
                              "Each withdraws once")  # fmt: skip
        if envelopes < 1:
            raise _refuse(
                "phases", "nothing would be sent in them", "Raise a rate, or lengthen one"
            )
        if envelopes > MAX_ENVELOPES:
            raise _refuse("phases", f"they come to over {MAX_ENVELOPES} envelopes", "Shorten them")
        if sum(phase.withdrawals for phase in self.phases) > self.agents:
            raise _refuse("phases", "more people withdraw than there are", "Each does it once")

    def _check_limits(self) -> None:
        if not self.limits:
            raise _refuse("limits", "there are none", "Say what must be reached, as in lost=0")
        names = {phase.name for phase in self.phases}
        for number, text in enumerate(self.limits):
            try:
                limit = limits.parse(text)
            except LimitError as exc:
                problem, _, remedy = str(exc).partition(". ")
                raise _refuse(f"limits[{number}]", problem, remedy) from None
            if limit.phase is not None and limit.phase not in names:
                raise _refuse(f"limits[{number}]", "there is no such phase", "Name one of them")

    @property
    def duration_s(self) -> float:
        """The length of all phases, in seconds."""
        return sum(phase.duration_s for phase in self.phases)

    @property
    def has_network(self) -> bool:
        """Whether a relay lies between fleet and broker."""
        return any(phase.network != Network() for phase in self.phases)

    @property
    def has_ingest_pause(self) -> bool:
        """Whether ingest is stopped in a phase."""
        return any(phase.ingest_stopped for phase in self.phases)

    def policy(self, purpose: str) -> str:
        """Return the policy under which its gateways measure, as YAML."""
        lines = [
            f"  {name}: {{round: {1 / BY_NAME[name].per_unit:g}, min_interval: {ms}ms,"
            f" time_rounding: {ms}ms, aggregate: first}}"
            for name, ms in self.steps_ms().items()
        ]
        return "\n".join(
            [f"purpose: {purpose}", "art6: 6.1.a", "art9: 9.2.a", "recipients: [load-test]",
             "quantities:", *lines, "retention: {raw: 7d, aggregates: 7d}", "pad_bytes: 128", ""]
        )  # fmt: skip

    def steps_ms(self) -> dict[str, int]:
        """Return the milliseconds between two measurements of each quantity."""
        return {name: round(step_s * 1000) for name, step_s in self.quantities.items()}
