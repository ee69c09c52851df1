"""Finding the classes of objects that a node is told to serve."""

import importlib
import sys
from collections.abc import Iterable
from pathlib import Path

from kvnode.errors import ConfigError, InvalidArgumentError
from kvnode.objects.durable_object import DurableObject
from kvnode.objects.object_id import checked_class
from kvnode.objects.private_map import Storage


def load_classes(names: Iterable[str]) -> dict[str, type[DurableObject]]:
    """
    Return classes by what clients call them; the built-in `Storage` is among them.

    Args:
        names: `module:Class` each, or `Storage`.  Modules are looked for in the
            directory in which the node was started, too.

    Raises:
        ConfigError: One is not there, or is no class of objects, or two have the
            same name; or the module failed to load.
    """
    classes: dict[str, type[DurableObject]] = {"Storage": Storage}
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    for name in names:
        if name != "Storage":
            found = _load(name)
            if found.__name__ in classes:
                msg = f"objects: {name}: there is another class {found.__name__!r}"
                raise ConfigError(msg)
            classes[found.__name__] = found
    return classes


def _load(name: str) -> type[DurableObject]:
    module_name, separator, class_name = name.partition(":")
    if not separator or not module_name:
        msg = f"objects: {name!r} must be module:Class, such as shop:Counter"
        raise ConfigError(msg)
    try:
        checked_class(class_name)
        module = importlib.import_module(module_name)
    except InvalidArgumentError as error:
        msg = f"objects: {name}: {error}"
        raise ConfigError(msg) from error
    except Exception as error:
        msg = f"objects: module {module_name!r} cannot be loaded: {error!r}"
        raise ConfigError(msg) from error
    found = getattr(module, class_name, None)
    if not isinstance(found, type) or not issubclass(found, DurableObject):
        what = "has no" if found is None else "has another kind of"
        msg = (
            f"objects: module {module_name!r} {what} {class_name!r}; it takes a class"
            " that is derived from kvnode.objects.DurableObject"
        )
        raise ConfigError(msg)
    return found
