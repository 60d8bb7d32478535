"""What one pickle was found to do and to hold."""

from collections import Counter
from dataclasses import dataclass, field

from services.importer.inspection.trust import Trust
from services.importer.inspection.values import Blob, Imported, Value

_MOST_NOTED = 256


@dataclass(slots=True)
class Walk:
    """Filled while a pickle is walked; what was noted before a failure stays."""

    imports: dict[Imported, Trust] = field(default_factory=dict)
    suspicions: dict[str, None] = field(default_factory=dict)
    """What it does that no list can judge, in the order it was met."""
    called: bool = False
    """Whether something that is not known to be harmless would have run by now."""
    instructions: int = 0
    tensors: int = 0
    parameters: int = 0
    dtypes: Counter[str] = field(default_factory=Counter)
    estimator_version: str | None = None
    blobs: list[Blob] = field(default_factory=list)
    """Bytes that loading would unpickle in turn."""
    arrays: int = 0
    """Arrays whose bytes joblib puts between the instructions."""
    nested: int = 0
    """Arrays of objects, for which joblib puts a pickle of its own there."""
    classes: dict[Imported, None] = field(default_factory=dict)
    """What was instantiated, first things first."""
    result: Value = None

    def note_import(self, imported: Imported, trust: Trust) -> None:
        # Beyond the bound the worst are still counted: loading needs only one.
        if len(self.imports) < _MOST_NOTED or trust > Trust.HARMLESS:
            self.imports[imported] = trust
        if len(self.imports) > 2 * _MOST_NOTED:
            self._forget_one()

    def _forget_one(self) -> None:
        least = min(self.imports, key=lambda known: self.imports[known])
        del self.imports[least]

    def suspect(self, suspicion: str) -> None:
        if len(self.suspicions) < _MOST_NOTED:
            self.suspicions[suspicion] = None

    def note_class(self, imported: Imported) -> None:
        if len(self.classes) < _MOST_NOTED:
            self.classes[imported] = None

    @property
    def worst(self) -> Trust:
        imported = max(self.imports.values(), default=Trust.HARMLESS)
        return max(imported, Trust.UNKNOWN) if self.suspicions else imported

    def doubtful(self) -> tuple[str, ...]:
        """The imports that are not known to be harmless, worst first."""
        found = [(trust, imported) for imported, trust in self.imports.items() if trust]
        return tuple(str(imported) for _, imported in sorted(found, key=lambda pair: (-pair[0], str(pair[1]))))
