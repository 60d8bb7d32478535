"""The lists that names in pickles are judged by: packages, modules and names that are harmless or dangerous."""

import re

from services.importer.inspection.reading import words

# Packages that run commands or code, open files or connections, import by name, or unpickle.
DANGEROUS_ROOTS = frozenset(
    words(
        "_aix_support _asyncio _ctypes _frozen_importlib _frozen_importlib_external _functools _imp _io "
        "_operator _osx_support _pickle _posixsubprocess _pyrepl _socket _ssl _thread _winapi aiohttp "
        "antigravity ast asyncio asyncore asynchat atexit bdb cffi cgi cloudpickle cmd code codeop commands "
        "compileall concurrent cProfile ctypes curses dbm dill distutils doctest ensurepip fabric fileinput "
        "ftplib functools gc glob http httplib httpx idlelib imaplib imp importlib inspect io ipykernel "
        "IPython jinja2 jsonpickle kombu lib2to3 linecache llvmlite marshal mmap modulefinder msvcrt "
        "multiprocessing multiprocess nntplib nt ntpath operator os pandas_datareader paramiko parser pdb "
        "pexpect pickle pickletools pip pipes pkg_resources pkgutil platform plumbum popen2 poplib posix "
        "posixpath profile pty ptyprocess py_compile pyclbr pydoc readline requests resource rlcompleter "
        "runpy sched setuptools sh shelve shutil signal site smtpd smtplib socket socketserver sqlite3 ssl "
        "subprocess symtable sys sysconfig tarfile telnetlib tempfile test threading timeit trace traceback "
        "tty turtle unittest urllib urllib2 urllib3 venv webbrowser websockets winreg wsgiref xmlrpc "
        "xmlrpclib zipapp zipfile zipimport zipimporter"
    )
)
DANGEROUS_MODULES = (
    "joblib",
    "keras.src.saving",
    "keras.saving",
    "logging.config",
    "logging.handlers",
    "mlflow",
    "numba.core",
    "numpy.ctypeslib",
    "numpy.distutils",
    "numpy.f2py",
    "numpy.lib.npyio",
    "numpy.lib._npyio_impl",
    "numpy.testing",
    "numpy.memmap",
    "pandas.io",
    "pandas.core.computation",
    "scipy.stats",
    "skops.io",
    "tensorflow.python.platform",
    "torch._dynamo",
    "torch._inductor",
    "torch.distributed",
    "torch.fx",
    "torch.hub",
    "torch.jit.unsupported_tensor_ops",
    "torch.multiprocessing",
    "torch.package",
    "torch.serialization",
    "torch.testing",
    "torch.utils",
)
_DANGEROUS_NAMES = {
    "builtins": "__build_class__ __import__ apply breakpoint compile delattr dir eval exec execfile exit file getattr"
    " globals help input intern locals memoryview open quit raw_input reduce reload setattr super type vars",
    "types": "BuiltinFunctionType CodeType FunctionType LambdaType MethodType ModuleType",
    "logging": "FileHandler",
    "numpy": "load loads save savez fromfile loadtxt genfromtxt memmap DataSource vectorize fromregex",
    "pandas": "read_pickle eval read_csv read_json read_sql read_hdf",
    "site": "main",
    "torch": "compile hub load save",
    "torch.jit": "load save",
    "torch.storage": "_load_from_bytes",
    "uuid": "_get_command_stdout _popen",
    "xgboost.core": "DMatrix",
    "yaml": "load load_all unsafe_load full_load",
}
# A path such as `Class.__init__.__globals__` leads out of what is harmless; these words tell where to.
TELLING = re.compile(
    r"__(globals|builtins|import|subclasses|getattribute|code|dict|class|loader|reduce|reduce_ex|init)__"
    r"|system|popen[234]?|exec([lv]\w*)?|eval|spawn[lv]\w*|os|sys|subprocess|builtins|getattr|runcode|runsource|runstring|import_module"
)

