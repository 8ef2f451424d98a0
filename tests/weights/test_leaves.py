"""Layers of weight files, as messages tell them."""

from keras_vaegan.weights.leaves import split_layer
from keras_vaegan.weights.weight_file import StoredLayer, StoredWeight


def test_a_layer_of_thousands_of_weights_is_told_in_a_line():
    weights = [
        StoredWeight(f"layer/kernel_{number}", f"/layer/{number}", (3, 3, 1, 1), "float32")
        for number in range(2000)
    ]
    (leaf,) = split_layer(StoredLayer("layer", tuple(weights)))
    assert leaf.parameters == 9 * 2000
    assert len(str(leaf)) < 400 and str(leaf).endswith("1992 more)")
