# syntax=docker/dockerfile:1
# One image for all functions; which one runs is the command: python3 functions/<name>/main.py
#
# Both bases are named by digest, given as arguments (cloudbuild.yaml has them): a tag can change between two builds.
# They must have the same version of Python.
ARG BUILD_IMAGE
ARG RUNTIME_IMAGE

FROM ${BUILD_IMAGE} AS build
WORKDIR /build
COPY requirements/runtime.lock requirements/runtime.lock
RUN python3 -m pip install --no-cache-dir --disable-pip-version-check --require-hashes --no-compile \
      --target /app/site -r requirements/runtime.lock
COPY shared /app/shared
COPY functions /app/functions
# Compiled here once, so that no instance does it at its start; timestamps do not matter in an image.
RUN python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /app

# No shell, no package manager, nobody but `nonroot`.
FROM ${RUNTIME_IMAGE}
COPY --from=build --chown=0:0 /app /app
WORKDIR /app
ENV PYTHONPATH=/app/site:/app/shared \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ENVIRONMENT=production
USER 65532:65532
EXPOSE 8080
# For whoever runs the image elsewhere; Cloud Run asks by its own probes.
HEALTHCHECK --interval=30s --timeout=5s --retries=3 \
  CMD ["python3", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
ENTRYPOINT []
CMD ["python3", "functions/gateway/main.py"]
