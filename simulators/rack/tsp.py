"""Test Script Processor: instruments whose messages are Lua over tables of attributes and functions.

A message that begins with a star is a common command, all others are chunks of Lua. A chunk runs until it has to wait,
and goes on when the clock is there. Of Lua there is only what can't leave the instrument: no files, no modules, 64 MB.

Written after the reference manuals of the 2600B. Its Lua is 5.0, this one 5.4. Stand-ins: an attribute that refuses its
value ends the chunk; scripts and variables are lost where a run is resumed in another process.
"""

import logging
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from lupa.lua54 import LuaRuntime, lua_type

from labneuro.clock import Clock
from labneuro.simulators.rack.instrument import Instrument, Session
from labneuro.simulators.rack.scpi import Program, ScpiError

_log = logging.getLogger(__name__)

_MEMORY = 2**26
_LONGEST = 10_000_000  # instructions between two waits

_PRELUDE = """
local get, set, call, write, nodes, functions, constants, longest = ...
local hook, create, resume, status = debug.sethook, coroutine.create, coroutine.resume, coroutine.status
local yield, load, pack = coroutine.yield, load, table.pack
local env, paths = {}, {}

local function checked(good, ...)
    if not good then error("", 0) end
    return ...
end

local function finished(good, seconds, ...)
    if not good then error("", 0) end
    if seconds > 0 then yield(seconds) end
    return ...
end

local function place(path)
    local parent, name = path:match("^(.*)%.([^.]+)$")
    local at = env
    for word in (parent or ""):gmatch("[^.]+") do at = rawget(at, word) end
    return at, name or path
end

for _, path in ipairs(nodes) do
    local at, name = place(path)
    local node = setmetatable({}, {
        __index = function(_, key) return checked(get(path .. "." .. tostring(key))) end,
        __newindex = function(_, key, value) checked(set(path .. "." .. tostring(key), value)) end,
    })
    paths[node] = path
    rawset(at, name, node)
end
for _, path in ipairs(functions) do
    local at, name = place(path)
    rawset(at, name, function(...)
        local given = pack(...)
        for k = 1, given.n do given[k] = paths[given[k]] or given[k] end
        return finished(call(path, table.unpack(given, 1, given.n)))
    end)
end
for path, value in pairs(constants) do
    local at, name = place(path)
    rawset(at, name, value)
end
env.print = function(...) checked(write(...)) end
for _, name in ipairs({"assert", "error", "getmetatable", "ipairs", "next", "pairs", "pcall", "select", "setmetatable",
                       "tonumber", "tostring", "type"}) do
    env[name] = _G[name]
end
env._G, env.unpack = env, table.unpack
for _, name in ipairs({"math", "string", "table"}) do
    env[name] = {}
    for key, value in pairs(_G[name]) do env[name][key] = value end
end

return function(chunk)
    local compiled, wrong = load(chunk, "=TSP", "t", env)
    if not compiled then return nil, wrong end
    local thread = create(function()
        hook(function() error("script ran too long") end, "", longest)
        compiled()
    end)
    return function()
        local good, value = resume(thread)
        return good, status(thread) == "dead", value
    end
end
"""


@dataclass(frozen=True)
class Attribute:
    """An attribute and what it takes: numbers from `low` to `high` or of `choices`, or text where the default is."""

    default: float | str = 0.0
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[float, ...] = ()


class _Script:
    """A chunk, and what goes on with it once it has been started."""

    def __init__(self, chunk: str) -> None:
        self.chunk = chunk
        self.go_on: Any = None


