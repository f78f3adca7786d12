"""Arrays of other libraries enter without a copy, answers have the type of the argument, and the caller's stream is respected."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from gpubp.devices.cuda import graph
from gpubp.layered import dlpack, input_checks
from gpubp.layered.network import Network
from tests.cases import as_before, two_classes
from tests.conftest import device, needs


class Foreign:
    """An array of a library that supports DLPack but not the protocols of NumPy."""

    def __init__(self, values, place=(1, 0)):
        self.values, self.place, self.dtype = values, place, values.dtype

    def __dlpack__(self, **options):
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.place


@pytest.fixture
def library(monkeypatch):
    """The library of Foreign."""
    made = ModuleType("foreign_library")
    made.from_dlpack = lambda array: Foreign(np.from_dlpack(array))
    monkeypatch.setitem(sys.modules, "foreign_library", made)
    monkeypatch.setattr(Foreign, "__module__", "foreign_library.arrays")
    return made


def made(ops, **options):
    return Network([4, 5, 2], device=ops, seed=7, **options)


def memory(array):
    return array.ctypes.data if isinstance(array, np.ndarray) else array.data.ptr


def test_any_array_by_dlpack(ops, library, random):
    x, y = two_classes(random)
    net = made(ops)
    expected = net.feedforward(x), net.predict(x)
    answers = net.feedforward(Foreign(x)), net.predict(Foreign(x))
    assert all(type(answer) is Foreign and (answer.values == plain).all() for answer, plain in zip(answers, expected))
    assert answers[1].dtype.kind == "i"
    assert net.score(Foreign(x), Foreign(y)) == net.score(x, y) and net.cost(Foreign(x), y) == net.cost(x, y)
    net.fit(Foreign(x), Foreign(y), validation=(Foreign(x), y), sample_weight=Foreign(np.ones(23)), epochs=1, progress=False)
    plain = made(ops).fit(x, y, validation=(x, y), sample_weight=np.ones(23), epochs=1, progress=False)
    assert net.history.cost == plain.cost and net.history.validation_accuracy == plain.validation_accuracy


def test_nothing_is_copied_on_the_way_in(random):
    x = random.standard_normal((23, 4)).astype(np.float32)
    taken = input_checks.samples(made("cpu"), Foreign(x))
    assert memory(taken) == memory(x)


def test_an_array_names_its_own_namespace(library, random):
    """__array_namespace__ of the array API standard names it, as in JAX."""
    x, _ = two_classes(random)
    given = Foreign(x)
    given.__array_namespace__ = lambda: SimpleNamespace(from_dlpack=lambda array: ("namespace", array.shape))
    assert made("cpu").feedforward(given) == ("namespace", (23, 2))


def test_a_library_without_from_dlpack_gets_numpy(library, random):
    x, _ = two_classes(random)
    del library.from_dlpack
    assert type(made("cpu").feedforward(Foreign(x))) is np.ndarray


def test_arrays_that_dlpack_does_not_support(ops, library, random):
    x, y = two_classes(random)
    net = made(ops)
    before = as_before(net)

    class Broken(Foreign):
        def __dlpack__(self, **options):
            raise BufferError("nothing to export")
    for given, match in ((Broken(x), r"x: expected an array of real numbers, dense and .*got float64 in a Broken \(nothing to"),
                         (Foreign(x + 1j), "x: expected an array of real numbers, got dtype complex128")):
        with pytest.raises(TypeError, match=match):
            net.fit(given, y)
    with pytest.raises(ValueError, match="expected rows of 4 for layer 1, got an array of shape"):
        net.fit(Foreign(x[:, :3].copy()), y)
    assert as_before(net) == before


def test_a_gpus_array_for_a_network_on_the_cpu(library, random):
    x, y = two_classes(random)
    with pytest.raises(ValueError, match="x: expected an array on cpu, as the network, got one on a GPU: move the network with"):
        made("cpu").fit(Foreign(x, (2, 0)), y)


@pytest.mark.long
def test_a_gpus_array_for_a_network_on_a_gpu(library, random, monkeypatch):
    """The device's own module imports it, and the answer stays on the device; host arrays in the same call are refused."""
    ops = device("host")
    x, y = two_classes(random)
    there = ops.asarray(x, np.float32)
    monkeypatch.setattr(type(ops.xp), "from_dlpack", lambda self, given: given.values, raising=False)
    library.from_dlpack = lambda array: Foreign(array, (2, 0))
    library.asarray = lambda array, copy: Foreign(array.values.copy(), (2, 0))
    net = made(ops)
    given = Foreign(there, (2, 0))
    assert memory(input_checks.samples(net, given)) == memory(there)
    answer = net.feedforward(given)
    assert type(answer) is Foreign and ops.is_on_device(answer.values)
    assert (ops.to_numpy(answer.values) == net.feedforward(x)).all()
    with pytest.raises(ValueError, match="expected arrays of one device, got x on host and y on the host"):
        net.cost(given, y)
    monkeypatch.setattr(type(ops.xp), "from_dlpack", lambda self, given: x)   # as if it were on another GPU
    with pytest.raises(ValueError, match="x: expected an array on host, as the network, got one on another GPU"):
        net.predict(given)


