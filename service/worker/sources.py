"""The files of a job, brought into its folder: uploads from the store, models and whole checkpoints from buckets."""

from __future__ import annotations

import json
import re
from pathlib import Path

from cabacus.service.job import Failure, Job
from cabacus.service.settings import Settings
from cabacus.service.storage.port import Buckets, Store, TooLarge

INDEX_SUFFIX = ".index.json"
IN_A_FOLDER = ("model.safetensors" + INDEX_SUFFIX, "model.safetensors")
"""What is looked for in a folder of a bucket, in this order."""
MAX_INDEX_BYTES = 64 << 20
_SHARD = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*\.safetensors")


class Refused(Exception):
    """The job asks for what cannot be; no other run would succeed."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.detail)
        self.failure = failure


class Sources:
    """Brings files; `buckets` is None where none may be used."""

    def __init__(self, settings: Settings, store: Store, buckets: Buckets | None) -> None:
        self._settings = settings
        self._store = store
        self._buckets = buckets

    async def bring(self, job: Job, folder: Path) -> dict[str, str]:
        """Bring the inputs of a job; returns paths by role. Raises Refused; KeyError for an upload that is gone."""
        inputs: dict[str, str] = {}
        if job.source:
            inputs["model"] = str(await self._from_buckets(job.source, folder))
        sharded = any(role.startswith("shard-") for role in job.inputs)
        for role, blob in job.inputs.items():
            if sharded and (role == "model" or role.startswith("shard-")):  # the index finds shards by their names
                place = folder / "checkpoint"
                place.mkdir(exist_ok=True)
                path = place / (IN_A_FOLDER[0] if role == "model" else blob.name)
            else:
                path = folder / (role + Path(blob.key).suffix)
            await self._store.fetch_file(blob.key, path)
            if not role.startswith("shard-"):
                inputs[role] = str(path)
        return inputs

    def bucket(self, url: str) -> Buckets:
        """The buckets, if the URL is allowed: settings may have changed since the job came. Raises Refused."""
        if self._buckets is None or not self._settings.allows_bucket(url):
            detail = f"{url} is in none of the buckets that may be used"
            raise Refused(Failure("invalid_option", detail, limit="CABACUS_BUCKETS"))
        return self._buckets

    async def _from_buckets(self, url: str, folder: Path) -> Path:
        """A file, an index with its shards, or what a folder (an URL that ends in a slash) holds. Raises Refused."""
        if not url.endswith("/"):
            return await self._checkpoint(url, folder)
        for name in IN_A_FOLDER:
            try:
                return await self._checkpoint(url + name, folder)
            except Refused as error:
                if error.failure.code != "source_not_found":
                    raise
        detail = f"there is neither {' nor '.join(IN_A_FOLDER)} in {url}"
        raise Refused(Failure("source_not_found", detail, field="input"))

    async def _checkpoint(self, url: str, folder: Path) -> Path:
        room = self._settings.max_upload_bytes
        if not url.endswith(INDEX_SUFFIX):
            return await self._file(url, folder / f"model{Path(url).suffix}", room)
        place = folder / "checkpoint"
        place.mkdir(exist_ok=True)
        index = await self._file(url, place / IN_A_FOLDER[0], min(room, MAX_INDEX_BYTES))
        for name in _shards(index, url):
            try:
                path = await self._file(url.rpartition("/")[0] + f"/{name}", place / name, room)
            except Refused as error:
                if error.failure.code != "source_not_found":
                    raise
                detail = f"the index names {name}, and there is nothing at {url.rpartition('/')[0]}/{name}"
                raise Refused(Failure("invalid_input", detail, field="input")) from None
            room -= path.stat().st_size
        return index

    async def _file(self, url: str, path: Path, limit: int) -> Path:
        try:
            await self.bucket(url).fetch(url, path, limit=limit)
        except KeyError:
            raise Refused(Failure("source_not_found", f"there is nothing at {url}", field="input")) from None
        except TooLarge:
            most = self._settings.max_upload_bytes
            detail = f"{url} makes more than {most} bytes; raise CABACUS_MAX_UPLOAD_BYTES"
            raise Refused(Failure("upload_too_large", detail, "input", limit="CABACUS_MAX_UPLOAD_BYTES")) from None
        return path


def _shards(index: Path, url: str) -> list[str]:
    """The names of the shards of an index; only plain names are followed, so that it leads nowhere else."""
    try:
        names = sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        raise Refused(Failure("invalid_format", f"{url} is no index of shards", field="input")) from None
    for name in names:
        if not isinstance(name, str) or _SHARD.fullmatch(name) is None:
            detail = f"the index at {url} names {str(name)[:80]!r}, which is no safetensors file beside it"
            raise Refused(Failure("invalid_format", detail, field="input"))
    return names
