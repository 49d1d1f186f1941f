# A small image that runs trials as nobody in particular: docker build -t batchtrial . ; docs/unattended.md has the commands.
ARG PYTHON=3.12
FROM python:${PYTHON}-slim AS build
ARG EXTRAS=fireworks,openai,anthropic
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY config config
COPY src src
RUN python -m venv /opt/batchtrial && /opt/batchtrial/bin/pip install --no-cache-dir ".[${EXTRAS}]"

FROM python:${PYTHON}-slim
COPY --from=build /opt/batchtrial /opt/batchtrial
RUN useradd --uid 1000 --create-home trial && mkdir /work && chown trial /work
USER 1000
# Runs live here: mount a local disk, since a ledger needs fsync and a lock.
WORKDIR /work
ENV PATH=/opt/batchtrial/bin:$PATH PYTHONDONTWRITEBYTECODE=1
# The first SIGTERM lets the call in hand end and writes the state down.
STOPSIGNAL SIGTERM
ENTRYPOINT ["batchtrial"]
CMD ["--help"]
