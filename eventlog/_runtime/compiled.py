"""Compiled functions (numba): compile few things, keep them, and notice when they are stale.

A function that only other compiled functions call is `@inner`. It gets no entry from Python, and it
is optimised and turned into machine code as a part of its callers only, which halves what numba
spends on it. Nor does it count references: numba counts those to each array that a function
receives, by atomic operations. A named tuple of many arrays that functions hand on is
`references.by_reference`. What Python calls is `@njit(cache=True)`, as usual; in the simulator,
whose start counts in a small simulation, it is `@compiled()`, which loads a function from disk
without what only the compiler needs. Other packages import SciPy anyway.

Two things double what is compiled. A column of a table counts as contiguous where the table has one
row only, which is another type: pass the table and the number of the column. And an array that is
assigned to a slice (`a[i] = b`) brings the text of an error message along, two seconds of numba's
work on strings: write the loop.

Numba looks a cached function up by its own file and the types of its arguments. It does not notice
a change in another file whose functions were compiled into it. So name a field of a record that
compiled functions receive after `source_digest`: a changed file changes the record's type, and all
functions that take the record are compiled again.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from importlib.util import find_spec
from multiprocessing import parent_process
from pathlib import Path
from typing import Any, NoReturn

from llvmlite.binding import Linkage, parse_assembly, parse_bitcode
from numba import njit, types
from numba._dynfunc import make_function
from numba.core import config as numba_config
from numba.core import event
from numba.core.caching import CompileResultCacheImpl, FunctionCache
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import PassManager, register_pass
from numba.core.environment import Environment, lookup_environment
from numba.core.registry import CPUDispatcher
from numba.core.runtime.nrt import rtsys
from numba.core.typed_passes import NativeLowering

from eventlog._runtime.console import note

config: Any = numba_config  # its members are made when it is imported
SILENT_S = 1.0  # a user who waits longer for a compilation is told why


class _Part(JITCodeLibrary):  # type: ignore[misc]
    """LLVM code of an inner function: it becomes machine code as a part of its callers only.

    So each function is optimised once, in the function that Python calls, and not again for every
    function between the two.
    """

    def add_llvm_module(self, ll_module: Any) -> None:
        """Add code as it is, not optimised."""
        ll_module.data_layout = self._codegen._data_layout
        self._final_module.link_in(ll_module)

    def finalize(self) -> None:
        """Neither link, nor optimise, nor emit anything."""
        self._finalized = True

    def _get_module_for_linking(self) -> Any:
        """Return the code and that of all functions which it calls."""
        if self._shared_module is None:
            code = self._final_module.clone()
            for callee in dict.fromkeys(self._linking_libraries):
                code.link_in(callee._get_module_for_linking(), preserve=True)
            for function in code.functions:
                if not function.is_declaration and function.linkage == Linkage.external:
                    function.linkage = Linkage.linkonce_odr
            self._shared_module = code
        return self._shared_module


@register_pass(mutates_CFG=True, analysis_only=False)
class _LowerPart(NativeLowering):  # type: ignore[misc]
    """Lower an inner function to LLVM code, which its callers link in."""

    _name = "lower_part"

    def run_pass(self, state: Any) -> bool:
        function = state.func_id
        state.library = _Part(state.targetctx.codegen(), function.func_qualname)
        state.flags.no_compile = True
        super().run_pass(state)
        lowered = state["cr"]
        module = lowered.fndesc.lookup_module()
        # stands for the function where callers look it up; there is no machine code at address 0
        entry = make_function(module, function.func_name, "", 0, lowered.env, (state.library,))
        state.targetctx.insert_user_function(entry, lowered.fndesc, [state.library])
        state["cr"] = lowered._replace(cfunc=entry)
        return True


class _PartCompiler(CompilerBase):  # type: ignore[misc]
    """Numba's compiler, but for the last step."""

    def define_pipelines(self) -> list[PassManager]:
        """Return the steps from Python to LLVM code."""
        usual, steps = DefaultPassBuilder.define_nopython_pipeline(self.state), PassManager("part")
        for step, purpose in usual.passes:
            steps.add_pass(_LowerPart if step is NativeLowering else step, purpose)
        steps.finalize()
        return [steps]


