"""The law of gradients: adjoint identities, exact in integers, and central differences."""

import itertools

import numpy as np
import pytest
from reference_tools import GEOMETRIES, POOLINGS, central_difference, inner, integers, nhwc, rng, rsck

from convfast import reference as ref

INF, NAN = np.inf, np.nan


class TestConvGradients:
    """For integers the adjoint identity <conv(x, w), g> = <x, input_grad(g, w)> = <w, weight_grad(x, g)> is exact."""

    @pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric", "wrap"])
    @pytest.mark.parametrize("options", GEOMETRIES)
    def test_adjoint(self, options, mode):
        for groups, last in itertools.product([1, 2], [False, True]):
            x, w = integers(2, 4, 5, 6), integers(6, 4 // groups, 2, 3)
            layout = {"data_format": "NHWC" if last else "NCHW"}
            x, w = (nhwc(x), rsck(w)) if last else (x, w)
            every = dict(groups=groups, padding_mode=mode, **layout, **options)
            y = ref.conv2d(x, w, **every)
            g = integers(*y.shape)
            dx = ref.conv2d_input_grad(g, w, x.shape, **every)
            dw = ref.conv2d_weight_grad(x, g, (2, 3), **every)
            assert (dx.shape, dw.shape) == (x.shape, w.shape)
            assert inner(y, g) == inner(x, dx) == inner(w, dw)

    def test_central_differences(self):
        x, w = rng.normal(size=(2, 4, 4, 5)), rng.normal(size=(6, 2, 2, 3))
        options = {
            "stride": (1, 2),
            "padding": ((1, 0), (2, 1)),
            "dilation": (2, 1),
            "groups": 2,
            "padding_mode": "reflect",
        }
        g = rng.normal(size=ref.conv2d(x, w, **options).shape)
        dx = central_difference(lambda x: inner(g, ref.conv2d(x, w, **options)), x)
        dw = central_difference(lambda w: inner(g, ref.conv2d(x, w, **options)), w)
        np.testing.assert_allclose(ref.conv2d_input_grad(g, w, x.shape, **options), dx, atol=1e-8)
        np.testing.assert_allclose(ref.conv2d_weight_grad(x, g, (2, 3), **options), dw, atol=1e-8)

    def test_ranks(self):
        x, w, g = integers(1, 1, 5, 6), integers(1, 1, 2, 3), integers(1, 1, 4, 4)
        dx, dw = ref.conv2d_input_grad(g, w, x.shape), ref.conv2d_weight_grad(x, g, (2, 3))
        np.testing.assert_array_equal(ref.conv2d_input_grad(g[0], w, (1, 5, 6)), dx[0])
        np.testing.assert_array_equal(ref.conv2d_input_grad(g[0, 0], w[0, 0], (5, 6)), dx[0, 0])
        np.testing.assert_array_equal(ref.conv2d_weight_grad(x[0], g[0], (2, 3)), dw)
        np.testing.assert_array_equal(ref.conv2d_weight_grad(x[0, 0], g[0, 0], (2, 3)), dw[0, 0])

    def test_gradient_ascent_on_the_pixels(self):
        """A step along the input gradient of |y|^2 / 2, which is y itself sent back, makes the layer louder."""
        x, w = rng.normal(size=(3, 8, 8)), rng.normal(size=(4, 3, 3, 3))
        y = ref.conv2d(x, w, padding="same")
        louder = ref.conv2d(x + 0.01 * ref.conv2d_input_grad(y, w, x.shape, padding="same"), w, padding="same")
        assert np.linalg.norm(louder) > np.linalg.norm(y)

    @pytest.mark.parametrize("shape", [(2, 6, 4, 5), (2, 5, 4, 4), (1, 6, 4, 4), (6, 4, 4)])
    def test_wrong_grad(self, shape):
        x, w, g = np.ones((2, 4, 5, 6)), np.ones((6, 4, 2, 3)), np.ones(shape)
        with pytest.raises(ValueError, match=r"grad|rank"):
            ref.conv2d_input_grad(g, w, x.shape)
        if shape != (2, 5, 4, 4):  # five filters would be as good as six
            with pytest.raises(ValueError, match=r"grad|rank"):
                ref.conv2d_weight_grad(x, g, (2, 3))


class TestPoolGradients:
    @pytest.mark.parametrize("options", POOLINGS)
    def test_max_pool2d(self, options):
        x = rng.permutation(60).reshape(2, 1, 5, 6).astype(float)  # no ties
        g = rng.normal(size=ref.max_pool2d(x, (3, 2), **options).shape)
        dx = central_difference(lambda x: inner(g, ref.max_pool2d(x, (3, 2), **options)), x)
        np.testing.assert_allclose(ref.max_pool2d_grad(g, x, (3, 2), **options), dx, atol=1e-8)
        last = ref.max_pool2d_grad(nhwc(g), nhwc(x), (3, 2), data_format="NHWC", **options)
        np.testing.assert_allclose(last, nhwc(dx), atol=1e-8)

    @pytest.mark.parametrize("include", [None, False, True])
    @pytest.mark.parametrize("options", POOLINGS)
    def test_avg_pool2d(self, options, include):
        x = rng.normal(size=(2, 3, 5, 6))
        options = {"count_include_pad": include, **options}
        y = ref.avg_pool2d(x, (3, 2), **options)
        g = rng.normal(size=y.shape)
        dx = ref.avg_pool2d_grad(g, x.shape, (3, 2), **options)
        np.testing.assert_allclose(inner(y, g), inner(x, dx))
        last = ref.avg_pool2d_grad(nhwc(g), nhwc(x).shape, (3, 2), data_format="NHWC", **options)
        np.testing.assert_array_equal(last, nhwc(dx))

    def test_the_first_of_equals_takes_all(self):
        assert ref.max_pool2d_grad([[5.0]], np.zeros((2, 2)), 2).tolist() == [[5, 0], [0, 0]]
        assert ref.max_pool2d_grad([[5.0]], [[0, NAN], [NAN, INF]], 2).tolist() == [[0, 5], [0, 0]]

    def test_divisors(self):
        g = np.ones((1, 2))
        assert ref.avg_pool2d_grad(g, (1, 3), (1, 2), ceil_mode=True).tolist() == [[0.5, 0.5, 1]]
        assert ref.avg_pool2d_grad(g, (1, 3), (1, 2), ceil_mode=True, divisor_override=4).tolist() == [[0.25] * 3]

    def test_wrong_grad(self):
        for g in np.ones((2, 2)), np.ones((1, 3, 3)):
            with pytest.raises(ValueError, match="grad"):
                ref.max_pool2d_grad(g, np.ones((3, 3)), 1)
            with pytest.raises(ValueError, match="grad"):
                ref.avg_pool2d_grad(g, (3, 3), 1)