class TspInstrument(Instrument):
    """An instrument that runs scripts; a model lists its attributes by path, and methods by the path of a function.

    A method gets what the script gave and returns a tuple: the seconds it takes, and its results.
    """

    attributes: ClassVar[dict[str, Attribute]] = {
        "format.data": Attribute(1, choices=(1, 2, 3)),
        "format.byteorder": Attribute(1, choices=(0, 1)),
        "format.asciiprecision": Attribute(6, 1, 16),
        "status.standard.enable": Attribute(0, 0, 255),
        "status.request_enable": Attribute(0, 0, 255),
    }
    functions: ClassVar[dict[str, str]] = {
        "delay": "_delay",
        "waitcomplete": "_wait_complete",
        "reset": "_reset_all",
        "printbuffer": "_print_buffer",
        "printnumber": "_print_numbers",
        "errorqueue.next": "_next_error",
        "errorqueue.clear": "_clear_errors",
    }
    constants: ClassVar[dict[str, float]] = {"format.ASCII": 1.0, "format.SREAL": 2.0, "format.REAL32": 2.0} | {
        "format.REAL": 3.0, "format.REAL64": 3.0, "format.DREAL": 3.0, "format.NORMAL": 0.0, "format.BIGENDIAN": 0.0,
        "format.SWAPPED": 1.0, "format.LITTLEENDIAN": 1.0,
    }  # fmt: skip
    computed: ClassVar[dict[str, str]] = {"status.standard.event": "_take_events", "errorqueue.count": "_count_errors"}
    """Attributes that are only read, and the methods that say what they are."""

    def __init__(self, clock: Clock) -> None:
        self._replies: list[str] = []
        self._loading: list[str] | None = None
        super().__init__(clock)

    def power_on(self) -> None:
        """Start with no script and no variable."""
        super().power_on()
        self._loading = None
        paths = [*self.attributes, *self.functions, *self.constants, *self.computed]
        nodes = sorted({path[:at] for path in paths for at, sign in enumerate(path) if sign == "."})
        lua: Any = LuaRuntime(
            register_eval=False,
            register_builtins=False,
            unpack_returned_tuples=True,
            attribute_filter=_no_attribute,
            max_memory=_MEMORY,
        )
        prelude = lua.compile(_PRELUDE)
        tables = lua.table_from(nodes), lua.table_from(list(self.functions)), lua.table_from(self.constants)
        asked = (
            self._guarded(self.get),
            self._guarded(self.set),
            self._guarded(self._call),
            self._guarded(self._print),
        )
        self._start = prelude(*asked, *tables, _LONGEST)
        self._table_from = lua.table_from

    def handle(self, session: Session, message: bytes) -> None:
        """Execute a message; what it prints is in `session.output`, at once or after `proceed`. Never raises."""
        text = message.decode("latin-1").strip()
        if text.startswith("*"):
            super().handle(session, message)
            return
        for chunk in self._chunks(text):
            self._waiting.append((session, _Script(chunk), []))  # type: ignore[arg-type]
        self.proceed()

    def get(self, path: str) -> tuple[Any, ...]:
        """Return the value of an attribute. Raises ScpiError for one that is not there."""
        if path in self.computed:
            return (getattr(self, self.computed[path])(path),)
        attribute = self.attributes.get(path)
        return (None if attribute is None else self.values.get((path, ()), attribute.default),)

    def set(self, path: str, value: object) -> tuple[Any, ...]:
        """Set an attribute. Raises ScpiError for a value that it does not take, or where there is none."""
        attribute = self.attributes.get(path)
        if attribute is None:
            raise ScpiError(-286, path, text=f"TSP Runtime error: attribute {path} can't be set")
        if isinstance(value, bool):
            value = float(value)
        if isinstance(attribute.default, str) != isinstance(value, str) or not isinstance(value, int | float | str):
            raise ScpiError(-104, path)
        if isinstance(value, int | float):
            value = float(value)
            if attribute.choices and value not in attribute.choices:
                raise ScpiError(-224, path)
            if not value <= attribute.high:
                raise ScpiError(1102, path, text="Parameter too big")
            if not value >= attribute.low:
                raise ScpiError(1103, path, text="Parameter too small")
        self.values[path, ()] = value
        return ()

    def _chunks(self, text: str) -> Iterator[str]:
        """Yield what a message holds: all of it, or each line where a script is loaded, which is a chunk as a whole."""
        if self._loading is None and not text.startswith(("loadandrunscript", "loadscript")):
            yield text
            return
        for line in text.splitlines():
            if line.startswith(("loadandrunscript", "loadscript")):
                self._loading = []
            elif self._loading is None:
                yield line
            elif line.strip() == "endscript":
                script, self._loading = "\n".join(self._loading), None
                yield script
            else:
                self._loading.append(line)

    def _execute(self, session: Session, program: "Program | _Script", replies: list[str]) -> None:
        if not isinstance(program, _Script):
            super()._execute(session, program, replies)
            return
        self._replies = replies
        if program.go_on is None:
            program.go_on = self._start(program.chunk)
            if isinstance(program.go_on, tuple):
                self.status.report(ScpiError(-285, text=f"TSP Syntax error: {program.go_on[1]}"))
                return
        good, over, value = program.go_on()
        if not good and value:
            self.status.report(ScpiError(-286, text=f"TSP Runtime error: {value}"))
        if not over:
            self.wait(value)
            self._waiting.appendleft((session, program, replies))  # type: ignore[arg-type]
            return
        session.output += "".join(f"{line}\n" for line in replies).encode("latin-1")
        self.look(session)

    def _guarded(self, method: Any) -> Any:
        """Return a function for Lua: True and what `method` returns, or False, and its error is in the queue."""

        def function(*given: Any) -> tuple[Any, ...]:
            try:
                return (True, *method(*given))
            except ScpiError as error:
                self.status.report(error)
            except (TypeError, ValueError) as error:
                self.status.report(ScpiError(-286, text=f"TSP Runtime error: {error}"))
            except Exception:  # noqa: BLE001  as in every instrument
                _log.exception("%s failed", self.identity)
                self.status.report(ScpiError(-310))
            return (False,)

        return function

    def _call(self, path: str, *given: Any) -> tuple[Any, ...]:
        return getattr(self, self.functions[path])(*given)

    def _print(self, *values: Any) -> tuple[Any, ...]:
        self._replies.append("\t".join(map(self._written, values)))
        return ()

    def _written(self, value: Any) -> str:
        if value is None:
            return "nil"
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, int | float):
            return f"{value:.{int(self.get('format.asciiprecision')[0]) - 1}e}"
        return value if isinstance(value, str) else str(lua_type(value))

    def _delay(self, seconds: float) -> tuple[Any, ...]:
        return (float(seconds),)

    def _wait_complete(self, *_: Any) -> tuple[Any, ...]:
        return (max(0.0, self._busy_until - self.clock.now()),)

    def _reset_all(self, *_: Any) -> tuple[Any, ...]:
        self.reset()
        return (0.0,)

    def _next_error(self) -> tuple[Any, ...]:
        code, text = self.status.next_error()
        return 0.0, float(code), text if code else "Queue Is Empty", 20.0 if code else 0.0, float(bool(code))

    def _clear_errors(self) -> tuple[Any, ...]:
        self.status.errors.clear()
        return (0.0,)

    def _take_events(self, path: str) -> float:
        return float(self.status.take_events())

    def _count_errors(self, path: str) -> float:
        return float(len(self.status.errors))

    def _print_numbers(self, *values: float) -> tuple[Any, ...]:
        kind = int(self.get("format.data")[0])
        if kind == 1:
            self._replies.append(", ".join(map(self._written, values)))
        else:
            order = "<" if self.get("format.byteorder")[0] else ">"
            data = struct.pack(f"{order}{len(values)}{'f' if kind == 2 else 'd'}", *values)
            self._replies.append("#0" + data.decode("latin-1"))
        return (0.0,)

    def _print_buffer(self, first: float, last: float, *tables: Any) -> tuple[Any, ...]:
        columns = [[table[k] for k in range(int(first), int(last) + 1)] for table in tables]
        if any(value is None for column in columns for value in column):
            raise ScpiError(-222, "printbuffer")
        return self._print_numbers(*(value for row in zip(*columns, strict=True) for value in row))


def _no_attribute(*what: object) -> str:
    raise AttributeError("a script reaches attributes of instruments only")
