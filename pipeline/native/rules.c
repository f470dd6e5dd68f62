/* Rules that fire on the wordings of a text: the loop of pipeline/core/routing/shipped.py. */
#include "wordings.h"

typedef struct {
    PyObject *means, *negators, *language, *found;
    PyObject *fired, *forbidden; /* dict, set; owned by the caller */
} Rules;

static int
is_negated(Rules *rules, Py_ssize_t start)
{
    for (Py_ssize_t at = start > 3 ? start - 3 : 0; at < start; at++) {
        int found = PySet_Contains(rules->negators, PySequence_Fast_GET_ITEM(rules->found, at));
        if (found) {
            return found;
        }
    }
    return 0;
}

/* Return the words of a hit as they are shown. */
static PyObject *
shown(PyObject *found, Py_ssize_t start, Py_ssize_t end)
{
    if (end == start + 1) {
        return Py_NewRef(PySequence_Fast_GET_ITEM(found, start));
    }
    PyObject *parts = PyTuple_New(end - (start > 0 ? start : 0)), *space = PyUnicode_FromString(" "), *joined = NULL;
    if (parts != NULL && space != NULL) {
        for (Py_ssize_t at = start > 0 ? start : 0, number = 0; at < end; at++, number++) {
            PyTuple_SET_ITEM(parts, number, Py_NewRef(PySequence_Fast_GET_ITEM(found, at)));
        }
        joined = PyUnicode_Join(space, parts);
    }
    Py_XDECREF(parts);
    Py_XDECREF(space);
    return joined;
}

/* Whether a rule's language is one that does not count for this text. */
static int
is_foreign(Rules *rules, PyObject *spoken)
{
    if (rules->language == Py_None) {
        return 0;
    }
    if (spoken == rules->language) {
        return 0;
    }
    if (!PyUnicode_Check(spoken)) {
        PyErr_SetString(PyExc_TypeError, "a language is a text");
        return -1;
    }
    return PyUnicode_CompareWithASCIIString(spoken, "en") != 0 && PyUnicode_Compare(spoken, rules->language) != 0;
}

/* Let one number of a hit speak: (rule, language, whether a negator turns it off). */
static int
fire(Rules *rules, Hit *hit, PyObject *number)
{
    Py_ssize_t at = PyLong_AsSsize_t(number);
    if (at < 0 || at >= PyList_GET_SIZE(rules->means)) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_IndexError, "a wording stands for a number that means nothing");
        }
        return -1;
    }
    PyObject *meaning = PyList_GET_ITEM(rules->means, at);
    if (!earshot_is_tuple(meaning, 3, "a meaning is a tuple of three")) {
        return -1;
    }
    PyObject *index = PyTuple_GET_ITEM(meaning, 0), *spoken = PyTuple_GET_ITEM(meaning, 1);
    PyObject *negatable = PyTuple_GET_ITEM(meaning, 2);
    if (spoken == Py_None) {
        if (rules->forbidden == NULL && (rules->forbidden = PySet_New(NULL)) == NULL) {
            return -1;
        }
        return PySet_Add(rules->forbidden, index);
    }
    int skips = is_foreign(rules, spoken);
    if (skips == 0 && negatable == Py_True && hit->start > 0) {
        skips = is_negated(rules, hit->start);
    }
    if (skips) {
        return skips < 0 ? -1 : 0;
    }
    PyObject *words = PyDict_GetItemWithError(rules->fired, index);
    if (words == NULL) {
        if (PyErr_Occurred() || (words = PyList_New(0)) == NULL) {
            return -1;
        }
        int result = PyDict_SetItem(rules->fired, index, words);
        Py_DECREF(words); /* the dictionary holds it */
        if (result < 0) {
            return -1;
        }
    }
    PyObject *text = shown(rules->found, hit->start, hit->end);
    int result = text == NULL ? -1 : PyList_Append(words, text);
    Py_XDECREF(text);
    return result;
}

static int
fire_all(Rules *rules, Hits *hits)
{
    for (Py_ssize_t at = 0; at < hits->count; at++) {
        PyObject *says = hits->items[at].says;
        for (Py_ssize_t number = 0; number < PyTuple_GET_SIZE(says); number++) {
            if (fire(rules, &hits->items[at], PyTuple_GET_ITEM(says, number)) < 0) {
                return -1;
            }
        }
    }
    if (rules->forbidden == NULL) {
        return 0;
    }
    PyObject *each = PyObject_GetIter(rules->forbidden), *index;
    if (each == NULL) {
        return -1;
    }
    while ((index = PyIter_Next(each)) != NULL) {
        int has = PyDict_Contains(rules->fired, index);
        if (has > 0) {
            has = PyDict_DelItem(rules->fired, index);
        }
        Py_DECREF(index);
        if (has < 0) {
            break;
        }
    }
    Py_DECREF(each);
    return PyErr_Occurred() ? -1 : 0;
}

/* rules(starts, opening, words, means, negators, language or None) -> {rule: [wording, ...]} */
PyObject *
earshot_rules(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    if (!earshot_takes(count, 6, "rules")) {
        return NULL;
    }
    if (!PyList_Check(args[3]) || !PyAnySet_Check(args[4]) || (args[5] != Py_None && !PyUnicode_Check(args[5]))) {
        PyErr_SetString(PyExc_TypeError, "rules() takes a list, a set and a language");
        return NULL;
    }
    PyObject *found = PySequence_Fast(args[2], "words are a sequence");
    if (found == NULL) {
        return NULL;
    }
    Hits hits;
    earshot_begin_hits(&hits);
    Rules rules = {args[3], args[4], args[5], found, PyDict_New(), NULL};
    if (rules.fired == NULL || earshot_gather(module, args[0], args[1], found, &hits) < 0
        || fire_all(&rules, &hits) < 0) {
        Py_CLEAR(rules.fired);
    }
    earshot_end_hits(&hits);
    Py_XDECREF(rules.forbidden);
    Py_DECREF(found);
    return rules.fired;
}
