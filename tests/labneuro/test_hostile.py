"""Runs from a stranger: they are refused in one line or read, run no code, touch nothing and take little memory."""

import json
import os
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zlib import crc32

import h5py
import numpy as np
import pytest

from labneuro.entries import Declared, Yielded
from labneuro.journal import MAGIC, StoreError
from labneuro.recording import RunWriter, completed
from labneuro.store import RunFile
from labneuro.values import pack

Make = Callable[[Path], None]
"""Makes a hostile run at a path that ends in .h5."""

HEAD: dict[str, Any] = {
    "protocol": "lesson", "doc": "Teach.", "parameters": {"rate": 1.0}, "units": {"rate": "A"}, "bench": "",
    "bench_name": "desk", "bench_path": "", "bench_called": "desk", "parts": {}, "provenance": {"host": "lab"},
    "start_time": "2026-01-01T00:00:00+00:00",
}  # fmt: skip
SECRET = "BEGIN PRIVATE KEY"  # noqa: S105
ESCAPES = "\x1b[2J\x1b]0;owned\a\x9b31m\r\n\b\u202e<img src='secret.h5'>"
HUGE = 10**12


# Run files


def changed(change: Callable[[Any, Path], None]) -> Make:
    """Return what makes a run of three steps and changes its file; /entry is handed to `change`."""

    def make(path: Path) -> None:
        with RunWriter(path, HEAD) as run:
            for table, values in (("steps", {"train": 0.5, "word": "a"}), ("map", {"states": np.eye(3)})):
                yielded = [Yielded(table, values)] * 3
                run.write(Declared(table, table, [[name, "A", ""] for name in values]), *yielded)
            run.finish("finished")
        with h5py.File(path, "r+") as file:
            for group in ("parameters", "steps"):
                del file["entry"][group].attrs["order"]
            change(file["entry"], path.parent)

    return make


def dataset(where: str, name: str, *shape: Any, **settings: Any) -> Make:
    def change(entry: Any, folder: Path) -> None:
        del folder
        entry[where].create_dataset(name, *shape, **settings)

    return changed(change)


def attribute(where: str, name: str, value: Any) -> Make:
    def change(entry: Any, folder: Path) -> None:
        del folder
        entry[where].attrs[name] = value

    return changed(change)


def replaced(where: str, **settings: Any) -> Make:
    def change(entry: Any, folder: Path) -> None:
        del folder
        del entry[where]
        entry.create_dataset(where, **settings)

    return changed(change)


def links_out(entry: Any, folder: Path) -> None:
    secret = str(folder / "secret.h5")
    for place in ("parameters", "steps"):
        group = entry[place]
        group["outside"] = h5py.ExternalLink(secret, "/entry/parameters")
        group["soft"] = h5py.SoftLink("outside/key")
        group["../../secret.h5"] = h5py.ExternalLink("../../secret.h5", "/entry/parameters/key")
        group.create_dataset("raw", (17,), "u1", external=[(str(folder / "secret.txt"), 0, 17)])
        layout = h5py.VirtualLayout((1,), "i8")
        layout[:] = h5py.VirtualSource(secret, "/entry/steps/errors", (1,))
        group.create_virtual_dataset("virtual", layout)
        names = ["outside", "soft", "raw", "virtual", "outside/key", "./outside/key", "/etc/passwd", *group]
        group.attrs["order"] = np.array(names, dtype=h5py.string_dtype())
    entry["elsewhere"] = h5py.ExternalLink(secret, "/entry/steps")


def cycles(entry: Any, folder: Path) -> None:
    del folder
    entry["a"], entry["b"] = h5py.SoftLink("/entry/b"), h5py.SoftLink("/entry/a")
    entry["loop"] = entry
    entry["steps/loop"] = entry
    entry["parameters/loop"] = entry["/"]
    entry["bench/parts"] = entry["bench"]
    entry["mirror"] = entry["steps"]


def deep(entry: Any, folder: Path) -> None:
    del folder
    for place in ("steps", "parameters", "bench"):
        group = entry[place]
        for _ in range(1000):
            group = group.create_group("x")


def all_fields_huge(entry: Any, folder: Path) -> None:
    del folder
    for dataset in entry["steps"].values():
        dataset.resize(HUGE, axis=0)


def bomb(entry: Any, folder: Path) -> None:
    """A gigabyte of zeros in a chunk of a megabyte, for a parameter that is one number."""
    del folder
    part, parts = bytes(2**24), 64
    packer = zlib.compressobj(9, wbits=-15)
    packed = packer.compress(part) + packer.flush(zlib.Z_FULL_FLUSH)
    check = 1
    for _ in range(parts):
        check = zlib.adler32(part, check)
    made = entry["parameters"].create_dataset("x", (1,), "f8", maxshape=(None,), chunks=(2**27,), compression=9)
    made.id.write_direct_chunk((0,), b"\x78\xda" + packed * parts + b"\x03\x00" + check.to_bytes(4, "big"))


