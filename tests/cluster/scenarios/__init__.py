"""Everything that is done to a cluster, a module a heading; to import it is to have all of it in `stage.SCRIPTS`."""

from . import clocks, deliveries, disks, engines, evaluators, hosts, kills, networks, services, shares, storage

__all__ = [
    "clocks",
    "deliveries",
    "disks",
    "engines",
    "evaluators",
    "hosts",
    "kills",
    "networks",
    "services",
    "shares",
    "storage",
]
