"""The PyTorch renditions through `torch.compile`, up to the code that it would generate."""

import os
import types

import pytest


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # PyTorch's own, of its compiler
@pytest.mark.skipif("KERAS_VAEGAN_EVERY_PRESET" not in os.environ, reason="two compilations")
@pytest.mark.parametrize("system", "ca")
def test_compiled_steps_lose_the_same(load_benchmark, monkeypatch, system):
    """Whole graphs, one for each batch size, whose first step loses what the eager one does."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    sides, training = map(load_benchmark, ("race_gpu_sides", "torch_training"))
    options = training.TorchTrainer.compile_options | {"backend": "aot_eager"}
    monkeypatch.setattr(training.TorchTrainer, "compile_options", options)
    losses = []
    for call in ("eager", "compiled"):
        arguments = types.SimpleNamespace(
            system=system, filters=[4], image_size=32, batch_size=1, precision="bfloat16",
            layout="channels_last", call=call,
        )  # fmt: skip
        config = sides.make_config(arguments)
        torch.manual_seed(0)
        rival = sides.build_rival(config, arguments, torch.device("cpu"))
        source, target = map(training.to_torch, sides.make_images(config))
        rival.draw = torch.ones
        losses.append(rival.step(source, target))
        assert rival.translate(source).shape == source.shape
    assert losses[0] == pytest.approx(losses[1], rel=3e-2)  # bfloat16 has 3 digits
