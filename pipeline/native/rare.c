/* Words that a table has not seen. Of those that come by, most say nothing, and that is found out here as the twin's own
 * `__missing__` would: it is asked only about what may say something, and where a table is full and has to begin anew.
 *
 * What a long number says is not kept by what is written here: it seldom comes again, and a table without them stays small
 * enough for the processor's cache.
 */
#include "native.h"

PyObject *
earshot_rare(PyObject *module, PyObject *table, Py_ssize_t size)
{
    const Kept *kept = PyModule_GetState(module);
    PyObject *rare = PyObject_GetAttr(table, kept->rare);
    if (rare == NULL) {
        if (PyErr_ExceptionMatches(PyExc_AttributeError)) {
            PyErr_Clear();
        }
        return NULL;
    }
    if (!earshot_is_tuple(rare, size, "what a table knows about new words is a tuple")) {
        Py_DECREF(rare);
        return NULL;
    }
    Py_ssize_t most = PyLong_AsSsize_t(PyTuple_GET_ITEM(rare, 0));
    if ((most == -1 && PyErr_Occurred()) || PyDict_GET_SIZE(table) >= most) {
        Py_DECREF(rare);
        return NULL;
    }
    return rare;
}

/* Whether a word has more digits than a year or a product's name. */
static int
is_number(PyObject *word)
{
    int kind = PyUnicode_KIND(word), digits = 0;
    const void *data = PyUnicode_DATA(word);
    for (Py_ssize_t at = 0; at < PyUnicode_GET_LENGTH(word); at++) {
        Py_UCS4 sign = PyUnicode_READ(kind, data, at);
        digits += sign >= '0' && sign <= '9';
    }
    return digits > 4;
}

int
earshot_keep(PyObject *table, PyObject *word, PyObject *value, PyObject *rare)
{
    Py_ssize_t longest = PyLong_AsSsize_t(PyTuple_GET_ITEM(rare, 1));
    if (longest == -1 && PyErr_Occurred()) {
        return -1;
    }
    return PyUnicode_GET_LENGTH(word) > longest || is_number(word) ? 0 : PyDict_SetItem(table, word, value);
}

static int
is_among(unsigned char sign, const char *edges)
{
    return sign != 0 && strchr(edges, sign) != NULL;
}

void
earshot_between(PyObject *chunk, const char *edges, Py_ssize_t *start, Py_ssize_t *end)
{
    const unsigned char *letters = PyUnicode_1BYTE_DATA(chunk);
    *start = 0;
    *end = PyUnicode_GET_LENGTH(chunk);
    while (*start < *end && is_among(letters[*start], edges)) {
        ++*start;
    }
    while (*end > *start && is_among(letters[*end - 1], edges)) {
        --*end;
    }
}

PyObject *
earshot_lowered(PyObject *chunk, Py_ssize_t start, Py_ssize_t end)
{
    const unsigned char *letters = PyUnicode_1BYTE_DATA(chunk);
    PyObject *lower = PyUnicode_New(end - start, 127);
    if (lower != NULL) {
        Py_UCS1 *into = PyUnicode_1BYTE_DATA(lower);
        for (Py_ssize_t at = start; at < end; at++) {
            into[at - start] = letters[at] >= 'A' && letters[at] <= 'Z' ? letters[at] | 0x20 : letters[at];
        }
    }
    return lower;
}