class InnerFunction(CPUDispatcher):
    """A compiled function that only compiled functions call."""

    def get_call_template(self, args: Any, kws: Any) -> Any:
        """Resolve a call, with no version of the function for a literal argument."""
        plain = [types.unliteral(kind) for kind in args]
        return super().get_call_template(
            plain, {name: types.unliteral(kind) for name, kind in kws.items()}
        )

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: there is no entry from Python."""
        raise TypeError(
            f"{self.py_func.__name__} is called by compiled functions only; decorate it with "
            "@njit(cache=True) to call it from Python."
        )


def inner(function: Callable[..., Any]) -> Any:
    """Compile `function`, when a compiled function first calls it, without an entry from Python.

    It does not count references to arrays: its callers hold them. So it cannot make one or assign
    one to a slice (`inner_with_arrays` can). An array that it got it must return to other `inner`
    functions only: one that counts would release it.
    """
    return _inner(function, counts_references=False)


def inner_with_arrays(function: Callable[..., Any]) -> Any:
    """Compile `function` like `inner`, counting references: it may make arrays and copy them."""
    return _inner(function, counts_references=True)


def _inner(function: Callable[..., Any], *, counts_references: bool) -> Any:
    if config.DISABLE_JIT:
        return function
    options = {
        "nopython": True,
        "no_cpython_wrapper": True,
        "no_cfunc_wrapper": True,
        "_nrt": counts_references,
    }
    return InnerFunction(function, targetoptions=options, pipeline_class=_PartCompiler)


class _Loaded(JITCodeLibrary):  # type: ignore[misc]
    """A function from disk. Its LLVM code is read when another function links it in."""

    bitcode: bytes

    def _get_module_for_linking(self) -> Any:
        self._shared_module = parse_bitcode(self.bitcode)
        return self._shared_module


class _Payload(CompileResultCacheImpl):  # type: ignore[misc]
    """What is on disk of a function: its code and, of each that it calls, its constants.

    Numba would import the modules of the called functions too, for their globals, which compiled
    code does not read. And it would read the LLVM code, a hundred symbols of a function, to learn
    which are defined: running the machine code takes the function and its entry from Python.
    """

    def reduce(self, result: Any) -> Any:
        *code, called = super().reduce(result)
        return *code, [(e.globals["__name__"], e.consts, e.env_name) for e in called]

    def rebuild(self, target_context: Any, payload: Any) -> Any:
        (name, kind, code), function, *rest, called = payload
        called = [_environment(*constants) for constants in called]
        if kind != "object":
            return super().rebuild(target_context, ((name, kind, code), function, *rest, called))
        machine_code, bitcode = code
        engine = target_context.codegen()._engine
        engine._defined_symbols |= {function.llvm_func_name, function.llvm_cpython_wrapper_name}
        code = (machine_code, parse_assembly("").as_bitcode())
        result = super().rebuild(target_context, ((name, kind, code), function, *rest, called))
        result.library.__class__, result.library.bitcode = _Loaded, bitcode
        return result


def _environment(module: str, constants: list[Any], name: str) -> Environment:
    """Return the constants of a called function, as numba keeps them."""
    environment = lookup_environment(name)
    if environment is None:
        environment = Environment({"__name__": module})
        environment.consts[:] = constants
        environment.env_name = name
        Environment._memo[name] = environment
    return environment


class _MachineCode(FunctionCache):  # type: ignore[misc]
    """The functions on disk, loaded without what only a compilation needs.

    Numba imports all that it can compile before it looks a function up, and SciPy with it: a third
    of the time of a small simulation. Machine code needs its memory management only. A function
    that is not on disk is compiled, and the compiler imports the rest.
    """

    _impl_class = _Payload

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the function for the types `sig`, None if it is not on disk."""
        rtsys.initialize(target_context)
        with self._guard_against_spurious_io_errors():
            return self._load_overload(sig, target_context)


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function that Python calls, and keep it on disk; `options` are those of `njit`."""

    def decorate(function: Callable[..., Any]) -> Any:
        if config.DISABLE_JIT:
            return function
        dispatcher = njit(**options)(function)
        dispatcher._cache = _MachineCode(function)
        return dispatcher

    return decorate


class _WhileCompiling(event.Listener):  # type: ignore[misc]
    """Says once that the program is compiling."""

    def __init__(self) -> None:
        self.began: float | None = None
        self.said = parent_process() is not None  # one process says it for all

    def on_start(self, event: event.Event) -> None:
        now = time.monotonic()
        self.began = self.began or now
        if not self.said and now - self.began > SILENT_S:
            self.said = True
            note(
                "Compiling, which takes some 15 seconds and is kept on disk for the next time; "
                "'python -m shoptwin warmup' does it for everything at once."
            )

    def on_end(self, event: event.Event) -> None:
        """Say nothing."""


event.register("numba:compile", _WhileCompiling())


def source_digest(*modules: str) -> str:
    """Return 16 hex digits for the source text of `modules` (dotted names), importing none."""
    digest = hashlib.blake2b(digest_size=8)
    for name in modules:
        spec = find_spec(name)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"The compiled module {name!r} has no source.")
        digest.update(Path(spec.origin).read_bytes())
    return digest.hexdigest()
