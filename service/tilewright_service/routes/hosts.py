from fastapi import APIRouter

from tilewright.contract.hosts import Host
from tilewright.contract.pages import Page
from tilewright.contract.workers import Worker
from tilewright_service.dependencies import Engine, Paging, Reading
from tilewright_service.pages import next_page
from tilewright_service.store.hosts import host_page

router = APIRouter(prefix="/v1", tags=["hosts"])


@router.get("/hosts")
def list_hosts(query: Paging, session: Reading) -> Page[Host]:
    """Machines that have measured."""
    rows = host_page(session, query.after_id, query.limit)
    return Page(items=[host for _, host in rows], next=next_page("/v1/hosts", query, [row_id for row_id, _ in rows]))


@router.get("/workers")
def list_workers(engine: Engine) -> Page[Worker]:
    """Workers that are there now."""
    return Page(items=list(engine.capacity()))
