"""UDP sockets, and multicast announcements."""