CLASS = re.compile(r"_?[A-Z][A-Za-z0-9]*")
# The estimators of these packages are plain classes whose state is set without effects. Only what is named as a class
# is: functions of the same modules read files and call what they are given. `utils` and `callback` hold connections
# and threads, `datasets` reads the network, `externals` is other people's code.
ESTIMATORS = re.compile(
    r"sklearn\.(_loss|base|calibration|cluster|compose|covariance|cross_decomposition|decomposition"
    r"|discriminant_analysis|dummy|ensemble|feature_extraction|feature_selection|frozen|gaussian_process|impute"
    r"|isotonic|kernel_approximation|kernel_ridge|linear_model|manifold|metrics|mixture|model_selection|multiclass"
    r"|multioutput|naive_bayes|neighbors|neural_network|pipeline|preprocessing|random_projection|semi_supervised|svm"
    r"|tree)(\.\w+)*"
)
# Names of other packages' classes that modules of scikit-learn have imported, so that they can be reached through them.
NO_ESTIMATORS = frozenset(
    words(
        "Client Connection Listener Memory MethodType Parallel Parameter Path Queue SkipTest Thread "
        "ThreadpoolController"
    )
)
LAYERS = re.compile(r"torch\.nn\.modules(\.\w+)+")
BOOSTERS = re.compile(r"(xgboost\.sklearn XGB|lightgbm\.sklearn LGBM|catboost\.core CatBoost)[A-Za-z]*")
STORAGES = re.compile(r"torch (cuda\.)?[A-Z][A-Za-z0-9]*Storage")
_DTYPES = (
    "bool bool_ bytes_ clongdouble complex128 complex64 datetime64 float16 float32 float64 int16 int32 int64 int8 intc"
    " longdouble longlong object_ str_ timedelta64 uint16 uint32 uint64 uint8 uintc ulonglong void"
)
# Functions that estimators are given, and that compute from their arguments alone.
_COMPUTES = "abs asarray exp expm1 log log1p max mean median min sqrt square std sum var"
_MULTIARRAY = "_reconstruct scalar"
_SPARSE_FORMS = ("bsr", "coo", "csc", "csr", "dia", "dok", "lil")
_PANDAS_INDEXES = "Index RangeIndex Int64Index Float64Index _new_Index MultiIndex DatetimeIndex"

