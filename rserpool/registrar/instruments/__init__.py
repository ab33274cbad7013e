"""The registrar's instruments: statistics, scalars, action log, and status reports."""
