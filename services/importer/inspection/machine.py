"""A machine that follows the instructions of a pickle without doing any of them.

It knows where each import comes from, through the stack and the memo; what it cannot follow it calls suspicious.
Long strings and bytes are passed over, so that memory grows with the number of objects and not with their size.
"""

import codecs
import re
import struct
import warnings
from collections.abc import Callable
from typing import ClassVar, Final

from services.importer.inspection.calls import LOADS_BYTES, WRAPPERS, Calls, NestedPickle
from services.importer.inspection.reading import LINE_BYTES, Stream, TooMuch, Unreadable
from services.importer.inspection.stack import Stack
from services.importer.inspection.trust import Trust, is_scripted, trust_in
from services.importer.inspection.values import MARK, OPAQUE, Blob, Imported, Mapping, Stored, Value
from services.importer.inspection.walk import Walk

# A forest of 1,000 trees has 50,000 instructions; a pickled dictionary of a million words has 6 million.
_MOST_INSTRUCTIONS = 100_000_000
_LARGEST_STACK = 2_000_000
_CHECKED_EACH = 4096
# Longer strings are no names; a longer tuple no shape.
_NAME_BYTES = 256
_LONGEST_TUPLE = 64
_DEEPEST = 4
_NAME: Final = re.compile(r"[^\W\d]\w*(\.\w+)*")
_I1, _I2, _I4, _I8 = (struct.Struct(layout) for layout in ("<B", "<H", "<i", "<Q"))
_U4 = struct.Struct("<I")


class _Stop(Exception):
    """The end of the pickle."""