_HARMLESS = {
    "_codecs": "encode",
    "_io": "BytesIO StringIO",
    "accelerate.state": "PartialState",
    "accelerate.utils.dataclasses": "DistributedType",
    "argparse": "Namespace",
    "builtins": "bool bytearray bytes complex dict float frozenset int list object range set slice str tuple",
    "collections": "Counter OrderedDict defaultdict deque",
    "copyreg": "_reconstructor __newobj__",
    "datetime": "date datetime time timedelta timezone",
    "decimal": "Decimal",
    "fractions": "Fraction",
    "io": "BytesIO StringIO",
    "joblib.numpy_pickle": "NumpyArrayWrapper",
    "lightgbm.basic": "Booster",
    "lightning_fabric.utilities.data": "AttributeDict",
    "numpy": f"dtype matrix ndarray number floating integer generic {_DTYPES} {_COMPUTES}",
    "numpy._core.multiarray": _MULTIARRAY,
    "numpy._core.numeric": "_frombuffer",
    "numpy.core._multiarray_umath": _MULTIARRAY,
    "numpy.core.multiarray": _MULTIARRAY,
    "numpy.core.numeric": "_frombuffer",
    "numpy.core.records": "recarray record",
    "numpy.dtypes": "BoolDType BytesDType Float16DType Float32DType Float64DType Int16DType Int32DType Int64DType Int8DType"
    " ObjectDType StrDType UInt16DType UInt32DType UInt64DType UInt8DType VoidDType",
    "numpy.ma": "MaskedArray",
    "numpy.ma.core": "MaskedArray _mareconstruct",
    "numpy.random": "RandomState",
    "numpy.random._mt19937": "MT19937",
    "numpy.random._pcg64": "PCG64 PCG64DXSM",
    "numpy.random._philox": "Philox",
    "numpy.random._pickle": "__bit_generator_ctor __generator_ctor __randomstate_ctor",
    "numpy.random.bit_generator": "SeedSequence __pyx_unpickle_SeedSequence",
    "numpy.random.mtrand": "RandomState",
    "pandas._libs.internals": "_unpickle_block",
    "pandas.core.frame": "DataFrame",
    "pandas.core.indexes.base": _PANDAS_INDEXES,
    "pandas.core.indexes.range": "RangeIndex",
    "pandas.core.internals.managers": "BlockManager SingleBlockManager",
    "pandas.core.series": "Series",
    "pathlib": "Path PosixPath PurePath PurePosixPath PureWindowsPath WindowsPath",
    "pytorch_lightning.callbacks.early_stopping": "EarlyStopping",
    "pytorch_lightning.callbacks.model_checkpoint": "ModelCheckpoint",
    "pytorch_lightning.utilities.parsing": "AttributeDict",
    "re": "_compile",
    "scipy._lib.array_api_compat.numpy._aliases": "asarray",
    "scipy.interpolate._bsplines": "BSpline",
    "scipy.interpolate.interpolate": "interp1d",
    "scipy.sparse": " ".join(f"{form}_array {form}_matrix" for form in _SPARSE_FORMS),
    **{f"scipy.sparse.{form}": f"{form}_array {form}_matrix" for form in _SPARSE_FORMS},
    **{f"scipy.sparse._{form}": f"{form}_array {form}_matrix" for form in _SPARSE_FORMS},
    "scipy.spatial._ckdtree": "cKDTree",
    "scipy.spatial.ckdtree": "cKDTree",
    "sklearn.cluster._kmeans": "_kmeans_single_elkan _kmeans_single_lloyd",
    "sklearn.ensemble._gb_losses": "_init_raw_predictions",
    "sklearn.externals.joblib.numpy_pickle": "NumpyArrayWrapper",
    "sklearn.feature_selection._univariate_selection": "chi2 f_classif f_oneway f_regression r_regression",
    "sklearn.metrics._dist_metrics": "newObj",
    "sklearn.neighbors._ball_tree": "newObj",
    "sklearn.neighbors._dist_metrics": "newObj",
    "sklearn.neighbors._kd_tree": "newObj",
    "sklearn.utils": "Bunch",
    "sklearn.utils._bunch": "Bunch",
    "torch": "FloatTensor Generator HalfTensor LongTensor Size Tensor bfloat16 bool complex128 complex64 device double dtype"
    " float float16 float32 float64 float8_e4m3fn float8_e5m2 half int int16 int32 int64 int8 long qint32 qint8 quint8"
    " short strided sparse_coo sparse_csr uint8 uint16 uint32 uint64 per_tensor_affine per_channel_affine channels_last"
    " contiguous_format preserve_format",
    "torch._tensor": "_rebuild_from_type_v2",
    "torch._utils": "_rebuild_device_tensor_from_cpu_tensor _rebuild_device_tensor_from_numpy"
    " _rebuild_meta_tensor_no_storage _rebuild_nested_tensor _rebuild_parameter _rebuild_parameter_with_state"
    " _rebuild_qtensor _rebuild_sparse_tensor _rebuild_tensor _rebuild_tensor_v2 _rebuild_tensor_v3 _rebuild_xla_tensor",
    "torch.nn.backends.thnn": "_get_thnn_function_backend",
    "torch.nn.parameter": "Buffer Parameter UninitializedParameter",
    "torch.serialization": "_get_layout",
    "torch.storage": "TypedStorage UntypedStorage _TypedStorage _UntypedStorage",
    "torch.torch_version": "TorchVersion",
    "transformers.trainer_pt_utils": "AcceleratorConfig",
    "transformers.trainer_utils": "EvaluationStrategy FSDPOption HubStrategy IntervalStrategy SaveStrategy SchedulerType",
    "transformers.training_args": "OptimizerNames ParallelMode TrainingArguments",
    "types": "SimpleNamespace",
    "uuid": "UUID",
    "xgboost.core": "Booster",
}
NAMED = {module: frozenset(names.split()) for module, names in _HARMLESS.items()}
DENIED = {module: frozenset(names.split()) for module, names in _DANGEROUS_NAMES.items()}
# What the C++ reader of TorchScript makes; Python never sees these names.
SCRIPTED = re.compile(r"__torch__\.[\w.]+ \w+|torch\.jit\._pickle \w+")
