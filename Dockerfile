# One image for the service, the scheduler and the workers: a service gives work only to workers of its own version.
FROM python:3.11-slim

RUN useradd --create-home --uid 1000 tilewright \
    && mkdir --mode 0700 /data /tuning_logs /locks \
    && chown tilewright:tilewright /data /tuning_logs /locks

WORKDIR /src
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY client client
COPY kernels kernels
COPY tuning tuning
COPY worker worker
COPY comparison comparison
COPY service service
RUN pip install --no-cache-dir --constraint constraints.txt '.[worker,service,postgresql]'

USER tilewright
WORKDIR /home/tilewright
ENV PYTHONUNBUFFERED=1 \
    TILEWRIGHT_DATA_DIR=/data \
    TILEWRIGHT_LOGS_DIR=/tuning_logs
EXPOSE 8000

# Without a command: a service with a worker of its own. It wants TILEWRIGHT_TOKEN, as others can reach it.
CMD ["tilewright", "serve", "--host", "0.0.0.0"]
