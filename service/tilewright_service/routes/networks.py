from fastapi import APIRouter

from tilewright.contract.networks import Network
from tilewright.contract.pages import Page
from tilewright.workloads.zoo import NETWORKS, network_workloads

router = APIRouter(prefix="/v1/networks", tags=["networks"])


@router.get("")
def list_networks() -> Page[Network]:
    """Networks that a job can name."""
    return Page(items=[_network(name) for name in NETWORKS])


def _network(name: str) -> Network:
    workloads = network_workloads(name)
    return Network(
        name=name,
        workloads=len(workloads),
        convolutions=sum(occurrences for _, occurrences in workloads),
        macs=sum(workload.macs * occurrences for workload, occurrences in workloads),
    )
