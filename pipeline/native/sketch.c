/* Sketches of texts: the smallest hashes of their words, and how much two of them have in common (pipeline/core/sketch.py). */
#include "native.h"

#define MOST_WORDS 400
#define SIZE 24

static int
compare(const void *one, const void *other)
{
    uint32_t first = *(const uint32_t *)one, second = *(const uint32_t *)other;
    return (first > second) - (first < second);
}

/* Sort hashes and drop repeated ones; return how many are left. */
static Py_ssize_t
distinct(uint32_t *hashes, Py_ssize_t count)
{
    if (count <= SIZE) { /* a text has some ten: shifting them into place is quicker than a general sort */
        for (Py_ssize_t at = 1; at < count; at++) {
            uint32_t hash = hashes[at];
            Py_ssize_t place = at;
            for (; place > 0 && hashes[place - 1] > hash; place--) {
                hashes[place] = hashes[place - 1];
            }
            hashes[place] = hash;
        }
    }
    else {
        qsort(hashes, (size_t)count, sizeof *hashes, compare);
    }
    Py_ssize_t kept = 0;
    for (Py_ssize_t at = 0; at < count; at++) {
        if (kept == 0 || hashes[kept - 1] != hashes[at]) {
            hashes[kept++] = hashes[at];
        }
    }
    return kept;
}

/* Whether a word begins an address: its protocol. */
static int
is_protocol(PyObject *word)
{
    return PyUnicode_Check(word)
        && (PyUnicode_CompareWithASCIIString(word, "https") == 0 || PyUnicode_CompareWithASCIIString(word, "http") == 0);
}

/* Return a new reference to the hash of a word, None where it does not count; NULL on error. */
static PyObject *
hash_of(PyObject *module, PyObject *table, PyObject *word)
{
    PyObject *found = PyDict_GetItemWithError(table, word);
    if (found != NULL || PyErr_Occurred()) {
        return Py_XNewRef(found);
    }
    PyObject *rare = PyUnicode_Check(word) ? earshot_rare(module, table, 3) : NULL;
    if (rare == NULL) {
        return PyErr_Occurred() ? NULL : PyObject_GetItem(table, word);
    }
    Py_ssize_t length = PyUnicode_GET_LENGTH(word), at = 0, few = PyLong_AsSsize_t(PyTuple_GET_ITEM(rare, 2));
    while (at < length && Py_UNICODE_ISALPHA(PyUnicode_READ_CHAR(word, at))) {
        at++;
    }
    if (PyErr_Occurred()) {
        found = NULL;
    }
    else if (length > few && at == length) {
        found = PyObject_GetItem(table, word);
    }
    else if (earshot_keep(table, word, Py_None, rare) == 0) {
        found = Py_NewRef(Py_None);
    }
    Py_DECREF(rare);
    return found;
}

/* sketch(table, words, words of an address behind its protocol) -> (different hashes, the smallest as bytes, words that
 * have one). The table has a word's hash, or None where the word does not count. */
PyObject *
earshot_sketch(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    if (!earshot_takes(count, 3, "sketch")) {
        return NULL;
    }
    if (!PyDict_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError, "sketch() takes a dict");
        return NULL;
    }
    Py_ssize_t of_address = PyLong_AsSsize_t(args[2]), skip = 0;
    if (PyErr_Occurred()) {
        return NULL;
    }
    PyObject *words = PySequence_Fast(args[1], "words are a sequence"), *kept = NULL, *result = NULL;
    if (words == NULL || (kept = PyList_New(0)) == NULL) {
        goto done;
    }
    uint32_t hashes[MOST_WORDS];
    Py_ssize_t size = 0;
    for (Py_ssize_t at = 0; at < MOST_WORDS && at < PySequence_Fast_GET_SIZE(words); at++) {
        PyObject *word = PySequence_Fast_GET_ITEM(words, at);
        if (is_protocol(word)) {
            skip = of_address;
            continue;
        }
        if (skip) {
            skip--;
            continue;
        }
        PyObject *hash = hash_of(module, args[0], word);
        if (hash == NULL) {
            goto done;
        }
        if (hash == Py_None) {
            Py_DECREF(hash);
            continue;
        }
        unsigned long value = PyLong_AsUnsignedLong(hash);
        Py_DECREF(hash);
        if ((value == (unsigned long)-1 && PyErr_Occurred()) || PyList_Append(kept, word) < 0) {
            goto done;
        }
        hashes[size++] = (uint32_t)value;
    }
    size = distinct(hashes, size);
    result = Py_BuildValue("(ny#O)", size, (const char *)hashes, (size < SIZE ? size : SIZE) * 4, kept);
done:
    Py_XDECREF(kept);
    Py_XDECREF(words);
    return result;
}

/* in_common(sketch, sketch, least) -> the estimated Jaccard index, 0.0 where it is surely below `least` */
PyObject *
earshot_in_common(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    if (!earshot_takes(count, 3, "in_common")) {
        return NULL;
    }
    double least = PyFloat_AsDouble(args[2]);
    if (PyErr_Occurred()) {
        return NULL;
    }
    if (!PyBytes_Check(args[0]) || !PyBytes_Check(args[1]) || PyBytes_GET_SIZE(args[0]) > SIZE * 4
        || PyBytes_GET_SIZE(args[1]) > SIZE * 4) {
        PyErr_SetString(PyExc_TypeError, "in_common() takes two sketches");
        return NULL;
    }
    uint32_t one[SIZE], other[SIZE];
    Py_ssize_t ones = PyBytes_GET_SIZE(args[0]) / 4, others = PyBytes_GET_SIZE(args[1]) / 4;
    memcpy(one, PyBytes_AS_STRING(args[0]), (size_t)ones * 4);
    memcpy(other, PyBytes_AS_STRING(args[1]), (size_t)others * 4);
    /* One walk over both, in order: how many are in both, and how many of the SIZE smallest of all are. */
    Py_ssize_t at = 0, place = 0, both = 0, all = 0, both_small = 0;
    while (at < ones || place < others) {
        int is_both = at < ones && place < others && one[at] == other[place];
        int is_one = is_both || place == others || (at < ones && one[at] < other[place]);
        both += is_both;
        if (all < SIZE) {
            both_small += is_both;
        }
        all++;
        at += is_one;
        place += is_both || !is_one;
    }
    if ((double)both < least * (double)(ones > others ? ones : others)) {
        return PyFloat_FromDouble(0.0);
    }
    return all == 0 ? PyFloat_FromDouble(0.0)
                    : PyFloat_FromDouble((double)(all <= SIZE ? both : both_small) / (double)(all < SIZE ? all : SIZE));
}
