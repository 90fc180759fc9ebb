"""Named tuples of arrays that compiled functions receive by reference.

Numba passes a tuple by value: a tuple of thirty arrays is two hundred arguments of each function
that receives it, packed and unpacked in each. That was more than half of the code of a simulation,
and of the time to compile it. A named tuple that is decorated with `by_reference` is one argument,
the address of its fields. Compiled functions read them and hand the tuple on; they make none.
"""

from __future__ import annotations

import hashlib
from typing import Any, TypeVar

from numba import types
from numba.core import cgutils
from numba.core.imputils import impl_ret_borrowed, lower_getattr_generic
from numba.core.typing.templates import AttributeTemplate, infer_getattr
from numba.extending import NativeValue, models, register_model, typeof_impl, unbox

NamedTupleClass = TypeVar("NamedTupleClass", bound=type)


class Reference(types.Type):  # type: ignore[misc]
    """The type of a reference to a named tuple of type `target`."""

    def __init__(self, target: types.NamedTuple) -> None:
        self.target = target
        digest = hashlib.blake2b(target.name.encode(), digest_size=8).hexdigest()
        super().__init__(f"{target.instance_class.__name__}_{digest}")


def by_reference(kind: NamedTupleClass) -> NamedTupleClass:
    """Let compiled functions receive instances of the named tuple `kind` by reference."""

    @typeof_impl.register(kind)
    def typeof_reference(value: Any, context: Any) -> Reference | None:
        fields = [typeof_impl(field, context) for field in value]
        return None if None in fields else Reference(types.NamedTuple(fields, kind))

    return kind


@register_model(Reference)
class _ReferenceModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, reference: Reference) -> None:
        fields = manager.lookup(reference.target).get_value_type()
        super().__init__(manager, reference, fields.as_pointer())


@infer_getattr
class _Fields(AttributeTemplate):  # type: ignore[misc]
    key = Reference

    def generic_resolve(self, reference: Reference, name: str) -> Any:  # type: ignore[override]
        """Return the type of a field, None where there is no such field."""
        fields = reference.target.fields
        return reference.target[fields.index(name)] if name in fields else None


@lower_getattr_generic(Reference)
def _read_field(context: Any, builder: Any, reference: Reference, value: Any, name: str) -> Any:
    place = reference.target.fields.index(name)
    field = builder.load(cgutils.gep_inbounds(builder, value, 0, place))
    return impl_ret_borrowed(context, builder, reference.target[place], field)


@unbox(Reference)
def _unbox(reference: Reference, instance: Any, c: Any) -> NativeValue:
    fields = c.unbox(reference.target, instance)
    place = cgutils.alloca_once_value(c.builder, fields.value)

    def release() -> None:
        if fields.cleanup is not None:
            fields.cleanup()
        c.context.nrt.decref(c.builder, reference.target, c.builder.load(place))

    return NativeValue(place, cleanup=release, is_error=fields.is_error)