def many_claims(entry: Any, folder: Path) -> None:
    del folder
    for k in range(500):
        entry["parameters"].create_dataset(f"x{k}", (2**20,), "f8")


def many_fields(entry: Any, folder: Path) -> None:
    del folder
    for k in range(1000):
        entry["provenance"].create_dataset(f"x{k}", data=1.0)


def many_texts(entry: Any, folder: Path) -> None:
    """Ten thousand texts that are all the same megabyte of the file."""
    text = h5py.string_dtype()
    made = entry["parameters"].create_dataset("x", (10_000,), text)
    made[:1] = "A" * 10**6
    made[1:] = "B"
    place = made.id.get_offset()
    path = Path(entry.file.filename)
    entry.file.close()
    content = bytearray(path.read_bytes())
    content[place : place + 16 * 10_000] = content[place : place + 16] * 10_000
    path.write_bytes(content)


def odd_types(entry: Any, folder: Path) -> None:
    del folder
    group = entry["parameters"]
    group.create_dataset("compound", data=np.zeros(2, [("a", "f8"), ("b", "S3")]))
    group.create_dataset("opaque", data=np.zeros(2, "V8"))
    group.create_dataset("reference", data=group.ref, dtype=h5py.ref_dtype)
    group.create_dataset("region", data=entry["steps/train"].regionref[:1], dtype=h5py.regionref_dtype)
    group.create_dataset("ragged", (3,), h5py.vlen_dtype(np.int32))
    group.create_dataset("array", (2,), np.dtype(("f4", (3,))))
    group.create_dataset("enum", data=1, dtype=h5py.enum_dtype({"RED": 1, ESCAPES: 2}))
    group.create_dataset("bytes", data=np.bytes_(b"\xff\xfe" + ESCAPES.encode()))
    group.create_dataset("half", data=np.float16(1))
    group.create_dataset("empty", data=h5py.Empty("i4"))
    group.create_dataset("big", data=np.arange(3, dtype=">i8"))
    group.create_dataset("nan", data=[np.nan, np.inf, -np.inf])
    group.create_dataset("complex", data=1j)


def odd_time(entry: Any, folder: Path) -> None:
    del folder
    space = h5py.h5s.create(h5py.h5s.SCALAR)
    h5py.h5d.create(entry["parameters"].id, b"time", h5py.h5t.UNIX_D32LE, space)


def odd_attributes(entry: Any, folder: Path) -> None:
    del folder
    for where in ("parameters/rate", "steps/train"):
        dataset = entry[where]
        for name, value in {
            "units": np.zeros(2, [("a", "f8")]), "signal": dataset.ref, "axes": h5py.Empty("f4"), "order": 3.0,
        }.items():  # fmt: skip
            dataset.attrs[name] = value


def escapes(entry: Any, folder: Path) -> None:
    del folder
    for name in ("state", "note", "title", "start_time", "end_time", "protocol/name", "protocol/doc", "bench/name"):
        entry[name][()] = ESCAPES
    for place in ("parameters", "steps", "provenance"):
        entry[place].create_dataset(ESCAPES, data=[ESCAPES] * 3, dtype=h5py.string_dtype())
        entry[place].attrs["order"] = np.array([ESCAPES, *entry[place]], dtype=h5py.string_dtype())
    parts = entry["bench"].create_group("parts")
    parts[ESCAPES] = ESCAPES
    entry["steps/train"].attrs["units"] = ESCAPES
    entry["parameters/rate"].attrs["units"] = ESCAPES
    entry.move("map", ESCAPES)


def events(**columns: Any) -> Make:
    def change(entry: Any, folder: Path) -> None:
        del folder
        group = entry.create_group("events")
        for name, column in {"time": [1.0], "what": ["a"], "words": ["b"], **columns}.items():
            group[name] = column

    return changed(change)


def odd_steps(**columns: Any) -> Make:
    def change(entry: Any, folder: Path) -> None:
        del folder
        for name, column in columns.items():
            entry["steps"].create_dataset(name, data=column)

    return changed(change)


