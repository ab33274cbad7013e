"""UDP sockets, and announcements by multicast."""
