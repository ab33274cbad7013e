"""The fast lane: it turns received octets into the octets of answers, for the messages that a registrar sees most."""
