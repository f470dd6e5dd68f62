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
        PyObject *phrase = PyTuple_GET_ITEM(phrases, number);
        if (!earshot_is_tuple(phrase, 3, "a phrase is a tuple of three")) {
            return -1;
        }
        PyObject *rest = PyTuple_GET_ITEM(phrase, 0);
        if (!PyTuple_Check(rest)) {
            PyErr_SetString(PyExc_TypeError, "the rest of a phrase is a tuple");
            return -1;
        }
        int is_open = PyTuple_GET_ITEM(phrase, 1) == Py_True;
        double says = PyFloat_AsDouble(PyTuple_GET_ITEM(phrase, 2));
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
        if (!earshot_is_tuple(following, 3, "what follows is a tuple of three")) {
            goto failed;
        }
        PyObject *seconds = PyTuple_GET_ITEM(following, 1), *beginnings = PyTuple_GET_ITEM(following, 2);
        int takes = PyTuple_GET_ITEM(following, 0) == Py_True;
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

/* round(value, digits) to the last bit as Python rounds: the product of a small number is so near the exact one that only
 * what is hard by the middle between two results needs Python's own way, and a quotient of whole numbers is what the
 * decimal number reads as. */
PyObject *
earshot_round(double value, int digits)
{
    static const double POWERS[] = {1.0, 10.0, 100.0, 1000.0, 10000.0};
    if (digits >= 0 && digits <= 4 && fabs(value) < 1000.0) {
        double grown = value * POWERS[digits], whole = rint(grown);
        if (fabs(fabs(grown - whole) - 0.5) > 1e-8) {
            return PyFloat_FromDouble(whole / POWERS[digits]);
        }
    }
    PyObject *exact = PyFloat_FromDouble(value), *result = NULL;
    if (exact != NULL) {
        result = PyObject_CallMethod(exact, "__round__", "i", digits);
        Py_DECREF(exact);
    }
    return result;
}

/* rounded(value, digits) -> round(float(value), digits) */
PyObject *
earshot_rounded(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    if (!earshot_takes(count, 2, "rounded")) {
        return NULL;
    }
    double value = PyFloat_AsDouble(args[0]);
    long digits = PyLong_AsLong(args[1]);
    if (PyErr_Occurred()) {
        return NULL;
    }
    if (digits < -400 || digits > 400) {
        PyErr_SetString(PyExc_ValueError, "digits are few");
        return NULL;
    }
    return earshot_round(value, (int)digits);
}

/* shares(sums of the four departments, temperature, their names) -> {name: share}: softmax, rounded to four digits */
PyObject *
earshot_shares(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    if (!earshot_takes(count, 3, "shares")
        || !earshot_is_tuple(args[2], 4, "there are four departments")) {
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
    PyObject *result = PyDict_New();
    for (Py_ssize_t at = 0; result != NULL && at < 4; at++) {
        PyObject *share = earshot_round(sums[at] / whole, 4);
        if (share == NULL || PyDict_SetItem(result, PyTuple_GET_ITEM(args[2], at), share) < 0) {
            Py_CLEAR(result);
        }
        Py_XDECREF(share);
    }
    return result;
}
