/* Small sums: phrases that carry feeling, and shares of departments. */
#include "native.h"

#include <math.h>

/* The valence of the longest phrase that begins at a word: the twin's `at`. -1 on error. */
static int
phrase_at(PyObject *phrases, PyObject **words, Py_ssize_t count, Py_ssize_t place, double *value)
{
    *value = 0.0;
    if (!PyTuple_Check(phrases)) {
        PyErr_SetString(PyExc_TypeError, "phrases are a tuple");
        return -1;
    }
    for (Py_ssize_t number = 0; number < PyTuple_GET_SIZE(phrases); number++) {
        PyObject *rest;
        int is_open;
        double says;
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(phrases, number), "O!pd", &PyTuple_Type, &rest, &is_open, &says)) {
            return -1;
        }
        Py_ssize_t size = PyTuple_GET_SIZE(rest), at = 0;
        if (place + 1 + size > count) {
            continue;
        }
        for (; at < size; at++) {
            PyObject *wanted = PyTuple_GET_ITEM(rest, at), *word = words[place + 1 + at];
            Py_ssize_t fits = wanted == word;
            if (!fits) {
                fits = is_open && at == size - 1 ? PyUnicode_Tailmatch(word, wanted, 0, PY_SSIZE_T_MAX, -1)
                                                 : PyUnicode_Compare(word, wanted) == 0;
            }
            if (fits < 0 || PyErr_Occurred()) {
                return -1;
            }
            if (!fits) {
                break;
            }
        }
        if (at == size) {
            *value = says;
            return 0;
        }
    }
    return 0;
}

/* phrases(first word -> (is it a phrase alone, second words, their beginnings), first word -> phrases, words, most)
 * -> the sum of the valences of the phrases in the first `most` words */
PyObject *
earshot_phrases(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    if (!earshot_takes(count, 4, "phrases")) {
        return NULL;
    }
    Py_ssize_t most = PyLong_AsSsize_t(args[3]);
    if (PyErr_Occurred()) {
        return NULL;
    }
    if (!PyDict_Check(args[0]) || !PyDict_Check(args[1])) {
        PyErr_SetString(PyExc_TypeError, "phrases() takes two dicts");
        return NULL;
    }
    PyObject *sequence = PySequence_Fast(args[2], "words are a sequence");
    if (sequence == NULL) {
        return NULL;
    }
    PyObject **words = PySequence_Fast_ITEMS(sequence);
    Py_ssize_t length = PySequence_Fast_GET_SIZE(sequence);
    length = length < most ? length : most;
    double total = 0.0;
    for (Py_ssize_t at = 0; at < length; at++) {
        PyObject *following = PyDict_GetItemWithError(args[0], words[at]);
        if (following == NULL) {
            if (PyErr_Occurred()) {
                goto failed;
            }
            continue;
        }
        int is_alone;
        PyObject *seconds, *beginnings;
        if (!PyArg_ParseTuple(following, "pOO!", &is_alone, &seconds, &PyTuple_Type, &beginnings)) {
            goto failed;
        }
        int takes = is_alone;
        if (!takes && at + 1 < length) {
            takes = PySet_Contains(seconds, words[at + 1]);
            if (takes == 0) {
                takes = earshot_begins(words[at + 1], beginnings);
            }
        }
        if (takes < 0) {
            goto failed;
        }
        if (takes) {
            PyObject *known = PyDict_GetItemWithError(args[1], words[at]);
            double value = 0.0;
            if (known == NULL ? PyErr_Occurred() != NULL : phrase_at(known, words, length, at, &value) < 0) {
                goto failed;
            }
            total += value;
        }
    }
    Py_DECREF(sequence);
    return PyFloat_FromDouble(total);
failed:
    Py_DECREF(sequence);
    return NULL;
}

/* round(share, 4) for 0 to 1, to the last bit as Python rounds: the product is so near the exact one that only a share
 * hard by the middle between two results needs Python's own way, and a quotient of whole numbers is what the decimal
 * number reads as. */
static PyObject *
rounded(double share)
{
    double grown = share * 10000.0, whole = rint(grown);
    if (fabs(fabs(grown - whole) - 0.5) > 1e-9) {
        return PyFloat_FromDouble(whole / 10000.0);
    }
    PyObject *exact = PyFloat_FromDouble(share), *result = NULL;
    if (exact != NULL) {
        result = PyObject_CallMethod(exact, "__round__", "i", 4);
        Py_DECREF(exact);
    }
    return result;
}

/* shares(sums of the four departments, temperature) -> [share, ...]: softmax, rounded to four digits */
PyObject *
earshot_shares(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    if (!earshot_takes(count, 2, "shares")) {
        return NULL;
    }
    double sums[4], top, whole = 0.0, temperature = PyFloat_AsDouble(args[1]);
    if (PyErr_Occurred()) {
        return NULL;
    }
    PyObject *given = PySequence_Fast(args[0], "sums are a sequence");
    if (given == NULL) {
        return NULL;
    }
    if (PySequence_Fast_GET_SIZE(given) != 4) {
        PyErr_SetString(PyExc_ValueError, "there are four departments");
        Py_DECREF(given);
        return NULL;
    }
    for (Py_ssize_t at = 0; at < 4; at++) {
        sums[at] = PyFloat_AsDouble(PySequence_Fast_GET_ITEM(given, at));
    }
    Py_DECREF(given);
    if (PyErr_Occurred()) {
        return NULL;
    }
    top = sums[0];
    for (Py_ssize_t at = 1; at < 4; at++) {
        top = sums[at] > top ? sums[at] : top;
    }
    for (Py_ssize_t at = 0; at < 4; at++) {
        sums[at] = exp((sums[at] - top) / temperature);
    }
    whole = sums[0] + sums[1] + sums[2] + sums[3];
    PyObject *result = PyList_New(4);
    for (Py_ssize_t at = 0; result != NULL && at < 4; at++) {
        PyObject *share = rounded(sums[at] / whole);
        if (share == NULL) {
            Py_CLEAR(result);
            break;
        }
        PyList_SET_ITEM(result, at, share);
    }
    return result;
}
