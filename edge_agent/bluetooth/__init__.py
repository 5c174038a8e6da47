"""
Sensors by radio: bleak, and BlueZ below it, behind the port `Sensors`.

```
listen ─▶ sensors ─▶ one task per bound sensor ─▶ scanner ─▶ client ─▶ live | glucose | cgm
take  ◀─ inbox ◀───────────────────────────────── readings, dating ◀──────────────┘
            recovery ◀── every failure; host (BlueZ over D-Bus) ── power, restart, pairing
```

What a radio brings is hostile until it is decoded: every call has a time-out, every queue a bound,
and what is given up is counted. A sensor that no lease names is counted and forgotten: its name
and address reach no log, no metric and no disk of ours.

bleak and dbus_fast are spoken to here and nowhere else.
"""
