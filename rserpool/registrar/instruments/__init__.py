"""The registrar's instruments: statistics, action log, scalars and status reports."""
