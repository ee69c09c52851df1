"""Finding the classes of objects that a node is told to serve."""

import importlib
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kvnode.errors import ConfigError, InvalidArgumentError
from kvnode.objects.durable_object import DurableObject
from kvnode.objects.object_id import checked_class
from kvnode.objects.private_map import Storage
from kvnode.objects.workers.finder import offer
from kvnode.objects.workers.hosted_object import hosted, is_written_for_workers


def load_classes(
    names: Iterable[str], variables: Mapping[str, Any] | None = None
) -> dict[str, type[DurableObject]]:
    """
    Return classes by what clients call them; the built-in `Storage` is among them.

    Args:
        names: `module:Class` each, or `Storage`.  Modules are looked for in the
            directory in which the node was started, too.
        variables: What those that are written for Cloudflare find in `env`.

    Raises:
        ConfigError: One is not there, or is no class of objects, or two have the
            same name; or the module failed to load.
    """
    classes: dict[str, type[DurableObject]] = {"Storage": Storage}
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    offer()
    for name in names:
        if name != "Storage":
            found = _load(name)
            if is_written_for_workers(found):
                found = hosted(found, classes=classes, variables=variables or {})
            if found.__name__ in classes:
                msg = f"objects: {name}: there is another class {found.__name__!r}"
                raise ConfigError(msg)
            classes[found.__name__] = found
    return classes


def _load(name: str) -> type[Any]:
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
    if not is_written_for_workers(found) and not (
        isinstance(found, type) and issubclass(found, DurableObject)
    ):
        what = "has no" if found is None else "has another kind of"
        msg = (
            f"objects: module {module_name!r} {what} {class_name!r}; it takes a class"
            " that is derived from kvnode.objects.DurableObject or"
            " workers.DurableObject"
        )
        raise ConfigError(msg)
    assert isinstance(found, type), "it was looked at"
    return found
