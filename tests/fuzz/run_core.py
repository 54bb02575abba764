"""Fuzzes the core with clang's libFuzzer, AddressSanitizer and UBSan: `make fuzz SECONDS=60`, for all targets together.

What is found lies in build/fuzz/found; a corpus of few small files in tests/fuzz/corpus, which `make cpp-test` replays;
how often the targets have run is added up in COUNT.md.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BUILD = ROOT / "build" / "fuzz"
TARGETS = {"container": 2000, "slices": 3000, "round_trip": 3000, "exact": 3000}
"""Names, and the most bytes of an input."""
MOST_FILES = 60
MOST_BYTES = 60_000
FLAGS = [
    "-std=c++20", "-O1", "-g1", "-Wall", "-Wextra", "-Wconversion", "-Wno-sign-conversion", "-Werror",
    "-ffp-contract=off", "-fno-sanitize-recover=all", "-D_GLIBCXX_ASSERTIONS", f"-I{ROOT / 'engine' / 'include'}",
]  # fmt: skip


def build(compiler: str) -> None:
    """Compile the targets, and an entry for each."""
    BUILD.mkdir(parents=True, exist_ok=True)
    objects = []
    for name in ("container", "levels", "exact"):
        objects.append(str(BUILD / f"{name}.o"))
        run(
            [
                compiler,
                *FLAGS,
                "-fsanitize=address,undefined,fuzzer-no-link",
                "-c",
                f"{HERE / name}.cpp",
                "-o",
                objects[-1],
            ]
        )
    for target in TARGETS:
        name = f"-DCABACUS_FUZZ_TARGET={target}"
        out = str(BUILD / target)
        run(
            [
                compiler,
                *FLAGS,
                "-fsanitize=address,undefined,fuzzer",
                name,
                str(HERE / "entry.cpp"),
                *objects,
                "-o",
                out,
            ]
        )


def run(command: list[str]) -> None:
    if subprocess.run(command, check=False).returncode != 0:
        sys.exit(f"failed: {' '.join(command[:1] + command[-2:])}")


def seeds(folder: Path) -> None:
    """The vectors: files as they are, and their headers without a preamble."""
    for path in sorted((HERE.parent / "vectors").glob("*.hex")):
        lines = [
            line.partition("#")[0] for line in path.read_text(encoding="utf-8").splitlines() if line[:1] not in "=#"
        ]
        data = bytes.fromhex(" ".join(lines))
        if 16 <= len(data) <= TARGETS["container"]:
            size = int.from_bytes(data[8:12], "little")
            (folder / path.stem).write_bytes(data)
            (folder / f"{path.stem}.header").write_bytes(bytes([data[5] << 1]) + data[16 : 16 + size])


def fuzz(target: str, seconds: int) -> int:
    """Run a target; the number of executions."""
    work, found = BUILD / "work" / target, BUILD / "found"
    work.mkdir(parents=True, exist_ok=True)
    found.mkdir(exist_ok=True)
    if target == "container":
        seeds(work)
    command = [
        str(BUILD / target), str(work), str(HERE / "corpus" / target), f"-max_total_time={seconds}",
        f"-max_len={TARGETS[target]}", "-rss_limit_mb=1500", "-timeout=20", "-print_final_stats=1",
        "-reload=0", "-verbosity=1", f"-artifact_prefix={found / target}-",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, errors="replace")
    if done.returncode != 0:
        print(done.stderr[-6000:])
        sys.exit(f"{target}: {'interrupted' if done.returncode == 72 else f'FOUND, see {found}'}")
    counted = re.search(r"stat::number_of_executed_units:\s*(\d+)", done.stderr)
    assert counted
    return int(counted[1])


def shrink(target: str) -> None:
    """Keep the files that reach most, small ones first, within the bounds."""
    merged = BUILD / "merged" / target
    shutil.rmtree(merged, ignore_errors=True)
    merged.mkdir(parents=True)
    corpus = HERE / "corpus" / target
    command = [str(BUILD / target), "-merge=1", str(merged), str(BUILD / "work" / target), str(corpus)]
    subprocess.run(command, capture_output=True, check=True)
    shutil.rmtree(corpus)
    corpus.mkdir()
    total = 0
    files = sorted(merged.iterdir(), key=lambda path: path.stat().st_size)
    # Some of every size: the smallest alone would leave out what takes many bytes to say.
    chosen = files[:: max(1, len(files) // MOST_FILES)][:MOST_FILES]
    for path in chosen:
        total += path.stat().st_size
        if total <= MOST_BYTES:
            shutil.copy(path, corpus / path.name[:12])


def count(target: str, executions: int, seconds: int) -> None:
    """Add to the sums of COUNT.md."""
    path = HERE / "COUNT.md"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    before = {name: (int(runs), int(time)) for name, runs, time in re.findall(r"\| (\w+) \| (\d+) \| (\d+) \|", text)}
    lines = [
        "# Executions of the fuzz targets",
        "",
        "Added up by `make fuzz`. ASan and UBSan were on; nothing that was found is open.",
        "",
        "| target | executions | seconds |",
        "|---|---|---|",
    ]
    for name in TARGETS:
        runs, time = before.get(name, (0, 0))
        now = (executions, seconds) if name == target else (0, 0)
        lines.append(f"| {name} | {runs + now[0]} | {time + now[1]} |")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for all targets together")
    parser.add_argument("--target", choices=TARGETS, action="append", help="these alone")
    arguments = parser.parse_args()
    targets = arguments.target or list(TARGETS)
    seconds = max(1, arguments.seconds // len(targets))
    compiler = os.environ.get("CLANGXX") or shutil.which("clang++")
    if compiler is None:
        sys.exit(
            "fuzzing needs clang++ with libFuzzer: apt-get install clang. (cpp-test replays the corpus without it.)"
        )
    os.nice(15)
    build(compiler)
    for target in targets:
        (HERE / "corpus" / target).mkdir(parents=True, exist_ok=True)
        executions = fuzz(target, seconds)
        count(target, executions, seconds)
        shrink(target)
        kept = len(list((HERE / "corpus" / target).iterdir()))
        print(f"{target}: {executions} executions, {kept} files kept", flush=True)


if __name__ == "__main__":
    main()
