class AdmissionLimits:
    def __new__(
        cls,
        *,
        handle_octets: int,
        pools: int,
        elements_per_pool: int,
        elements_per_association: int,
        addresses: int,
        shortest_life: int,
    ) -> AdmissionLimits: ...

class Registrant:
    elements: int
    def __new__(cls, hosts: bytes, asap: bytes) -> Registrant: ...
