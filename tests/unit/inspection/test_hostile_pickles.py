"""Pickles that would run code when they are loaded, each made by hand in another way."""

import pytest

from tests.unit.inspection.files import call, global_, only_unsafe, pickled, stack_global, text, verdict

SYSTEM = stack_global("os", "system")
COMMAND = text("id")

DANGEROUS = {
    "reduce, protocol 0": pickled(b"cos\nsystem\n(S'id'\ntR", 0),
    "reduce, protocol 1": pickled(b"cos\nsystem\n(U\x02idtR", 1),
    "reduce, protocol 2": pickled(b"cos\nsystem\nX\x02\x00\x00\x00id\x85R", 2),
    "reduce, protocol 3": pickled(call(global_("posix", "system"), b"X\x02\x00\x00\x00id"), 3),
    "stack global, protocol 4": pickled(call(SYSTEM, COMMAND), 4),
    "stack global, protocol 5 with a frame": pickled(
        b"\x95" + (len(call(SYSTEM, COMMAND)) + 1).to_bytes(8, "little") + call(SYSTEM, COMMAND), 5
    ),
    "names through the memo": pickled(text("os") + b"\x94" + text("system") + b"\x940" + b"0h\x00h\x01\x93" + COMMAND + b"\x85R"),
    "names through a memo with numbers in lines": pickled(
        b"V" + b"os\np7\n" + b"Vsystem\np8\n00g7\ng8\n\x93(Vid\ntR", 4
    ),
    "names through LONG_BINPUT": pickled(
        text("os") + b"r\x00\x01\x00\x00" + text("system") + b"r\x01\x01\x00\x000" + b"0j\x00\x01\x00\x00j\x01\x01\x00\x00\x93" + COMMAND + b"\x85R"
    ),
    "a name duplicated": pickled(text("os") + text("system") + b"\x932" + b"0" + COMMAND + b"\x85R"),
    "INST": pickled(b"(S'id'\nios\nsystem\n", 0),
    "OBJ": pickled(b"(" + global_("os", "system") + b"S'id'\no", 1),
    "NEWOBJ": pickled(global_("subprocess", "Popen") + COMMAND + b"\x85\x81", 2),
    "NEWOBJ_EX": pickled(stack_global("subprocess", "Popen") + COMMAND + b"\x85}\x92"),
    "an escape in a name of protocol 0": pickled(b"S'o\\x73'\nS'syst\\145m'\n\x93(S'id'\ntR", 0),
    "an escape in a Unicode name": pickled(b"V\\u006fs\nVsystem\n\x93(Vid\ntR", 0),
    "a dotted name": pickled(call(stack_global("collections", "OrderedDict.__init__.__globals__"), COMMAND)),
    "a class that leads to os": pickled(call(stack_global("sklearn.base", "os.system"), COMMAND)),
    "getattr": pickled(call(stack_global("builtins", "getattr"), text("x"), text("y"))),
    "a chain of getattr and import": pickled(
        call(call(stack_global("builtins", "getattr"), call(stack_global("builtins", "__import__"), text("os")), text("system")), COMMAND)
    ),
    "eval": pickled(call(stack_global("builtins", "eval"), text("1"))),
    "exec of Python 2": pickled(b"c__builtin__\neval\n(S'1'\ntR", 0),
    "a module that Python 3 calls otherwise": pickled(b"ccommands\ngetoutput\n(S'id'\ntR", 0),
    "reduce of Python 2": pickled(b"c__builtin__\nreduce\n(tR", 0),
    "runpy": pickled(call(stack_global("runpy", "_run_code"), text("1"))),
    "importlib": pickled(call(stack_global("importlib", "import_module"), text("os"))),
    "a pickle in a pickle": pickled(call(stack_global("_pickle", "loads"), b"C\x01.")),
    "numpy.load": pickled(call(stack_global("numpy", "load"), text("x"))),
    "the exec of numpy's tests": pickled(call(stack_global("numpy.testing._private.utils", "runstring"), text("1"))),
    "torch.load": pickled(call(stack_global("torch.serialization", "load"), text("x"))),
    "torch.hub": pickled(call(stack_global("torch.hub", "load"), text("x"))),
    "joblib.load": pickled(call(stack_global("joblib.numpy_pickle", "load"), text("x"))),
    "partial": pickled(call(stack_global("functools", "partial"), text("x"))),
    "methodcaller": pickled(call(stack_global("operator", "methodcaller"), text("x"))),
    "code objects": pickled(call(stack_global("types", "CodeType"), text("x"))),
    "ctypes": pickled(call(stack_global("ctypes", "CDLL"), text("x"))),
    "webbrowser": pickled(call(stack_global("webbrowser", "open"), text("x"))),
    "sockets": pickled(call(stack_global("socket", "create_connection"), text("x"))),
    "statistics that execute a template": pickled(call(stack_global("scipy.stats._distn_infrastructure", "rv_frozen"))),
    "a thread that scikit-learn imported": pickled(call(stack_global("threading", "Thread"))),
    "set as state": pickled(b"}" + text("a") + SYSTEM + b"s"),
    "an import without a call": pickled(SYSTEM),
    "after a harmless pickle": pickled(b"N") + pickled(call(SYSTEM, COMMAND)),
    "after a harmless pickle, protocol 0": pickled(b"N", 0) + pickled(b"cos\nsystem\n(S'id'\ntR", 0),
    "before the end is cut off": pickled(call(SYSTEM, COMMAND))[:-1],
    "before an instruction that does not exist": pickled(call(SYSTEM, COMMAND) + b"\xff"),
    "behind many harmless imports": pickled(b"".join(stack_global("torch.nn.modules.x", f"C{n}") + b"0" for n in range(2000)) + call(SYSTEM, COMMAND)),
    "behind many unknown imports": pickled(b"".join(stack_global("mine", f"C{n}") + b"0" for n in range(2000)) + call(SYSTEM, COMMAND)),
    "behind a string of 1 MB": pickled(b"X\x00\x00\x10\x00" + bytes(0x100000) + b"0" + call(SYSTEM, COMMAND)),
    "behind a line of 1 MB": pickled(b"S'" + b"a" * 1_000_000 + b"'\n0" + b"cos\nsystem\n(S'id'\ntR", 0),
}  # fmt: skip


