# Debian's haproxy where the image of the compose file cannot be had.
FROM python:3.12-slim-bookworm
RUN apt-get update && apt-get install -y --no-install-recommends haproxy && rm -rf /var/lib/apt/lists/*
USER haproxy