READ: dict[str, Make] = {
    "links": changed(links_out),
    "cycles": changed(cycles),
    "deep": changed(deep),
    "types": changed(odd_types),
    "attributes": changed(odd_attributes),
    "escapes": changed(escapes),
    "many-fields": changed(many_fields),
    "order-text": attribute("steps", "order", "train"),
    "order-bytes": attribute("parameters", "order", np.array([b"\xff", b"../train", b"/entry/note"])),
    "order-table": attribute("steps", "order", np.zeros(3, [("a", "f8")])),
    "name-number": replaced("protocol/name", data=[1.0, 2.0]),
    "state-array": replaced("state", data=[1, 2]),
    "name-path": replaced("protocol/name", data="../../secret:main"),
    "steps-nan": odd_steps(a=[np.nan] * 3, b=[np.inf, -np.inf, np.nan]),
    "steps-deep": odd_steps(a=np.zeros((3, *[1] * 30))),
    "steps-complex": odd_steps(a=[1j, 2, 3], b=np.ones(3, "f2"), c=np.array([0, 2**64 - 1, 1], "u8")),
    "steps-wide": odd_steps(a=np.zeros((3, 0)), b=np.zeros((3, 1, 0))),
}
"""Files with something odd in them that leaves the three steps as they are."""

REFUSED: dict[str, tuple[Make, str]] = {
    "chunked": (dataset("parameters", "x", (HUGE,), "f8", chunks=(1024,)), "x' claims 8e+12 bytes that are not there"),
    "contiguous": (dataset("parameters", "x", (HUGE,), "f8"), "x' claims 8e+12 bytes that are not there"),
    "text": (dataset("parameters", "x", (HUGE,), h5py.string_dtype()), "x' claims 8e+12 bytes that are not there"),
    "steps": (changed(all_fields_huge), "claims 8e+12 bytes that are not there"),
    "chunk": (dataset("parameters", "x", (1,), "f8", chunks=(2**28,), maxshape=(None,)), "x' claims 2.15e+09 bytes"),
    "name": (replaced("protocol/name", shape=(HUGE,), dtype="i1", chunks=(1024,)), "name' claims 1e+12 bytes"),
    "many": (changed(many_claims), "x0' claims 8.39e+06 bytes that are not there"),
    "bomb": (changed(bomb), "can't be read as a run"),
    "many-texts": (changed(many_texts), "memory allocation failed"),
    "time": (changed(odd_time), "TypeTimeID"),
    "order-number": (attribute("parameters", "order", 3), "not iterable"),
    "order-empty": (attribute("parameters", "order", h5py.Empty("f8")), "not iterable"),
    "events-nan": (events(time=[np.nan]), "it says that 'a' happened at"),
    "events-late": (events(time=[1e300]), "it says that 'a' happened at"),
    "events-text": (events(time=["now"]), "not supported between"),
    "events-short": (events(time=[1.0, 2.0]), "shorter"),
    "events-one": (events(time=1.0), "not iterable"),
    "events-escapes": (events(what=[ESCAPES]), "\\x1b[2J\\x1b]0;owned"),
}
"""Files that are refused where all of them is asked for, and what is said of them."""


# Journals


def forged(*entries: list[Any]) -> Make:
    """Return what makes a journal whose checksums are right: they keep no secret."""

    def make(path: Path) -> None:
        data, chain = MAGIC, crc32(MAGIC)
        for payload in map(pack, entries):
            length = len(payload).to_bytes(4, "little")
            head = length + crc32(length, chain).to_bytes(4, "little")
            chain = crc32(payload, crc32(head, chain))
            data += head + payload + chain.to_bytes(4, "little")
        path.with_suffix(".journal").write_bytes(data)

    return make


def begun(*then: list[Any], **head: Any) -> Make:
    """Return what makes a journal that begins as it should, but for some values of its head; None leaves one out."""
    content = {name: value for name, value in (HEAD | head).items() if value is not None}
    return forged(["begun", 1e9, content], *then)


def stepping(*values: Any, table: str = "steps", field: str = "x") -> Make:
    """Return what makes a journal with a step for each value."""
    return begun(
        ["declared", 1e9, table, "Step", [[field, "A", ""]]], *(["yielded", 1e9, table, {field: v}] for v in values)
    )


def long_claim(path: Path) -> None:
    forged(["begun", 1e9, HEAD])(path)
    journal = path.with_suffix(".journal")
    data = journal.read_bytes()
    chain = int.from_bytes(data[-4:], "little")
    length = (2**32 - 1).to_bytes(4, "little")
    journal.write_bytes(data + length + crc32(length, chain).to_bytes(4, "little") + bytes(100))


def long_hole(path: Path) -> None:
    forged(["begun", 1e9, HEAD])(path)
    with path.with_suffix(".journal").open("r+b") as file:
        file.truncate(2**26)


NESTED: Any = 1.0
for _ in range(400):
    NESTED = [NESTED]