@pytest.mark.parametrize("name", DANGEROUS)
def test_a_pickle_that_runs_code_is_dangerous(name: str):
    assert verdict("model.pkl", DANGEROUS[name]) == "dangerous"


@pytest.mark.parametrize("name", DANGEROUS)
def test_a_pickle_that_runs_code_is_found_under_any_name(name: str):
    assert verdict("weights", DANGEROUS[name]) == "dangerous"


UNKNOWN = {
    "a class of the user": pickled(call(stack_global("mymodels.net", "Net"))),
    "a function of a harmless package": pickled(call(stack_global("torch._utils", "_import_dotted_name"), text("x"))),
    "a function beside estimators": pickled(call(stack_global("sklearn.metrics", "fetch"), text("x"))),
    "a client that scikit-learn imported": pickled(call(stack_global("sklearn.metrics._base", "Client"), text("x"))),
    "a name that is computed": pickled(
        call(stack_global("_codecs", "encode"), text("bf"), text("rot13")) + text("system") + b"\x93" + text("id") + b"\x85R"
    ),
    "a name from a dictionary": pickled(b"}" + text("system") + b"\x93"),
    "extension registry, 1 byte": pickled(b"\x82\x01)R"),
    "extension registry, 2 bytes": pickled(b"\x83\x01\x00)R"),
    "extension registry, 4 bytes": pickled(b"\x84\x01\x00\x00\x00)R"),
    "a call of an object": pickled(call(stack_global("sklearn.svm._classes", "SVC")) + b")R"),
    "a call of a list": pickled(b"])R"),
    "a change of a class": pickled(stack_global("sklearn.svm._classes", "SVC") + b"}" + text("fit") + b"Nsb"),
    "an item of a class": pickled(stack_global("sklearn.svm._classes", "SVC") + text("fit") + b"Ns"),
    "a persistent id and a call of it": pickled(b"Pid\n)R"),
    "a very long name": pickled(b"X\x2c\x01\x00\x00" + b"a" * 300 + text("b") + b"\x93"),
    "a name that is none of Python": pickled(b"]]]cmy net\nNet\n"),
    "old wrappers of joblib": pickled(stack_global("joblib_", "x") + b")\x81"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNKNOWN)
def test_a_pickle_that_nobody_can_judge_is_unknown(name: str):
    assert verdict("model.pkl", UNKNOWN[name]) == "unknown"


UNREADABLE = {
    "truncated": pickled(b"]" * 20)[:-1],
    "truncated in a string": pickled(b"]]]X\xff\x00\x00\x00abc"),
    "a length of 4 GB": pickled(b"]]]X\xff\xff\xff\xff"),
    "a length of 16 EB": pickled(b"]]]\x8e" + b"\xff" * 8),
    "a negative length": pickled(b"]]]T\xff\xff\xff\xff", 1),
    "an unknown instruction": pickled(b"]]]\xff"),
    "a protocol from the future": pickled(b"]]]\x80\x07"),
    "more popped than pushed": pickled(b"]]]00000"),
    "no mark": pickled(b"]]]t"),
    "memory that was never written": pickled(b"]]]h\x07"),
    "a number that is none": pickled(b"]]]I12x\n", 0),
    "a string without quotes": pickled(b"]]]Sabc\n", 0),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_pickle_that_cannot_be_followed_is_unreadable(name: str):
    assert verdict("model.pkl", UNREADABLE[name]) == "unreadable"


def test_what_is_imported_is_told():
    judged = only_unsafe("model.pkl", pickled(stack_global("mine", "Net") + stack_global("os", "system") + b"\x86"))

    assert judged.imports == ("os.system", "mine.Net")
    assert judged.message == "loading it may run any code: it imports os.system"


def test_an_unknown_class_is_named():
    assert only_unsafe("m.pkl", UNKNOWN["a class of the user"]).message == (
        "it imports mymodels.net.Net, which is on no list of harmless names"
    )


def test_a_million_nested_marks_do_not_exhaust_the_stack():
    assert verdict("model.pkl", pickled(b"(" * 1_000_000)) == "unreadable"


def test_three_million_values_are_too_many():
    assert verdict("model.pkl", pickled(b"]" * 3_000_000)) == "unreadable"


def test_a_tuple_in_a_tuple_a_hundred_thousand_times_is_followed():
    assert verdict("model.pkl", pickled(b")" + b"\x85" * 100_000)) is None
