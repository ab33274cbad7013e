"""The Cython core: bytes, trees and integers. No clock, randomness source or logging inside; sockets only in the
two transport bindings ``sctp`` and ``usrsctp``."""
