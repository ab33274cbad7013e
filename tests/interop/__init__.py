"""Tests of real processes over real SCTP, in guests of the peer lab (ci/lab)."""
