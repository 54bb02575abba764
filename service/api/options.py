"""From query parameters and the `options` part of an upload to the options of a job."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, NoReturn, TypeVar
from urllib.parse import urlsplit

from pydantic import ValidationError

from cabacus.service.errors import ServiceError
from cabacus.service.job import Kind
from cabacus.service.schemas import OPTIONS, TARGETS, Options, Terms
from cabacus.service.settings import Settings
from cabacus.service.storage.port import is_key

T = TypeVar("T")


def read_options(
    kind: Kind, query: Iterable[tuple[str, str]], document: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Validate the options given as query parameters and, in a multipart upload, as JSON; an option is given once.

    Returns those that were given, as JSON values under their names. Raises ServiceError `unknown_option`,
    `invalid_option` or `two_targets`.
    """
    model = OPTIONS[kind]
    given = _merged(_from_query(model, query), document or {})
    _refuse_unknown(kind, model, given)
    try:
        options = model.model_validate(given)
    except ValidationError as error:
        _refuse_invalid(error)
    values = options.model_dump(mode="json", by_alias=True, exclude_none=True)
    if kind == "compress":
        _refuse_two_targets(values)
    return values


def split_terms(given: Iterable[tuple[str, T]]) -> tuple[list[tuple[str, T]], list[tuple[str, T]]]:
    """Those that say how a request is treated, and those that say what the work is."""
    terms: list[tuple[str, T]] = []
    options: list[tuple[str, T]] = []
    names = names_of(Terms)
    for name, value in given:
        (terms if name in names else options).append((name, value))
    return terms, options


def read_terms(query: Iterable[tuple[str, str]], document: Mapping[str, Any], settings: Settings) -> Terms:
    """Validate what says how a request is treated. Raises ServiceError `invalid_option`."""
    given = _merged(_from_query(Terms, query), document)
    try:
        terms = Terms.model_validate(given)
    except ValidationError as error:
        _refuse_invalid(error)
    if terms.webhook is not None and not settings.allows_webhook(terms.webhook):
        known = "the operator allows some" if settings.webhooks else "the operator allows none"
        raise ServiceError(
            "invalid_option",
            f"webhook: {terms.webhook[:200]!r} is none of the places that may be told ({known}, by CABACUS_WEBHOOKS)",
            field="webhook",
            limit="CABACUS_WEBHOOKS",
        )
    for name, url in (("input", terms.input), ("output", terms.output)):
        if url is None:
            continue
        path = urlsplit(url).path[1:]
        # An input may be a folder, whose name ends in a slash.
        if not settings.allows_bucket(url) or not is_key(path.removesuffix("/") if name == "input" else path):
            raise ServiceError(
                "invalid_option",
                f"{name}: {url[:200]!r} is in none of the buckets that may be used, which CABACUS_BUCKETS lists, "
                "or its name is not made of letters, digits, '.', '_', '-' and '/'",
                field=name,
                limit="CABACUS_BUCKETS",
            )
    return terms


def parse_document(text: bytes) -> dict[str, Any]:
    """Read the part `options` of an upload: a JSON object. Raises ServiceError `invalid_option`."""
    try:
        document = json.loads(text, parse_constant=_refuse_constant)
        json.dumps(document, ensure_ascii=False).encode()  # half a surrogate pair passes the parser, and nothing else
    except (ValueError, RecursionError) as error:
        raise ServiceError("invalid_option", f"the part options is not JSON: {error}", field="options") from None
    if not isinstance(document, dict):
        raise ServiceError("invalid_option", "the part options must be a JSON object of options", field="options")
    return document


def names_of(model: type[Options]) -> list[str]:
    """The names of a model's options, as requests spell them."""
    return [field.alias or name for name, field in model.model_fields.items()]


def _merged(query: dict[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
    for name in document:
        if name in query:
            raise ServiceError(
                "invalid_option", f"{name} is given both in the query and in the part options; give it once", field=name
            )
    return query | dict(document)


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON number")


def _from_query(model: type[Options], query: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Collect the values of options that may be repeated in lists; refuse others that are."""
    repeatable = _repeatable(model)
    given: dict[str, Any] = {}
    for name, value in query:
        if name in repeatable:
            given.setdefault(name, []).append(value)
        elif name in given:
            raise ServiceError("invalid_option", f"{name} is given more than once; give it once", field=name)
        else:
            given[name] = value
    return given


@cache
def _repeatable(model: type[Options]) -> frozenset[str]:
    """The names of the options that hold lists."""
    properties = model.model_json_schema(by_alias=True).get("properties", {})
    return frozenset(
        name for name, schema in properties.items() if any(arm.get("type") == "array" for arm in schema["anyOf"])
    )


def _refuse_unknown(kind: Kind, model: type[Options], given: Mapping[str, Any]) -> None:
    known = names_of(model)
    unknown = [name for name in given if name not in known]
    if not unknown:
        return
    words = []
    for name in unknown[:8]:
        near = difflib.get_close_matches(name.lower().replace("-", "_"), known, n=1)
        words.append(f"{name[:80]!r}" + (f" (did you mean {near[0]}?)" if near else ""))
    listing = f"/{kind} understands {', '.join(known)}"
    raise ServiceError("unknown_option", f"unknown: {', '.join(words)}; {listing}", field=unknown[0][:80])


def _refuse_invalid(error: ValidationError) -> NoReturn:
    """Say each option at fault, its value and the bound that it misses."""
    faults = error.errors(include_url=False, include_context=False)
    words = []
    for fault in faults[:8]:
        path = ".".join(str(part) for part in fault["loc"])
        message = fault["msg"].removeprefix("Value error, ")
        words.append(f"{path}: {message} (given: {str(fault['input'])[:80]})" if path else message)
    field = next((str(fault["loc"][0]) for fault in faults if fault["loc"]), None)
    raise ServiceError("invalid_option", "; ".join(words), field=field)


def _refuse_two_targets(values: Mapping[str, Any]) -> None:
    targets = [name for name in TARGETS if name in values]
    if len(targets) > 1:
        raise ServiceError(
            "two_targets",
            f"{' and '.join(targets)} are both targets; give one of {', '.join(TARGETS)}, or none for the default",
            field=targets[1],
        )
