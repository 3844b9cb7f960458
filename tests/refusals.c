/* refusals.c — for test_c_api.py: what the functions say to options that Python's doors never let through. */
#include <Python.h>
#include <convfast/convfast.h>

#define TOLD(status) PyUnicode_FromString(cf_status_text(status))

static const ptrdiff_t x[] = {1, 4, 5, 6}, w[] = {2, 4, 3, 3}, empty[] = {1, 4, 0, 6};

static PyObject *convolutions(PyObject *self, PyObject *unused)
{
    (void)self, (void)unused;
    cf_conv2d_shape shape;
    cf_conv2d_explanation told;
    const cf_conv2d_options plain = cf_conv2d_defaults();
    cf_conv2d_options still = plain, negative = plain, around = plain, grouped = plain;
    cf_conv2d_options unknown = plain, unnamed = plain;
    still.stride[1] = 0;
    negative.pad[0][1] = -1;
    around.pad[0][0] = 3, around.padding_mode = CF_MODE_EDGE;
    grouped.groups = 0;
    unknown.algorithm = "fastest";
    unnamed.algorithm = NULL;
    cf_conv2d_explain(&plain, CF_F32, x, w, &told); /* what it decides must serve no other name */
    return Py_BuildValue("[NNNNNNnn]", TOLD(cf_conv2d_geometry(&still, x, w, &shape)),
                         TOLD(cf_conv2d_geometry(&negative, x, w, &shape)),
                         TOLD(cf_conv2d_geometry(&around, empty, w, &shape)),
                         TOLD(cf_conv2d_explain(&grouped, CF_F32, x, w, &told)),
                         TOLD(cf_conv2d_explain(&unknown, CF_F32, x, w, &told)),
                         TOLD(cf_conv2d_explain(&unnamed, CF_F32, x, w, &told)),
                         (Py_ssize_t)cf_conv2d_packed_bytes(&plain, CF_F32, w),
                         (Py_ssize_t)cf_conv2d_packed_bytes(&unnamed, CF_F32, w));
}

static PyObject *others(PyObject *self, PyObject *unused)
{
    (void)self, (void)unused;
    cf_axis axes[2];
    ptrdiff_t out[2];
    cf_pool2d_options pool = cf_pool2d_defaults(2, 3), adaptive = cf_pool2d_defaults(0, 2);
    cf_pad2d_options pad = {{{0, 0}, {0, 0}}, {0, -1}, CF_MODE_CONSTANT, 0}, spread = pad;
    PyObject *found = TOLD(cf_pool2d_geometry(&pool, x, axes));
    pool.dilation[0] = 0;
    adaptive.adaptive = 1;
    spread.interior[1] = 1, spread.mode = CF_MODE_WRAP;
    return Py_BuildValue("[NNNNN]", found, TOLD(cf_pool2d_geometry(&pool, x, axes)),
                         TOLD(cf_pool2d_geometry(&adaptive, x, axes)), TOLD(cf_pad2d_geometry(&pad, x, out)),
                         TOLD(cf_pad2d_geometry(&spread, x, out)));
}

/* What must not end the process: filters without a tap, a negative number of threads, the dtype of a bias that is not. */
static PyObject *survived(PyObject *self, PyObject *unused)
{
    (void)self, (void)unused;
    static const ptrdiff_t planes[] = {1, 1, 4, 4}, taps[] = {1, 1, 3, 3}, no_taps[] = {1, 1, 0, 3};
    static float numbers[16], filter[9], result[16];
    cf_conv2d_options direct = cf_conv2d_defaults();
    direct.algorithm = "direct";
    direct.padding = CF_PAD_SAME;
    const Py_ssize_t bytes = (Py_ssize_t)cf_conv2d_packed_bytes(&direct, CF_F32, no_taps);
    const int before = cf_get_threads();
    cf_set_threads(-3);
    const int threads = cf_get_threads();
    cf_set_threads(before);
    const cf_vector none = {NULL, (cf_dtype)77, 0};
    const cf_array grad = cf_images(numbers, CF_F32, planes, 0), w = cf_filters(filter, CF_F32, taps, 0);
    const cf_array dx = cf_images(result, CF_F32, planes, 0);
    const cf_status status = cf_conv2d_input_grad(&direct, &grad, &w, none, &dx);
    return Py_BuildValue("niN", bytes, threads, TOLD(status));
}

static PyMethodDef methods[] = {{"convolutions", convolutions, METH_NOARGS, NULL},
                                {"others", others, METH_NOARGS, NULL},
                                {"survived", survived, METH_NOARGS, NULL},
                                {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {.m_base = PyModuleDef_HEAD_INIT, .m_name = "refusals", .m_methods = methods};

PyMODINIT_FUNC PyInit_refusals(void) { return convfast_import() < 0 ? NULL : PyModule_Create(&module); }