class Machine(Stack):
    """Walks one pickle of a stream, and leaves the stream after its end.

    Args:
        with_arrays: take the bytes behind a joblib wrapper for an array, as joblib does.
        scripted: the pickle is read by TorchScript, whose own names are harmless.
    """

    def __init__(self, stream: Stream, walk: Walk, *, with_arrays: bool = True, scripted: bool = False) -> None:
        super().__init__(walk)
        self._stream = stream
        self._scripted = scripted
        self._calls = Calls(stream, walk, with_arrays=with_arrays)
        self._depth = 0
        self._frame_end = 0

    def run(self) -> None:
        """Follow the instructions to the end.

        Raises:
            Unreadable: they break the rules of pickles, or a limit.
        """
        read, table, walk = self._stream.read, self._TABLE, self._walk
        try:
            while code := read(1):
                walk.instructions += 1
                if not walk.instructions % _CHECKED_EACH:
                    self._check_limits()
                table.get(code[0], Machine._unheard_of)(self)
        except _Stop:
            return
        except IndexError as error:
            raise Unreadable("takes more values than there are") from error
        raise Unreadable("ends before its last instruction")

    def _check_limits(self) -> None:
        if self._walk.instructions > _MOST_INSTRUCTIONS or len(self._stack) > _LARGEST_STACK:
            raise TooMuch("has more instructions or values than can be followed")

    # Constants

    def _blob(self, layout: struct.Struct) -> None:
        """Bytes with their length before them; passed over."""
        (size_bytes,) = self._stream.unpack(layout)
        start = self._stream.tell()
        self._skip(size_bytes)
        self._push(Blob(start, size_bytes))

    def _skip(self, size_bytes: int) -> None:
        if size_bytes < 0:
            raise Unreadable("has a negative length")
        self._stream.skip(size_bytes)

    def _text(self, layout: struct.Struct) -> None:
        (size_bytes,) = self._stream.unpack(layout)
        if not 0 <= size_bytes <= _NAME_BYTES:
            self._skip(size_bytes)
            self._push(OPAQUE)
        else:
            self._push(self._stream.exactly(size_bytes).decode("utf-8", "replace"))

    def _line(self) -> str:
        return self._stream.line().decode("utf-8", "replace")

    def _quoted(self) -> None:
        """A string of protocol 0, in quotes and with escapes that may hide a name."""
        line = self._stream.line().strip()
        if len(line) < 2 or line[:1] not in b"'\"" or (line[-1:] != line[:1] and len(line) < LINE_BYTES - 1):  # noqa: PLR2004  # two quotes
            raise Unreadable("has a string without quotes")
        self._push(_decoded(lambda: _unescaped(line[1:-1])))

    def _raw_unicode(self) -> None:
        line = self._stream.line()
        self._push(_decoded(lambda: line.decode("raw-unicode-escape")))

    def _number_line(self) -> None:
        """`I01` and `I00` are truth values; that makes no difference here."""
        line = self._stream.line().rstrip(b"L")
        try:
            self._push(int(line) if len(line) < 32 else OPAQUE)  # noqa: PLR2004  # longer ones are no shape
        except ValueError as error:
            raise Unreadable("has a number that is none") from error

    def _number(self, layout: struct.Struct) -> None:
        self._push(self._stream.unpack(layout)[0])

    def _long(self, layout: struct.Struct) -> None:
        (size_bytes,) = self._stream.unpack(layout)
        if 0 <= size_bytes <= 16:  # noqa: PLR2004  # longer ones are no shape
            self._push(int.from_bytes(self._stream.exactly(size_bytes), "little", signed=True))
        else:
            self._skip(size_bytes)
            self._push(OPAQUE)

    def _float(self) -> None:
        self._stream.exactly(8)
        self._push(OPAQUE)

    def _float_line(self) -> None:
        self._stream.line()
        self._push(OPAQUE)

    # Collections

    def _tuple(self, count: int) -> None:
        items = tuple(self._pop() for _ in range(count))
        self._push(items[::-1])

    def _tuple_of_items(self) -> None:
        items = self._pop_items()
        self._push(tuple(items) if len(items) <= _LONGEST_TUPLE else OPAQUE)

    def _list_of_items(self) -> None:
        self._pop_items()
        self._push(OPAQUE)

    def _dict_of_items(self) -> None:
        items = self._pop_items()
        mapping = Mapping()
        self._push(mapping)
        self._enter(mapping, items)

    def _append(self) -> None:
        self._pop()

    def _extend(self) -> None:
        self._pop_items()

    def _set_item(self) -> None:
        value, key = self._pop(), self._pop()
        self._enter(self._stack[-1], [key, value])

    def _set_items(self) -> None:
        items = self._pop_items()
        self._enter(self._stack[-1], items)

    def _enter(self, target: Value, items: list[Value]) -> None:
        if isinstance(target, Imported):
            self._walk.suspect(f"changes {target}")
            self._walk.called = True
        self._calls.enter(target, items)

    # Imports and calls

    def _import(self, module: Value, name: Value) -> Imported | None:
        if not isinstance(module, str) or not isinstance(name, str):
            self._walk.suspect("imports a name that is made while it loads")
            return None
        if not _NAME.fullmatch(module) or not _NAME.fullmatch(name):
            self._walk.suspect("imports what is no name of Python")
        imported = Imported(module, name)
        trust = Trust.HARMLESS if self._scripted and is_scripted(module, name) else trust_in(module, name)
        if imported == LOADS_BYTES:
            self._guarded = True
            return LOADS_BYTES
        self._guarded = self._guarded or imported in WRAPPERS
        self._walk.note_import(imported, trust)
        return imported

    def _global(self) -> None:
        module, name = self._line(), self._line()
        self._push(self._import(module, name) or OPAQUE)

    def _stack_global(self) -> None:
        name, module = self._pop(), self._pop()
        self._push(self._import(module, name) or OPAQUE)

    def _instance(self) -> None:
        imported = self._import(self._line(), self._line())
        arguments = self._pop_items()
        self._push(self._calls.made(imported or OPAQUE, tuple(arguments[:_LONGEST_TUPLE])))

    def _object(self) -> None:
        items = self._pop_items()
        if not items:
            raise Unreadable("makes an object of nothing")
        self._push(self._calls.made(items[0], tuple(items[1:_LONGEST_TUPLE])))

    def _reduce(self) -> None:
        arguments = self._pop()
        function = self._stack.pop()
        self._push(self._calls.made(function, arguments))

    def _new_object(self) -> None:
        arguments = self._pop()
        function = self._stack.pop()
        self._push(self._calls.made(function, arguments))

    def _new_object_with_names(self) -> None:
        self._pop()
        self._new_object()

    def _build(self) -> None:
        state = self._pop()
        target = self._stack[-1]
        if isinstance(target, Imported):
            self._walk.suspect(f"changes {target}")
            self._walk.called = True
        arrays, end = self._walk.arrays, self._stream.tell()
        try:
            self._calls.build(target, state)
        except NestedPickle:
            self._nested()
        # joblib looks for an array behind the frame. Within a frame, it would read other bytes than were passed over here.
        if self._walk.arrays > arrays and end < self._frame_end:
            raise Unreadable("has an array within a frame")

    def _nested(self) -> None:
        """A pickle within the pickle, with a stack and a memory of its own."""
        if self._depth >= _DEEPEST:
            raise TooMuch("has pickles within pickles, deeper than can be followed")
        self._walk.nested += 1
        inner = Machine(self._stream, self._walk, scripted=self._scripted)
        inner._depth = self._depth + 1  # one of its own kind
        inner.run()

    def _persistent_line(self) -> None:
        self._line()
        self._push(OPAQUE)

    def _persistent(self) -> None:
        match self._pop():
            case ("storage", Imported() as storage, *_):
                self._push(Stored(storage.name))
            case _:
                self._push(OPAQUE)

    def _extension(self, layout: struct.Struct) -> None:
        self._stream.unpack(layout)
        self._walk.suspect("imports by a number of the extension registry")
        self._walk.called = True
        self._push(OPAQUE)

    # Bookkeeping

    def _protocol(self) -> None:
        if self._stream.exactly(1)[0] > 5:  # noqa: PLR2004  # the newest there is
            raise Unreadable("is of a protocol after 5")

    def _frame(self) -> None:
        (size_bytes,) = self._stream.unpack(_I8)
        self._frame_end = self._stream.tell() + size_bytes

    def _stop(self) -> None:
        self._walk.result = self._pop()
        raise _Stop

    def _mark(self) -> None:
        self._push(MARK)

    def _pop_one(self) -> None:
        if self._stack[-1] is MARK:
            self._stack.pop()
        else:
            self._pop()

    def _duplicate(self) -> None:
        self._push(self._stack[-1])

    def _put_line(self) -> None:
        self._remember(_index(self._line()))

    def _get_line(self) -> None:
        self._recall(_index(self._line()))

    def _put(self, layout: struct.Struct) -> None:
        self._remember(self._stream.unpack(layout)[0])

    def _get(self, layout: struct.Struct) -> None:
        self._recall(self._stream.unpack(layout)[0])

    def _memoize(self) -> None:
        self._remember(len(self._memo))

    def _buffer(self) -> None:
        self._push(OPAQUE)

    def _read_only(self) -> None:
        """Says something of the value on top."""

    def _unheard_of(self) -> None:
        raise Unreadable("has an instruction that pickles do not have")

    _TABLE: ClassVar[dict[int, Callable[["Machine"], None]]] = {}
    """Instruction → what follows it. Filled below."""


