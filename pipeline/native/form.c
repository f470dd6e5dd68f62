/* How likely an English text is negative, neutral or positive, by its tone and its form: the sums of
 * pipeline/core/sentiment/form.py. */
#include "native.h"

#include <math.h>

/* In the order in which the twin packs them. */
typedef struct {
    double tone, negative, neutral, positive, reported, honest, slower, alpha;
} Numbers;

#define FIVES 8 /* of words, from which more say no more */

/* Return a new reference to what a form adds; one that is not known is asked of `sums`. */
static PyObject *
look_up(PyObject *known, PyObject *sums, long form, PyObject *intents)
{
    PyObject *number = PyLong_FromLong(form), *key = number == NULL ? NULL : PyTuple_Pack(2, number, intents), *found = NULL;
    if (key != NULL && (found = PyDict_GetItemWithError(known, key)) != NULL) {
        Py_INCREF(found);
    }
    else if (key != NULL && !PyErr_Occurred()) {
        found = PyObject_CallFunctionObjArgs(sums, number, intents, NULL);
    }
    Py_XDECREF(number);
    Py_XDECREF(key);
    return found;
}

/* feeling((known, sums, persons, denials, numbers), total, text, words, intents) -> (label: 0 negative, 1 neutral,
 * 2 positive; score; confidence) */
PyObject *
earshot_feeling(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    if (!earshot_takes(count, 5, "feeling") || !earshot_is_tuple(args[0], 5, "feeling() takes a tuple of five first")) {
        return NULL;
    }
    PyObject *known = PyTuple_GET_ITEM(args[0], 0), *persons = PyTuple_GET_ITEM(args[0], 2);
    PyObject *denials = PyTuple_GET_ITEM(args[0], 3), *packed = PyTuple_GET_ITEM(args[0], 4);
    PyObject *text = args[2], *words = args[3];
    double total = PyFloat_AsDouble(args[1]);
    if (PyErr_Occurred()) {
        return NULL;
    }
    if (!PyDict_Check(known) || !PyAnySet_Check(persons) || !PyAnySet_Check(denials) || !PyUnicode_Check(text)
        || !(PyList_Check(words) || PyTuple_Check(words)) || !PyBytes_Check(packed) || PyBytes_GET_SIZE(packed) != (Py_ssize_t)sizeof(Numbers)) {
        PyErr_SetString(PyExc_TypeError, "feeling() takes a dict, sets, numbers, a text and its words");
        return NULL;
    }
    Numbers by;
    memcpy(&by, PyBytes_AS_STRING(packed), sizeof(Numbers));
    double tone = total / sqrt(total * total + by.alpha);
    int has_link = earshot_has(text, "http"), denies = earshot_has_one(denials, words);
    if (denies < 0) {
        return NULL;
    }
    if (has_link && tone < 0 && !earshot_has(text, "@")) {
        int speaks = earshot_has_one(persons, words);
        if (speaks < 0) {
            return NULL;
        }
        tone = speaks ? tone : tone * by.reported;
    }
    Py_ssize_t fives = PySequence_Fast_GET_SIZE(words) / 5;
    int is_addressed = PyUnicode_GET_LENGTH(text) > 0 && PyUnicode_READ_CHAR(text, 0) == '@';
    long form = (long)(fives < FIVES ? fives : FIVES) << 5 | has_link << 4 | is_addressed << 3 | earshot_has(text, "?") << 2
                | earshot_has(text, "!") << 1 | denies;
    PyObject *vector = look_up(known, PyTuple_GET_ITEM(args[0], 1), form, args[4]);
    if (vector == NULL) {
        return NULL;
    }
    double adds[3] = {0.0, 0.0, 0.0};
    if (earshot_is_tuple(vector, 3, "a form adds three numbers")) {
        for (Py_ssize_t at = 0; at < 3; at++) {
            adds[at] = PyFloat_AsDouble(PyTuple_GET_ITEM(vector, at));
        }
    }
    Py_DECREF(vector);
    if (PyErr_Occurred()) {
        return NULL;
    }
    double size = fabs(tone);
    double negative = exp(adds[0] - by.tone * tone + by.negative * size);
    double neutral = exp(adds[1] + by.neutral * size);
    double positive = exp(adds[2] + by.tone * tone + by.positive * size);
    double whole = negative + neutral + positive;
    negative /= whole;
    neutral /= whole;
    positive /= whole;
    int label = neutral >= negative && neutral >= positive ? 1 : negative >= positive ? 0 : 2;
    double share = label == 1 ? neutral : label == 0 ? negative : positive;
    double confidence = share <= by.honest ? share : by.honest + by.slower * (share - by.honest);
    return Py_BuildValue("(idd)", label, positive - negative, confidence);
}
