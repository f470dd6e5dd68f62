/* Wordings of rules found in the words of a text: the walk of pipeline/core/routing/wordings.py.
 *
 * A node is a tuple: a dictionary of the words that go on, pairs (beginning of a word, node), numbers it stands for.
 * A start is a tuple: nodes, what they say by themselves, the words they go on with, and beginnings of such words.
 * Where one word ends a wording and begins several others the walk branches, as deep as the longest wording.
 */
#include "wordings.h"

void
earshot_begin_hits(Hits *hits)
{
    hits->items = hits->few;
    hits->count = 0;
    hits->room = (Py_ssize_t)(sizeof hits->few / sizeof hits->few[0]);
}

void
earshot_end_hits(Hits *hits)
{
    for (Py_ssize_t at = 0; at < hits->count; at++) {
        Py_DECREF(hits->items[at].says);
    }
    if (hits->items != hits->few) {
        PyMem_Free(hits->items);
    }
}

static int
add_hit(Hits *hits, Py_ssize_t start, Py_ssize_t end, PyObject *says)
{
    if (hits->count == hits->room) {
        Hit *items = PyMem_New(Hit, (size_t)hits->room * 2);
        if (items == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        memcpy(items, hits->items, (size_t)hits->count * sizeof(Hit));
        if (hits->items != hits->few) {
            PyMem_Free(hits->items);
        }
        hits->items = items;
        hits->room *= 2;
    }
    /* By place, the longer first, equals as they came. Starts only grow, so this looks at hits of one place. */
    Py_ssize_t at = hits->count++;
    while (at > 0 && hits->items[at - 1].start == start && hits->items[at - 1].end < end) {
        hits->items[at] = hits->items[at - 1];
        at--;
    }
    hits->items[at] = (Hit){start, end, Py_NewRef(says)};
    return 0;
}

static int
is_node(PyObject *node)
{
    return PyTuple_Check(node) && PyTuple_GET_SIZE(node) == 3 && PyDict_Check(PyTuple_GET_ITEM(node, 0))
        && PyTuple_Check(PyTuple_GET_ITEM(node, 1)) && PyTuple_Check(PyTuple_GET_ITEM(node, 2));
}

/* Follow a node over the words from `end` on. `words` are `length` borrowed words that live as long as the call. */
static int
walk(PyObject *node, PyObject **words, Py_ssize_t length, Py_ssize_t start, Py_ssize_t end, Hits *hits)
{
    for (;; end++) {
        if (!is_node(node)) {
            PyErr_SetString(PyExc_TypeError, "a node is (dict, tuple, tuple)");
            return -1;
        }
        PyObject *goes_on = PyTuple_GET_ITEM(node, 0), *prefixes = PyTuple_GET_ITEM(node, 1);
        PyObject *says = PyTuple_GET_ITEM(node, 2);
        if (PyTuple_GET_SIZE(says) && add_hit(hits, start, end, says) < 0) {
            return -1;
        }
        if (end >= length) {
            return 0;
        }
        PyObject *next = PyDict_GetItemWithError(goes_on, words[end]);
        if (next == NULL && PyErr_Occurred()) {
            return -1;
        }
        if (PyTuple_GET_SIZE(prefixes)) {
            if (next != NULL && walk(next, words, length, start, end + 1, hits) < 0) {
                return -1;
            }
            for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(prefixes); at++) {
                PyObject *pair = PyTuple_GET_ITEM(prefixes, at);
                if (!earshot_is_tuple(pair, 2, "a beginning is a pair")) {
                    return -1;
                }
                Py_ssize_t fits = PyUnicode_Tailmatch(words[end], PyTuple_GET_ITEM(pair, 0), 0, PY_SSIZE_T_MAX, -1);
                if (fits < 0 || (fits && walk(PyTuple_GET_ITEM(pair, 1), words, length, start, end + 1, hits) < 0)) {
                    return -1;
                }
            }
            return 0;
        }
        if (next == NULL) {
            return 0;
        }
        node = next;
    }
}

