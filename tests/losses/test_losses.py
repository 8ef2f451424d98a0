"""Losses against closed forms and independent implementations."""

import numpy as np
import pytest
import tensorflow as tf

from keras_vaegan.losses.adversarial import adversarial_loss, lecam_losses, relativistic_losses
from keras_vaegan.losses.latent import kl_loss
from keras_vaegan.losses.reconstruction import mean_absolute_error, ssim, ssim_loss
from keras_vaegan.losses.start import choose_start, find_air
from keras_vaegan.losses.structure import gradient_correlation, structure_loss


def random_images(seed, shape=(3, 40, 36, 1)):
    return np.random.default_rng(seed).uniform(0, 1, shape).astype("float32")


def test_least_squares_is_the_distance_to_the_wanted_answer():
    maps = [np.full((2, 4, 4, 1), 0.25, "float32"), np.zeros((2, 2, 2, 1), "float32")]
    assert [float(x) for x in adversarial_loss(maps, True)] == pytest.approx([0.5625, 1.0])
    assert [float(x) for x in adversarial_loss(maps, False)] == pytest.approx([0.0625, 0.0])


@pytest.mark.parametrize("is_real", [True, False])
def test_bce_equals_keras(is_real):
    logits = np.random.default_rng(0).normal(0, 5, (2, 6, 6, 1)).astype("float32")
    expected = tf.keras.losses.BinaryCrossentropy(from_logits=True)(
        np.full_like(logits, is_real), logits
    )
    assert float(adversarial_loss([logits], is_real, "bce")[0]) == pytest.approx(
        float(expected), rel=1e-5
    )


def test_relativistic_losses_have_their_closed_form():
    real = np.array([[1.0, 3.0]], "float32").reshape(1, 1, 2, 1)
    fake = np.array([[0.0, -1.0]], "float32").reshape(1, 1, 2, 1)

    def soft(x):
        return np.log1p(np.exp(np.asarray(x)))

    ahead, behind = np.array([1.0, 3.0]) + 0.5, np.array([0.0, -1.0]) - 2.0
    generator = 0.5 * (soft(ahead).mean() + soft(-behind).mean())
    discriminator = 0.5 * (soft(-ahead).mean() + soft(behind).mean())
    for heads in (1, 2):
        answer = relativistic_losses([real] * heads, [fake] * heads)
        np.testing.assert_allclose(
            [float(x) for x in answer], [generator, discriminator], rtol=1e-5
        )


def test_kl_closed_forms():
    zeros = np.zeros((2, 3, 3, 4), "float32")
    assert float(kl_loss(zeros, zeros)) == 0
    assert float(kl_loss(zeros + 2, zeros)) == pytest.approx(2.0)
    spread = zeros + np.log(4.0).astype("float32")
    assert float(kl_loss(zeros, spread)) == pytest.approx(0.5 * (4 - 1 - np.log(4)), rel=1e-5)


def test_mean_absolute_error_is_float32_whatever_comes_in():
    a, b = random_images(0), random_images(1)
    loss = mean_absolute_error(tf.cast(a, tf.bfloat16), b)
    assert loss.dtype == tf.float32
    assert float(loss) == pytest.approx(np.abs(a - b).mean(), rel=1e-2)