NAMES = ["", ".", "..", "/", "/entry/state", "../x", "a/b", "./events", "protocol", "events", "journal", "end_time",
         "\0", "a\0b", ESCAPES, "\udc80", "x" * 100_000]  # fmt: skip
VALUES: dict[str, list[Any]] = {
    "shapes": [np.zeros(2), np.zeros(3)], "kinds": [1.0, "a"], "text-number": ["a", 1.0, None, [1]], "none": [None],
    "times": [np.zeros(2, "M8[s]")], "map": [{"a": 1}], "axes": [np.zeros([1] * 60)], "bytes": [b"a", b"b"],
    "claims": [np.zeros((0, 2**40))], "nested": [NESTED],
    "ragged": [[[1], [1, 2]]], "big": [2**70, 1], "wide": [np.zeros((4, 0))], "long": ["x" * 10**6, "y"],
}  # fmt: skip

JOURNALS: dict[str, Make] = {
    "empty": forged(),
    "no-begin": forged(["noted", 1e9, "a", "b"]),
    "identified-first": forged(["identified", 1e9, {"a": "b"}], ["begun", 1e9, HEAD]),
    "begun-twice": begun(["begun", 1e9, HEAD]),
    "arity": begun(["ended", 1e9, "finished"]),
    "fields": begun(["ended", 1e9, 1, 2]),
    "no-entry": begun(["owned", 1e9]),
    "late": begun(["ended", 1e300, "finished", ""]),
    "never": begun(["ended", float("nan"), "finished", ""]),
    "event-late": begun(["noted", 1e300, "a", "b"]),
    "state": begun(["ended", 1e9, "running", ESCAPES]),
    "resumed": begun(["resumed", 1e9, {"provenance": 1}]),
    "undeclared": begun(["yielded", 1e9, "steps", {"x": 1.0}]),
    "declared-odd": begun(["declared", 1e9, "steps", "S", [1]], ["yielded", 1e9, "steps", {"x": 1.0}]),
    "declared-unit": begun(["declared", 1e9, "steps", "S", [["x", 3, 4]]], ["yielded", 1e9, "steps", {"x": 1.0}]),
    "no-fields": begun(["declared", 1e9, "steps", "S", []], ["yielded", 1e9, "steps", {}]),
    "other-fields": begun(
        ["declared", 1e9, "steps", "S", []], ["yielded", 1e9, "steps", {"x": 1.0}], ["yielded", 1e9, "steps", {"y": 1}]
    ),
    "many-tables": begun(
        *(e for k in range(100) for e in (["declared", 1e9, f"t{k}", "T", []], ["yielded", 1e9, f"t{k}", {"x": 1.0}]))
    ),
    "many-parameters": begun(parameters={f"x{k}": k for k in range(10_000)}),
    "many-words": begun(["noted", 1e9, "a", "x" * 10**6], *(["noted", 1e9, "a", "b"] for _ in range(5000))),
    "parts": begun(["identified", 1e9, {ESCAPES: ESCAPES, "../..": "x"}]),
    "parts-empty": begun(["identified", 1e9, {"": ""}]),
    "parts-path": begun(["identified", 1e9, {"/entry/note": "x"}]),
    "parts-odd": begun(["identified", 1e9, {1: 2}]),
    "events": begun(["noted", 1e9, ESCAPES, ESCAPES], ["left", 1e9, ESCAPES, ESCAPES, False]),
    "long-claim": long_claim,
    "long-hole": long_hole,
    **{f"without-{name}": begun(**{name: None}) for name in HEAD},
    **{f"odd-{name}": begun(**{name: [{"a": ESCAPES}]}) for name in HEAD},
    **{f"number-{name}": begun(**{name: 3}) for name in HEAD},
    **{f"table-{k}": stepping(1.0, table=name) for k, name in enumerate(NAMES)},
    **{f"field-{k}": stepping(1.0, field=name) for k, name in enumerate(NAMES)},
    **{f"parameter-{k}": begun(parameters={name: 1.0}) for k, name in enumerate(NAMES)},
    **{f"value-{name}": stepping(*values) for name, values in VALUES.items()},
    **{f"parameter-{name}": begun(parameters={"x": values[0]}) for name, values in VALUES.items()},
}


# What becomes of them