# ---- PyTorch and JAX themselves

def test_torch_tensors(ops, random):
    torch = needs("torch")
    x, y = two_classes(random)
    tensor, labels = torch.from_numpy(x), torch.from_numpy(y)
    net = made(ops)
    outputs, predicted = net.feedforward(tensor), net.predict(tensor)
    assert outputs.dtype == torch.float32 and outputs.device.type == "cpu" and (outputs.numpy() == net.feedforward(x)).all()
    assert predicted.dtype == torch.int64 and (predicted.numpy() == net.predict(x)).all()
    assert net.cost(tensor, labels) == net.cost(x, y) and net.score(tensor.half(), labels.byte()) == net.score(x, y)
    assert net.cost(tensor.T.contiguous().T, labels) == net.cost(x, y)
    net.fit(tensor, labels, validation=(tensor, labels), sample_weight=torch.ones(23), epochs=1, progress=False)
    plain = made(ops)
    plain.fit(x, y, epochs=1, progress=False)
    assert net.history.cost == plain.history.cost
    single = Network([4, 1], output="identity", device=ops, seed=7)
    single.fit(tensor, tensor[:, 0], epochs=1, progress=False)
    assert single.predict(tensor).shape == (23,) and type(single.predict(tensor)) is torch.Tensor


def test_torch_tensors_that_are_refused(ops, random):
    torch = needs("torch")
    x, y = two_classes(random)
    tensor, net = torch.from_numpy(x), made(ops)
    for given, match in ((tensor.clone().requires_grad_(), r"x: expected an array without a gradient, got .* pass x\.detach\(\)"),
                         (tensor.bfloat16(), r"got torch\.bfloat16 in a Tensor"), (tensor.to_sparse(), "dense and of a dtype"),
                         (tensor + 1j, "real numbers, got dtype complex128"), (tensor.to("meta"), "in a Tensor")):
        with pytest.raises(TypeError, match=match):
            net.fit(given, y)
    with pytest.raises(TypeError, match=r"y: expected an array without a gradient, got .* pass y\.detach\(\)"):
        net.cost(tensor, tensor[:, :2].clone().requires_grad_())
    if not ops.on_host:
        with pytest.raises(ValueError, match=r"expected arrays of one device, got y on .* and x on the host"):
            net.cost(tensor, ops.asarray(y))


def test_torch_tensors_are_not_copied(random):
    torch = needs("torch")
    tensor = torch.from_numpy(random.standard_normal((23, 4)).astype(np.float32))
    assert memory(input_checks.samples(made("cpu"), tensor)) == tensor.data_ptr()
    answer = np.zeros(3)
    assert dlpack.like(made("cpu").ops, tensor, answer).data_ptr() == memory(answer)


