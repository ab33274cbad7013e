"""The Cython core: octets, trees and integers. It has no clock, source of randomness or logging; only ``io`` has
sockets."""
