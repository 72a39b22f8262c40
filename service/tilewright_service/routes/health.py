from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import PlainTextResponse, Response

from tilewright import __version__
from tilewright.contract.health import Health, Version
from tilewright_service.dependencies import Metrics, Reading
from tilewright_service.store.database import answers

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def check_health() -> Health:
    """The process answers."""
    return Health(status="ok")


@router.get("/readyz")
def check_readiness(session: Reading) -> Health:
    """The process answers, and so does its database."""
    answers(session)
    return Health(status="ok")


@router.get("/version")
async def get_version() -> Version:
    return Version(version=__version__)


@router.get("/metrics", response_class=PlainTextResponse)
def get_metrics(metrics: Metrics) -> Response:
    """For Prometheus."""
    return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)
