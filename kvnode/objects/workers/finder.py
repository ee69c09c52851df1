"""
Where `import workers` finds what is in kvnode.objects.workers.importable.

Python asks its finders one after another.  Ours is the last: it is asked only for what
nobody else has, so a module of that name that is installed, or lies beside a class, is
never hidden.  It is there in processes that load classes of objects, from then on,
since their methods may import, too.

Source: Python's language reference, "The import system", section 5.3.
"""

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import ModuleType
from typing import Final

from kvnode.objects.workers import importable

NAME: Final = "workers"


class WorkersFinder(MetaPathFinder, Loader):
    """Finds and fills the module `workers`."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Return how to load `workers`; None of all others."""
        del path, target
        return spec_from_loader(NAME, self) if fullname == NAME else None

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave it to Python to make an empty module."""

    def exec_module(self, module: ModuleType) -> None:
        """Fill the module."""
        for name in (*importable.__all__, "__all__", "__doc__", "__getattr__"):
            setattr(module, name, getattr(importable, name))


def offer() -> None:
    """Let `import workers` find ours where there is no other, from now on."""
    if not any(isinstance(each, WorkersFinder) for each in sys.meta_path):
        sys.meta_path.append(WorkersFinder())