/* Add what begins at one word. `begun` is its start: (nodes, says, goes on, prefixes). */
static int
from_start(PyObject *begun, PyObject **words, Py_ssize_t length, Py_ssize_t at, Hits *hits)
{
    PyObject *nodes, *says, *goes_on, *prefixes;
    if (!earshot_is_tuple(begun, 4, "a start is a tuple of four")) {
        return -1;
    }
    nodes = PyTuple_GET_ITEM(begun, 0);
    says = PyTuple_GET_ITEM(begun, 1);
    goes_on = PyTuple_GET_ITEM(begun, 2);
    prefixes = PyTuple_GET_ITEM(begun, 3);
    if (!PyTuple_Check(nodes) || !PyTuple_Check(says) || !PyAnySet_Check(goes_on) || !PyTuple_Check(prefixes)) {
        PyErr_SetString(PyExc_TypeError, "a start is (tuple, tuple, set, tuple)");
        return -1;
    }
    int is_longer = 0;
    if (at + 1 < length) {
        is_longer = PySet_GET_SIZE(goes_on) ? PySet_Contains(goes_on, words[at + 1]) : 0;
        if (is_longer == 0) {
            is_longer = earshot_begins(words[at + 1], prefixes);
        }
        if (is_longer < 0) {
            return -1;
        }
    }
    if (is_longer) {
        for (Py_ssize_t number = 0; number < PyTuple_GET_SIZE(nodes); number++) {
            if (walk(PyTuple_GET_ITEM(nodes, number), words, length, at, at + 1, hits) < 0) {
                return -1;
            }
        }
        return 0;
    }
    for (Py_ssize_t number = 0; number < PyTuple_GET_SIZE(says); number++) {
        if (add_hit(hits, at, at + 1, PyTuple_GET_ITEM(says, number)) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Drop hits that lie within a longer one; two of the same place both stay. */
static void
keep_longest(Hits *hits)
{
    Py_ssize_t kept = 0, reach = 0, width = 0;
    if (hits->count < 2) {
        return;
    }
    for (Py_ssize_t at = 0; at < hits->count; at++) {
        Hit hit = hits->items[at];
        if (hit.end <= reach && hit.end - hit.start < width) {
            Py_DECREF(hit.says);
            continue;
        }
        hits->items[kept++] = hit;
        if (hit.end > reach) {
            reach = hit.end;
            width = hit.end - hit.start;
        }
    }
    hits->count = kept;
}

/* Return a new reference to what a word begins; NULL on error. One that is new is asked of the twin only where a wording
 * may begin with it. */
static PyObject *
begins(PyObject *module, PyObject *starts, PyObject *word)
{
    PyObject *found = PyDict_GetItemWithError(starts, word);
    if (found != NULL || PyErr_Occurred()) {
        return Py_XNewRef(found);
    }
    PyObject *rare = earshot_rare(module, starts, 5);
    if (rare == NULL) {
        return PyErr_Occurred() ? NULL : PyObject_GetItem(starts, word);
    }
    if (!PyDict_Check(PyTuple_GET_ITEM(rare, 2)) || !PyDict_Check(PyTuple_GET_ITEM(rare, 3))) {
        PyErr_SetString(PyExc_TypeError, "starts know two dicts");
        Py_DECREF(rare);
        return NULL;
    }
    int is_known = PyDict_Contains(PyTuple_GET_ITEM(rare, 2), word);
    if (is_known == 0) {
        Py_ssize_t letters = PyLong_AsSsize_t(PyTuple_GET_ITEM(rare, 4));
        PyObject *beginning = letters == -1 && PyErr_Occurred() ? NULL : PyUnicode_Substring(word, 0, letters);
        is_known = beginning == NULL ? -1 : PyDict_Contains(PyTuple_GET_ITEM(rare, 3), beginning);
        Py_XDECREF(beginning);
    }
    if (is_known > 0) {
        found = PyObject_GetItem(starts, word);
    }
    else if (is_known == 0 && earshot_keep(starts, word, Py_None, rare) == 0) {
        found = Py_NewRef(Py_None);
    }
    Py_DECREF(rare);
    return found;
}

int
earshot_gather(PyObject *module, PyObject *starts, PyObject *opening, PyObject *found, Hits *hits)
{
    if (!PyDict_Check(starts)) {
        PyErr_SetString(PyExc_TypeError, "starts are a dict");
        return -1;
    }
    Py_ssize_t length = PySequence_Fast_GET_SIZE(found);
    PyObject **words = PySequence_Fast_ITEMS(found);
    for (Py_ssize_t at = 0; at < length; at++) {
        if (!PyUnicode_Check(words[at])) {
            PyErr_SetString(PyExc_TypeError, "words are texts");
            return -1;
        }
    }
    if (length && opening != Py_None) {
        /* What is bound to the beginning is followed from the node of the mark, which says nothing itself. */
        if (!is_node(opening) || PyTuple_GET_SIZE(PyTuple_GET_ITEM(opening, 2))) {
            PyErr_SetString(PyExc_TypeError, "the opening is a node that says nothing");
            return -1;
        }
        if (walk(opening, words, length, -1, 0, hits) < 0) {
            return -1;
        }
    }
    for (Py_ssize_t at = 0; at < length; at++) {
        PyObject *begun = begins(module, starts, words[at]);
        if (begun == NULL) {
            return -1;
        }
        int result = begun == Py_None ? 0 : from_start(begun, words, length, at, hits);
        Py_DECREF(begun);
        if (result < 0) {
            return -1;
        }
    }
    keep_longest(hits);
    return 0;
}

/* wordings(starts, opening, words) -> [(start, end, says), ...] */
PyObject *
earshot_wordings(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    if (!earshot_takes(count, 3, "wordings")) {
        return NULL;
    }
    PyObject *found = PySequence_Fast(args[2], "words are a sequence");
    if (found == NULL) {
        return NULL;
    }
    Hits hits;
    earshot_begin_hits(&hits);
    PyObject *result = NULL;
    if (earshot_gather(module, args[0], args[1], found, &hits) == 0 && (result = PyList_New(hits.count)) != NULL) {
        for (Py_ssize_t at = 0; at < hits.count; at++) {
            Hit *hit = &hits.items[at];
            PyObject *one = Py_BuildValue("(nnO)", hit->start, hit->end, hit->says);
            if (one == NULL) {
                Py_CLEAR(result);
                break;
            }
            PyList_SET_ITEM(result, at, one);
        }
    }
    earshot_end_hits(&hits);
    Py_DECREF(found);
    return result;
}
