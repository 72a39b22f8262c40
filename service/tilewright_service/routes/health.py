from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import PlainTextResponse, Response

from tilewright import __version__
from tilewright.contract.health import Health, Version
from tilewright.errors import Unavailable
from tilewright_service.dependencies import Metrics, Readiness
from tilewright_service.problems import problem_response

router = APIRouter(tags=["health"])


@router.get("/healthz")
@router.head("/healthz", include_in_schema=False)
async def check_health() -> Health:
    """The process answers."""
    return Health(status="ok")


@router.get("/readyz", response_model=Health)
@router.head("/readyz", response_model=Health, include_in_schema=False)
async def check_readiness(readiness: Readiness) -> Health | Response:
    """The database takes writes and has room, the workers can be found, and jobs are brought on. 503 names in `parts`
    what is not so, and since when.
    """
    ailing = await readiness.ailing()
    if not ailing:
        return Health(status="ok")
    parts = {"parts": [part.model_dump(mode="json") for part in ailing]}
    return problem_response(Unavailable("; ".join(part.reason for part in ailing)), extras=parts)


@router.get("/version")
async def get_version() -> Version:
    return Version(version=__version__)


@router.get("/metrics", response_class=PlainTextResponse)
def get_metrics(metrics: Metrics) -> Response:
    """For Prometheus."""
    return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)