def test_torch_tensors_on_a_gpu(random):
    """Arrays enter and leave by pointer, ordered with the work on PyTorch's own stream."""
    ops = device("cuda")
    torch = needs("torch")
    if not torch.cuda.is_available():
        pytest.skip("PyTorch is installed without CUDA")
    x, y = two_classes(random, 4096)
    net, stream = made(ops), torch.cuda.Stream()
    expected = net.feedforward(x)
    with torch.cuda.stream(stream):
        tensor = torch.from_numpy(x).cuda().float()
        assert input_checks.samples(net, tensor).data.ptr == tensor.data_ptr()
        zeros = torch.zeros_like(tensor)
        zeros += tensor   # only our stream waits for it
        outputs = net.feedforward(zeros)
        doubled = 2 * outputs
    assert outputs.device == tensor.device and (doubled.cpu().numpy() == 2 * expected).all()
    labels = torch.from_numpy(y).cuda()
    assert net.score(tensor, labels) == net.score(x, y) and net.predict(tensor).dtype == torch.int64
    with pytest.raises(ValueError, match="x: expected an array on cpu, as the network, got one on a GPU"):
        made("cpu").cost(tensor, y)
    with pytest.raises(ValueError, match="expected arrays of one device"):
        net.cost(tensor, y)


def test_jax_arrays(ops, random):
    jax = needs("jax")
    x, y = two_classes(random)
    place = jax.devices("cpu" if not ops.name.startswith("cuda") else None)[0]   # JAX creates arrays on a GPU if it has one
    given, labels = (jax.device_put(array, place) for array in (x.astype(np.float32), y))
    net, plain = made(ops), np.asarray(given)
    outputs, predicted = net.feedforward(given), net.predict(given)
    assert isinstance(outputs, jax.Array) and (np.asarray(outputs) == net.feedforward(plain)).all()
    assert predicted.dtype.kind == "i" and (np.asarray(predicted) == net.predict(x.astype(np.float32))).all()
    net.fit(given, labels, epochs=1, progress=False)
    assert (np.asarray(given) == plain).all()   # JAX arrays are immutable
    with pytest.raises(TypeError, match=r"got (bfloat16 in a|dtype bfloat16)"):   # CuPy may support the dtype of JAX
        net.cost(given.astype("bfloat16"), labels)


# ---- arrays of the device, and the caller's stream

@pytest.mark.usefixtures("current_device")
def test_the_devices_own_arrays_are_passed_unchanged(ops, random):
    x, y = two_classes(random)
    net = made(ops)
    x, y = ops.asarray(x, np.float32), ops.asarray(np.eye(2)[y], np.float32)
    assert memory(input_checks.samples(net, x)) == memory(x) and memory(input_checks.targets(net, y, 23)) == memory(y)
    assert ops.is_on_device(net.feedforward(x)) and ops.is_on_device(net.predict(x))
    kept = ops.to_numpy(x).copy(), ops.to_numpy(y).copy()
    net.fit(x, y, epochs=2, progress=False)
    assert (ops.to_numpy(x) == kept[0]).all() and (ops.to_numpy(y) == kept[1]).all()


def test_the_callers_stream_is_honoured(random, monkeypatch):
    """Events order our stream and the caller's, so that the host never waits."""
    from tests.host import stream
    ops, x = device("host"), random.standard_normal((23, 4))
    net, there = made(ops), ops.asarray(x, np.float32)
    net.feedforward(there)   # creates everything that is created only once
    for kind in (stream.Event, stream.Device):
        monkeypatch.setattr(kind, "synchronize", lambda self: pytest.fail("the host waits"))
    monkeypatch.setattr(stream.Stream, "wait_event", lambda self, event: self.waited.append(event.after))
    theirs, ours = stream.Stream(non_blocking=True), ops.device.stream
    with theirs:
        for call in (net.feedforward, net.predict):
            ours.waited.clear()
            theirs.waited.clear()
            answer = call(there)
            assert ops.is_on_device(answer) and stream.get_current_stream() is theirs
            others = {other.stream for other in ops.device._made if other.stream is not ours}   # of threads of other tests
            assert ours.waited[0] is theirs and set(ours.waited) - others <= {theirs, None} and set(theirs.waited) == {ours}


def test_a_session_nests_and_gives_back_after_errors():
    from tests.host import stream
    session = graph.Session(device("host").xp, 0)
    theirs = stream.Stream(non_blocking=True)
    with theirs:
        with pytest.raises(KeyError), session, session:
            assert stream.get_current_stream() is session.stream and theirs.waited == []
            raise KeyError
        assert stream.get_current_stream() is theirs
    assert session.stream.waited == [theirs] and theirs.waited == [session.stream]
