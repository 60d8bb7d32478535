"""The stack and the memory of a pickle."""

from services.importer.inspection.calls import LOADS_BYTES, WRAPPERS
from services.importer.inspection.reading import TooMuch, Unreadable
from services.importer.inspection.trust import Trust
from services.importer.inspection.values import MARK, Value
from services.importer.inspection.walk import Walk

_MOST_MEMORIES = 8_000_000


class Stack:
    """Values, and marks among them. What breaks the rules raises Unreadable, or IndexError where the stack is empty."""

    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        self._stack: list[Value] = []
        self._memo: dict[int, Value] = {}
        self._guarded = False
        """Whether a name was imported that must not be passed on."""

    def _pop(self) -> Value:
        value = self._stack.pop()
        if value is MARK:
            raise Unreadable("takes a mark for a value")
        self._check_passed_on(value)
        return value

    def _check_passed_on(self, value: Value) -> None:
        """Two names are harmless only where they are called at once: what they do then can be followed."""
        if value is LOADS_BYTES:
            self._walk.note_import(LOADS_BYTES, Trust.DANGEROUS)
        elif self._guarded and value in WRAPPERS:
            self._walk.suspect("passes on the class that joblib reads arrays with")

    def _pop_items(self) -> list[Value]:
        """What lies above the last mark, and the mark."""
        stack = self._stack
        place = len(stack) - 1
        while stack[place] is not MARK:
            place -= 1
            if place < 0:
                raise Unreadable("has no mark where one is needed")
        items = stack[place + 1 :]
        del stack[place:]
        if self._guarded:
            for item in items:
                self._check_passed_on(item)
        return items

    def _push(self, value: Value) -> None:
        self._stack.append(value)

    def _remember(self, place: int) -> None:
        if len(self._memo) >= _MOST_MEMORIES:
            raise TooMuch("remembers more values than can be followed")
        self._memo[place] = self._stack[-1]

    def _recall(self, place: int) -> None:
        if place not in self._memo:
            raise Unreadable("recalls what it never remembered")
        self._stack.append(self._memo[place])
