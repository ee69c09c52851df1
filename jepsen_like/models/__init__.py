"""
What operations mean, one step at a time.

    register             read, write
    cas-register         read, write, cas
    restorable-register  read, write, bookmark, restore
    mutex                acquire, release
    multi-register       read, write and txn of several registers at once
    key-value            get, put, append of strings
    set                  add, remove, contains, read
    queue                enqueue, dequeue
    counter              add, read
"""

from types import MappingProxyType
from typing import Final

from jepsen_like.models.counter import CounterModel
from jepsen_like.models.key_value import KeyValueModel
from jepsen_like.models.model import (
    ILLEGAL,
    Action,
    Kind,
    Machine,
    Model,
    ModelError,
    Part,
    State,
)
from jepsen_like.models.multi_register import MultiRegisterModel
from jepsen_like.models.mutex import MutexModel
from jepsen_like.models.queue import QueueModel
from jepsen_like.models.register import RegisterModel
from jepsen_like.models.restorable_register import RestorableRegisterModel
from jepsen_like.models.set_model import SetModel

_ALL: Final[tuple[Model, ...]] = (
    RegisterModel("register", with_cas=False),
    RegisterModel("cas-register", with_cas=True),
    RestorableRegisterModel(),
    MutexModel(),
    MultiRegisterModel(),
    KeyValueModel(),
    SetModel(),
    QueueModel(),
    CounterModel(),
)

MODELS: Final = MappingProxyType({model.name: model for model in _ALL})
"""All models by their names."""


def model_named(name: str) -> Model:
    """
    Return the model called *name*.

    Raises:
        ModelError: There is none.
    """
    if name not in MODELS:
        msg = f"there is no model {name!r}; choose one of {', '.join(MODELS)}"
        raise ModelError(msg)
    return MODELS[name]


__all__ = [
    "ILLEGAL",
    "MODELS",
    "Action",
    "Kind",
    "Machine",
    "Model",
    "ModelError",
    "Part",
    "State",
    "model_named",
]