def _with(method: Callable[[Machine, struct.Struct], None], layout: struct.Struct) -> Callable[[Machine], None]:
    return lambda machine: method(machine, layout)


def _giving(value: Callable[[], Value]) -> Callable[[Machine], None]:
    return lambda machine: machine._push(value())  # the machine's own table


def _taking(count: int) -> Callable[[Machine], None]:
    return lambda machine: machine._tuple(count)  # the machine's own table


def _index(line: str) -> int:
    try:
        return int(line)
    except ValueError as error:
        raise Unreadable("remembers at a place that is no number") from error


def _unescaped(line: bytes) -> str:
    if b"\\" in line:
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # of escapes that mean nothing
            line = codecs.escape_decode(line)[0]
    return line.decode("latin-1")


def _decoded(decode: Callable[[], str]) -> Value:
    """A text where it may be a name."""
    try:
        text = decode()
    except ValueError:
        return OPAQUE
    return text if len(text) <= _NAME_BYTES else OPAQUE


# ruff: noqa: SLF001  # from here on: the machine's own table
Machine._TABLE.update(
    {
        # stack and memory
        ord("("): Machine._mark,
        ord("."): Machine._stop,
        ord("0"): Machine._pop_one,
        ord("1"): Machine._extend,
        ord("2"): Machine._duplicate,
        ord("p"): Machine._put_line,
        ord("q"): _with(Machine._put, _I1),
        ord("r"): _with(Machine._put, _U4),
        ord("g"): Machine._get_line,
        ord("h"): _with(Machine._get, _I1),
        ord("j"): _with(Machine._get, _U4),
        0x94: Machine._memoize,
        0x80: Machine._protocol,
        0x95: Machine._frame,
        # what stands for itself
        ord("N"): _giving(lambda: None),
        0x88: _giving(lambda: True),
        0x89: _giving(lambda: False),
        ord("I"): Machine._number_line,
        ord("L"): Machine._number_line,
        ord("J"): _with(Machine._number, _I4),
        ord("K"): _with(Machine._number, _I1),
        ord("M"): _with(Machine._number, _I2),
        0x8A: _with(Machine._long, _I1),
        0x8B: _with(Machine._long, _I4),
        ord("F"): Machine._float_line,
        ord("G"): Machine._float,
        ord("S"): Machine._quoted,
        ord("V"): Machine._raw_unicode,
        # Strings of Python 2: text, for what loads them
        ord("T"): _with(Machine._text, _I4),
        ord("U"): _with(Machine._text, _I1),
        ord("X"): _with(Machine._text, _U4),
        0x8C: _with(Machine._text, _I1),
        0x8D: _with(Machine._text, _I8),
        ord("B"): _with(Machine._blob, _U4),
        ord("C"): _with(Machine._blob, _I1),
        0x8E: _with(Machine._blob, _I8),
        0x96: _with(Machine._blob, _I8),
        0x97: _giving(lambda: OPAQUE),
        0x98: Machine._read_only,
        # several values in one
        ord(")"): _giving(tuple),
        ord("t"): Machine._tuple_of_items,
        0x85: _taking(1),
        0x86: _taking(2),
        0x87: _taking(3),
        ord("]"): _giving(lambda: OPAQUE),
        0x8F: _giving(lambda: OPAQUE),
        ord("l"): Machine._list_of_items,
        0x91: Machine._list_of_items,
        ord("a"): Machine._append,
        ord("e"): Machine._extend,
        0x90: Machine._extend,
        ord("}"): _giving(Mapping),
        ord("d"): Machine._dict_of_items,
        ord("s"): Machine._set_item,
        ord("u"): Machine._set_items,
        # what reaches out of the pickle
        ord("c"): Machine._global,
        0x93: Machine._stack_global,
        ord("i"): Machine._instance,
        ord("o"): Machine._object,
        ord("R"): Machine._reduce,
        0x81: Machine._new_object,
        0x92: Machine._new_object_with_names,
        ord("b"): Machine._build,
        ord("P"): Machine._persistent_line,
        ord("Q"): Machine._persistent,
        0x82: _with(Machine._extension, _I1),
        0x83: _with(Machine._extension, _I2),
        0x84: _with(Machine._extension, _I4),
    }
)
