class Terms:
    def __new__(
        cls,
        *,
        handle_octets: int,
        pools: int,
        elements_per_pool: int,
        elements_per_association: int,
        addresses: int,
        shortest_life: int,
    ) -> Terms: ...

class Guest:
    elements: int
    def __new__(cls, hosts: bytes, asap: bytes) -> Guest: ...