@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_equals_the_tf_flavour(channels):
    a = random_images(0, (3, 40, 36, channels))
    b = np.clip(a + 0.2 * random_images(1, a.shape), 0, 1)
    expected = tf.image.ssim(a, b, max_val=1.0).numpy()
    np.testing.assert_allclose(np.array(ssim(a, b)), expected, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_loss_and_its_gradient_equal_the_tf_flavours(channels):
    """The loss within 1e-5; its gradient within 1e-4 of the largest one."""
    a = tf.constant(random_images(0, (2, 32, 40, channels)))
    b = tf.constant(np.clip(a + 0.2 * random_images(1, a.shape), 0, 1))
    results = []
    for loss in (ssim_loss, lambda x, y: 1 - tf.reduce_mean(tf.image.ssim(x, y, max_val=1.0))):
        with tf.GradientTape() as tape:
            tape.watch(b)
            value = loss(a, b)
        results.append((float(value), tape.gradient(value, b).numpy()))
    (ours, our_gradient), (theirs, their_gradient) = results
    assert ours == pytest.approx(theirs, abs=1e-5)
    limit = 1e-4 * np.abs(their_gradient).max()
    np.testing.assert_allclose(our_gradient, their_gradient, atol=limit)


def test_ssim_of_identical_and_constant_images():
    image = random_images(2)
    assert float(ssim_loss(image, image)) == pytest.approx(0, abs=1e-6)
    black, white = np.zeros_like(image), np.ones_like(image)
    assert float(ssim_loss(black, white)) == pytest.approx(1 - 0.01**2 / (1 + 0.01**2), abs=1e-5)


def test_ssim_descends():
    target = tf.constant(random_images(3))
    image = tf.Variable(random_images(4))
    with tf.GradientTape() as tape:
        before = ssim_loss(target, image)
    gradient = tape.gradient(before, image)
    assert np.isfinite(gradient).all()
    after = ssim_loss(target, image - 20 * gradient)
    assert float(after) < float(before)


def test_background_is_the_air_around_the_head_and_not_the_dark_within():
    head = np.zeros((64, 64), bool)
    head[16:48, 12:50] = True
    image = np.where(head, 0.8, 0.05)[None, ..., None].astype("float32")
    image[0, 20:26, 14:40] = 0.0  # dark bone
    image[0, 30:37, 30:34] = 0.0  # dark fluid
    air = np.array(find_air(image))[0, ..., 0]
    np.testing.assert_array_equal(air, ~head)
    np.testing.assert_array_equal(np.array(find_air(np.zeros_like(image))), 1)


def test_lecam_is_the_distance_to_the_other_sides_level():
    real = [np.array([1.0, 3.0], "float32").reshape(1, 1, 2, 1), np.zeros((1, 1, 1, 1), "float32")]
    fake = [part - 1 for part in real]
    losses = [float(x) for x in lecam_losses(real, fake, [0.5, 1.0], [-0.5, 0.0])]
    first = (1.5**2 + 3.5**2) / 2 + (0.5**2 + 1.5**2) / 2
    assert losses == pytest.approx([first, 0 + 4])


def test_edges_are_compared_whatever_their_sign():
    image = random_images(5)
    assert np.array(gradient_correlation(image, 0.3 - 0.2 * image)) == pytest.approx(1, abs=1e-3)
    assert float(structure_loss(image, image)) == pytest.approx(0, abs=1e-3)
    other = np.array(gradient_correlation(image, random_images(6)))
    assert (np.abs(other) < 0.2).all() and other.shape == (3,)
    assert np.array(gradient_correlation(image, np.zeros_like(image))) == pytest.approx(0, abs=1e-3)


def test_the_structure_loss_descends_to_the_edges():
    target, image = tf.constant(random_images(7)), tf.Variable(random_images(8))
    with tf.GradientTape() as tape:
        before = structure_loss(target, image)
    gradient = tape.gradient(before, image)
    assert np.isfinite(gradient).all()
    assert float(structure_loss(target, image - 20 * gradient)) < float(before)


def draw_mri(fluid, side=96):
    """A bright scalp, a dark skull, a brain with a ventricle: (1, side, side, 1), and the masks."""
    rows, columns = np.mgrid[:side, :side] - side / 2
    radius = np.hypot(rows, columns)
    image = np.zeros((side, side), "float32")
    masks = {n: radius < r for n, r in (("scalp", 44), ("skull", 41), ("brain", 37), ("fluid", 5))}
    for name, value in (("scalp", 0.7), ("skull", 0.05), ("brain", 0.45), ("fluid", fluid)):
        image[masks[name]] = value
    return image[None, ..., None], masks


@pytest.mark.parametrize("fluid", [0.05, 0.95], ids=["T1", "T2"])
def test_the_tissue_start_of_a_ct_has_white_bone_and_dark_fluid_of_any_mri(fluid):
    image, masks = draw_mri(fluid)
    start = np.array(choose_start(image, find_air(image), "tissue", "target"))[0, ..., 0]
    brain = start[masks["brain"] & ~(np.hypot(*(np.mgrid[:96, :96] - 48)) < 8)]
    skull = start[masks["skull"] & ~masks["brain"]]
    assert np.median(brain) == pytest.approx(0.4, abs=0.05)
    assert start[masks["fluid"]].mean() < 0.3
    assert skull.mean() > 0.8 and not start[~masks["scalp"]].any()


def test_the_tissue_start_of_an_mri_has_black_bone_and_no_ring():
    """It follows from a pixel's intensity alone."""
    ct = np.linspace(0, 1, 64, dtype="float32").repeat(64).reshape(1, 64, 64, 1)
    start = np.array(choose_start(ct, np.zeros_like(ct), "tissue", "source"))[0, ..., 0]
    assert (start == start[:, :1]).all()
    at = {value: start[np.argmin(np.abs(ct[0, :, 0, 0] - value)), 0] for value in (0.2, 0.4, 1.0)}
    assert at[1.0] == pytest.approx(0, abs=0.01)
    assert at[0.2] < at[0.4] == pytest.approx(0.4, abs=0.01)
