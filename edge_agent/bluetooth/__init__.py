"""
Bluetooth sensors: the port `Sensors` on bleak and BlueZ.

```
listen ─▶ sensors ─▶ one task per bound sensor ─▶ scanner ─▶ client ─▶ live | glucose | cgm
take  ◀─ inbox ◀───────────────────────────────── readings, dating ◀──────────────┘
            recovery ◀── every failure; host (BlueZ over D-Bus) ── power, restart, pairing
```

Data from the radio is untrusted until it is decoded: each call has a time-out, each queue a limit,
and everything dropped is counted. A sensor that no lease names is only counted: its name and
address reach no log, no metric and no file of the agent.

Only this package imports bleak and dbus_fast.
"""
