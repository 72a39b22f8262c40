from fastapi import APIRouter

from tilewright.contract.hosts import Host
from tilewright.contract.pages import Page
from tilewright.contract.workers import Worker
from tilewright_service.dependencies import Capacity, Paging, Reading
from tilewright_service.pages import next_page
from tilewright_service.store.hosts import host_page

router = APIRouter(prefix="/v1", tags=["hosts"])


@router.get("/hosts")
def list_hosts(query: Paging, session: Reading) -> Page[Host]:
    """Machines that have measured."""
    rows = host_page(session, query.after_id, query.limit)
    return Page(items=[host for _, host in rows], next=next_page("/v1/hosts", query, [row_id for row_id, _ in rows]))


@router.get("/workers")
async def list_workers(capacity: Capacity) -> Page[Worker]:
    """Workers that are there now, and why some of them get no work; `/readyz` says when they cannot be found."""
    return Page(items=list(capacity.workers) if capacity else [])
