/* Signs of a text that are looked for one by one, and the chunks of a text with what queries ask of them.
 *
 * A set of signs is a bit for each code: bytes made by the twin, the lowest bit first. Codes beyond its end are not in it.
 */
#include "native.h"

static int
is_in(const unsigned char *set, Py_ssize_t size, Py_UCS4 sign)
{
    return (Py_ssize_t)(sign >> 3) < size && (set[sign >> 3] >> (sign & 7) & 1);
}

/* Return the place of the first sign of a set from `at` on, the length of the text where there is none. */
static Py_ssize_t
next_sign(PyObject *text, Py_ssize_t at, PyObject *set)
{
    int kind = PyUnicode_KIND(text);
    const void *data = PyUnicode_DATA(text);
    Py_ssize_t length = PyUnicode_GET_LENGTH(text), size = PyBytes_GET_SIZE(set);
    const unsigned char *bits = (const unsigned char *)PyBytes_AS_STRING(set);
    while (at < length && !is_in(bits, size, PyUnicode_READ(kind, data, at))) {
        at++;
    }
    return at;
}

static int
takes_set(PyObject *set, PyObject *text, const char *name)
{
    if (PyBytes_Check(set) && PyUnicode_Check(text)) {
        return 1;
    }
    PyErr_Format(PyExc_TypeError, "%s() takes a set of signs and a text", name);
    return 0;
}

/* has_sign(set, text) -> whether a sign of the set is in the text */
PyObject *
earshot_has_sign(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    if (!earshot_takes(count, 2, "has_sign") || !takes_set(args[0], args[1], "has_sign")) {
        return NULL;
    }
    return PyBool_FromLong(next_sign(args[1], 0, args[0]) < PyUnicode_GET_LENGTH(args[1]));
}

static int
is_digit(Py_UCS4 sign)
{
    return sign >= '0' && sign <= '9';
}

/* has_number(text) -> whether the text has five digits in a row, or a digit with ` p`, `p`, `/m` or `/w` behind it, of
 * either case. What it says no to has none of the numbers that advertisements have. */
PyObject *
earshot_has_number(PyObject *Py_UNUSED(module), PyObject *text)
{
    if (!PyUnicode_Check(text)) {
        return PyErr_Format(PyExc_TypeError, "has_number() takes a text, not %.100s", Py_TYPE(text)->tp_name);
    }
    int kind = PyUnicode_KIND(text);
    const void *data = PyUnicode_DATA(text);
    Py_ssize_t length = PyUnicode_GET_LENGTH(text), digits = 0;
    for (Py_ssize_t at = 0; at < length; at++) {
        Py_UCS4 sign = PyUnicode_READ(kind, data, at);
        if (is_digit(sign)) {
            if (++digits == 5) {
                Py_RETURN_TRUE;
            }
            continue;
        }
        if (digits) {
            Py_UCS4 next = at + 1 < length ? PyUnicode_READ(kind, data, at + 1) | 0x20 : 0;
            if ((sign | 0x20) == 'p' || (sign == ' ' && next == 'p') || (sign == '/' && (next == 'm' || next == 'w'))) {
                Py_RETURN_TRUE;
            }
            digits = 0;
        }
    }
    Py_RETURN_FALSE;
}

/* Append text[start:end] to the parts, unless it is empty, and steal nothing; -1 on error. */
static int
append_between(PyObject *parts, PyObject *text, Py_ssize_t start, Py_ssize_t end)
{
    if (start == end) {
        return 0;
    }
    PyObject *part = PyUnicode_Substring(text, start, end);
    int result = part == NULL ? -1 : PyList_Append(parts, part);
    Py_XDECREF(part);
    return result;
}

/* replaced(set, sign -> text, text) -> the text with every sign of the set replaced */
PyObject *
earshot_replaced(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    if (!earshot_takes(count, 3, "replaced") || !takes_set(args[0], args[2], "replaced")) {
        return NULL;
    }
    PyObject *set = args[0], *table = args[1], *text = args[2];
    if (!PyDict_Check(table)) {
        PyErr_SetString(PyExc_TypeError, "replaced() takes a dict");
        return NULL;
    }
    Py_ssize_t length = PyUnicode_GET_LENGTH(text), at = next_sign(text, 0, set), start = 0;
    if (at == length) {
        return Py_NewRef(text);
    }
    PyObject *parts = PyList_New(0), *result = NULL;
    if (parts == NULL) {
        return NULL;
    }
    for (; at < length; at = next_sign(text, start, set)) {
        PyObject *sign = PyUnicode_FromOrdinal((int)PyUnicode_READ_CHAR(text, at));
        PyObject *other = sign == NULL ? NULL : earshot_look_up(table, sign);
        int failed = other == NULL || append_between(parts, text, start, at) < 0 || PyList_Append(parts, other) < 0;
        Py_XDECREF(sign);
        Py_XDECREF(other);
        if (failed) {
            goto done;
        }
        start = at + 1;
    }
    if (append_between(parts, text, start, length) == 0) {
        PyObject *nothing = PyUnicode_FromString("");
        result = nothing == NULL ? NULL : PyUnicode_Join(nothing, parts);
        Py_XDECREF(nothing);
    }
done:
    Py_DECREF(parts);
    return result;
}

/* places(chunk -> positions, chunks) -> the positions of all chunks, one after another */
PyObject *
earshot_places(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    if (!earshot_takes(count, 2, "places")) {
        return NULL;
    }
    if (!PyDict_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError, "places() takes a dict");
        return NULL;
    }
    PyObject *chunks = PySequence_Fast(args[1], "chunks are a sequence"), *result = NULL;
    if (chunks == NULL || (result = PyList_New(0)) == NULL) {
        Py_XDECREF(chunks);
        return NULL;
    }
    for (Py_ssize_t at = 0; at < PySequence_Fast_GET_SIZE(chunks); at++) {
        PyObject *found = earshot_look_up(args[0], PySequence_Fast_GET_ITEM(chunks, at));
        if (found == NULL || !PyTuple_Check(found)) {
            if (found != NULL) {
                PyErr_SetString(PyExc_TypeError, "positions are a tuple");
            }
            Py_XDECREF(found);
            Py_CLEAR(result);
            break;
        }
        for (Py_ssize_t place = 0; place < PyTuple_GET_SIZE(found); place++) {
            if (PyList_Append(result, PyTuple_GET_ITEM(found, place)) < 0) {
                Py_CLEAR(result);
                break;
            }
        }
        Py_DECREF(found);
        if (result == NULL) {
            break;
        }
    }
    Py_DECREF(chunks);
    return result;
}
