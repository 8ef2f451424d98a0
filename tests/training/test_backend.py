"""The step's backend: one line where there is none; gradients, clipping, averages, noise."""

import runpy

import keras
import numpy as np
import pytest

from keras_vaegan.errors import InputError
from keras_vaegan.training import backend
from keras_vaegan.training.backend import host


def test_a_backend_without_an_adapter_is_refused_in_one_line(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(InputError) as caught:
        runpy.run_path(backend.__file__)
    assert str(caught.value) == (
        "training on the Keras backend 'torch': expected tensorflow or jax; set KERAS_BACKEND"
    )


@pytest.fixture
def variables():
    """Two variables: (3, 4) and 2."""
    return [keras.Variable([3.0, 4.0]), keras.Variable(2.0)]


def test_gradients_of_a_loss(variables):
    vector, scalar = variables
    optimizer = keras.optimizers.SGD()

    def compute_loss():
        return keras.ops.sum(vector**2) * scalar, "rest"

    gradients, rest = backend.compute_gradients(compute_loss, variables, optimizer)
    np.testing.assert_allclose(np.array(gradients[0]), [12.0, 16.0])
    assert float(gradients[1]) == 25.0 and rest == "rest"
    scaled = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=8.0)
    scaled.build(variables)
    gradients, _ = backend.compute_gradients(compute_loss, variables, scaled)
    np.testing.assert_allclose(np.array(gradients[0]), [96.0, 128.0])


def test_separate_gradients_are_zero_where_a_loss_does_not_depend(variables):
    vector, scalar = variables
    gradients, _ = backend.compute_separate_gradients(
        lambda: ([keras.ops.sum(vector**2), scalar * 3.0], None),
        variables,
        keras.optimizers.SGD(),
    )
    np.testing.assert_allclose(np.array(gradients[0][0]), [6.0, 8.0])
    assert float(gradients[0][1]) == 0.0
    np.testing.assert_allclose(np.array(gradients[1][0]), [0.0, 0.0])
    assert float(gradients[1][1]) == 3.0


@pytest.mark.parametrize(("limit", "share"), [(6.5, 0.5), (13.0, 1.0), (100.0, 1.0)])
def test_clipping_is_by_the_common_norm(limit, share):
    gradients = [np.float32([3.0, 4.0]), np.float32(12.0)]
    clipped = backend.clip_by_global_norm(gradients, limit)
    for before, after in zip(gradients, clipped, strict=True):
        np.testing.assert_allclose(np.array(after), share * before, rtol=1e-6)


def test_averages_move_by_one_minus_their_decay():
    model, average = (
        keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, bias_initializer=start)])
        for start in ("ones", "zeros")
    )
    backend.move_averages([(model, average)], 0.75)
    np.testing.assert_allclose(np.array(average.layers[0].bias), [0.25])
    backend.move_averages([(model, average)], None)
    for ours, mean in zip(model.weights, average.weights, strict=True):
        np.testing.assert_array_equal(np.array(ours), np.array(mean))


def test_one_device_is_the_plain_thing():
    images = np.arange(24, dtype="float32").reshape(4, 2, 3, 1)
    assert backend.count_replicas() == 1
    for same in (backend.gather_batch(images, 2), backend.take_own_part(images, 2)):
        np.testing.assert_array_equal(np.array(same), images)
    assert backend.find_own_rows(images) == (0, 4)
    assert backend.average_over_replicas([1.5]) == [1.5]
    noise = [np.array(backend.draw_normal(keras.ops.ones((4, 99)), [7, n])) for n in (0, 0, 1)]
    np.testing.assert_array_equal(noise[0], noise[1])
    assert np.abs(noise[0] - noise[2]).max() > 1 and abs(noise[0].std() - 1) < 0.2


def test_bfloat16_is_chosen_where_the_processor_and_onednn_have_it(monkeypatch, tmp_path):
    info = tmp_path / "cpuinfo"
    info.write_text("flags : fma avx2 avx512_bf16\n")
    monkeypatch.setattr(host, "PROCESSOR", info)
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    assert host.has_bfloat16_instructions()
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "avx2")
    assert not host.has_bfloat16_instructions()
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")
    assert host.has_bfloat16_instructions()
    info.write_text("flags : fma avx2\n")
    assert not host.has_bfloat16_instructions()
