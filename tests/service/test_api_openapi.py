"""The committed OpenAPI document is what the code says, and its examples hold to its schemas."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

from cabacus.service.api.app import build
from cabacus.service.api.openapi import document
from cabacus.service.errors import CATALOGUE
from cabacus.service.job import KINDS
from cabacus.service.schemas import OPTIONS, Terms

COMMITTED = Path(__file__).parents[2] / "openapi" / "openapi.json"
DOCUMENT: dict[str, Any] = json.loads(document())


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_the_committed_document_is_up_to_date() -> None:
    assert COMMITTED.read_text() == document(), "run: python -m cabacus.service.api.openapi > openapi/openapi.json"


def test_it_is_written_once_and_sent_to_whoever_has_not_got_it() -> None:
    app = build()

    async def check() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as http:
            first = await http.get("/openapi.json")
            assert first.json() == DOCUMENT
            assert first.headers["content-type"] == "application/json"
            app.openapi = None  # type: ignore[method-assign,assignment]  # who asks again costs no writing of it
            assert (await http.get("/openapi.json")).content == first.content
            known = await http.get("/openapi.json", headers={"If-None-Match": first.headers["etag"]})
            assert (known.status_code, known.content) == (304, b"")
            assert (await http.head("/openapi.json")).headers["content-length"] == str(len(first.content))

    asyncio.run(check())


def test_every_option_is_a_query_parameter_and_a_property_of_the_form() -> None:
    for kind in KINDS:
        operation = DOCUMENT["paths"][f"/{kind}"]["post"]
        names = {parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "query"}
        form = operation["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
        expected = {field.alias or name for name, field in OPTIONS[kind].model_fields.items()}
        expected |= set(Terms.model_fields)
        assert names == set(form["options"].get("properties", {})) == expected
        assert all(parameter["description"] for parameter in operation["parameters"])


def test_operation_ids_are_unique() -> None:
    ids = [operation["operationId"] for _, operation in operations()]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(("name", "operation"), list(operations()))
def test_every_response_is_described_and_its_examples_fit(name: str, operation: dict[str, Any]) -> None:
    for status, response in operation["responses"].items():
        assert response["description"], (name, status)
        for media_type, content in response.get("content", {}).items():
            if int(status) >= 400:
                assert media_type == "application/problem+json"
            examples = [example["value"] for example in content.get("examples", {}).values()]
            examples += [content["example"]] if "example" in content else []
            for example in examples:
                jsonschema.validate(example, {**content["schema"], "components": DOCUMENT["components"]})


def test_every_error_that_a_request_can_meet_is_shown_somewhere() -> None:
    shown: set[str] = set()
    for _, operation in operations():
        for response in operation["responses"].values():
            shown |= set(response.get("content", {}).get("application/problem+json", {}).get("examples", {}))
    framework = {"not_found", "method_not_allowed"}
    assert set(CATALOGUE) - shown == framework
