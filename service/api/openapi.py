"""Prints the OpenAPI document: `python -m cabacus.service.api.openapi > openapi/openapi.json`."""

from __future__ import annotations

import json
import sys

from cabacus.service.api.app import build


def document() -> str:
    """The OpenAPI document as JSON text; the same on every machine."""
    return json.dumps(build().openapi(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(document())
