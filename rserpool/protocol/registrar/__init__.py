"""The registrar's state machines: ASAP and ENRP over one handlespace."""