COMMANDS = """
import io, json, os, resource, sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
os.environ["QT_QPA_PLATFORM"] = "offscreen"
from labneuro.cli import main

def say(command, path):
    out, complaint = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(complaint):
        status = main([*command.split(), str(path), *(["--out", f"{path}.png"] if command == "plot" else [])])
    return [status, out.getvalue(), complaint.getvalue()]

folder, cases = Path(sys.argv[1]), json.loads(sys.argv[2])
for command in ("show", "plot"):  # what they load is not to be counted
    assert not say(command, folder / "good.h5")[0]
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**29, used + 2**29))
for case, command in cases:
    print(json.dumps([case, command, *say(command, folder / "hostile" / f"{case}.h5")]), flush=True)
"""

CASES: dict[str, Make] = READ | {name: make for name, (make, _) in REFUSED.items()} | JOURNALS
ASKED = [
    *((name, command) for name in (*READ, *REFUSED) for command in ("show", "show --json", "plot")),
    *((name, "show") for name in JOURNALS),
    *((f"value-{name}", "plot") for name in VALUES),
]


def snapshot(folder: Path) -> dict[str, int]:
    return {str(path): zlib.crc32(path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with good.h5, a secret and, in hostile/, all cases."""
    folder = tmp_path_factory.mktemp("hostile")
    for name in ("hostile", "temporary"):
        (folder / name).mkdir()
    for near in (folder, folder / "hostile"):
        changed(lambda entry, _: entry["parameters"].create_dataset("key", data=SECRET))(near / "secret.h5")
        (near / "secret.txt").write_text(SECRET)
    changed(lambda entry, folder: None)(folder / "good.h5")
    assert len(CASES) == len(READ) + len(REFUSED) + len(JOURNALS)
    for name, make in CASES.items():
        make(folder / "hostile" / f"{name}.h5")
    return folder


@pytest.fixture(scope="module")
def said(place: Path) -> dict[tuple[str, str], tuple[int, str, str]]:
    """What the commands say, by case and command: exit status, output, complaint. They get 512 MB and not more."""
    before = snapshot(place)
    process = subprocess.run(  # noqa: S603
        [sys.executable, "-W", "ignore", "-c", COMMANDS, str(place), json.dumps(ASKED)],
        cwd=place / "hostile",
        env={**os.environ, "TMPDIR": str(place / "temporary")},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [json.loads(line) for line in process.stdout.splitlines()]
    assert process.returncode == 0, f"it died behind {lines[-1:]}: {process.stderr}"
    after = {path: content for path, content in snapshot(place).items() if not path.endswith(".h5.png")}
    assert after == before
    return {(case, command): (status, out, complaint) for case, command, status, out, complaint in lines}


@pytest.mark.skipif(sys.platform != "linux", reason="memory can't be limited here")
@pytest.mark.parametrize(("case", "command"), ASKED)
def test_a_run_from_a_stranger_is_read_or_refused_in_one_line(
    said: dict[tuple[str, str], tuple[int, str, str]], case: str, command: str
) -> None:
    status, out, complaint = said[case, command]
    assert SECRET not in out + complaint
    if command != "show --json":  # JSON is for programs
        assert all(c.isprintable() or c == "\n" for c in out + complaint)
    if status:
        assert (out, complaint.count("\n")) == ("", 1)
        assert complaint.startswith("labneuro: ")
        assert case not in READ
        if case in REFUSED:
            assert REFUSED[case][1] in complaint
        assert status == 2 or (command == "plot" and "there is nothing to draw" in complaint)
        return
    assert complaint == ""
    assert case not in REFUSED or command != "show"  # the others need not read what is wrong with it
    if command == "show":
        assert out.startswith("Run\n")
    elif command == "show --json":
        found = json.loads(out)
        state = "interrupted" if case in {"escapes", "state-array"} else "finished"
        assert (found["steps"], found["last"]["train"], found["state"]) == (3, 0.5, state)


def test_nothing_outside_a_file_is_read(place: Path) -> None:
    run = RunFile(place / "hostile" / "links.h5")
    assert run.parameters == {"rate": 1.0}
    assert list(run.steps) == ["step", "train", "word"]
    assert list(run.records) == ["map"]


@pytest.mark.parametrize("case", JOURNALS)
def test_a_run_file_is_made_of_a_journal_from_a_stranger_or_none(place: Path, tmp_path: Path, case: str) -> None:
    path = tmp_path / "a.h5"
    shutil.copy(place / "hostile" / f"{case}.journal", tmp_path / "a.journal")
    try:
        damage = completed(RunFile(path))
    except StoreError:
        assert case not in {"parts", "arity", "table-5", "value-bytes"}
        assert [file.name for file in tmp_path.iterdir()] == ["a.journal"]
        return
    assert sorted(file.name for file in tmp_path.iterdir()) == (["a.h5", "a.journal"] if damage else ["a.h5"])
    with RunFile(path).reader() as reader:
        assert len(list(reader)) > 0
