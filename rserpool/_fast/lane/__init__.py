"""The fast lane: received octets to answered octets for the messages that a registrar sees most."""
