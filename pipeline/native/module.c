/* The module: its table of functions, and what they share. */
#include "native.h"

int
earshot_takes(Py_ssize_t count, Py_ssize_t wanted, const char *name)
{
    if (count == wanted) {
        return 1;
    }
    PyErr_Format(PyExc_TypeError, "%s() takes %zd arguments, got %zd", name, wanted, count);
    return 0;
}

int
earshot_is_tuple(PyObject *value, Py_ssize_t size, const char *otherwise)
{
    if (PyTuple_Check(value) && PyTuple_GET_SIZE(value) == size) {
        return 1;
    }
    PyErr_SetString(PyExc_TypeError, otherwise);
    return 0;
}

PyObject *
earshot_look_up(PyObject *table, PyObject *word)
{
    PyObject *found = PyDict_GetItemWithError(table, word);
    if (found != NULL) {
        return Py_NewRef(found);
    }
    if (PyErr_Occurred()) {
        return NULL;
    }
    return PyObject_GetItem(table, word);
}

int
earshot_begins(PyObject *word, PyObject *beginnings)
{
    if (!PyTuple_Check(beginnings)) {
        PyErr_SetString(PyExc_TypeError, "beginnings are a tuple");
        return -1;
    }
    Py_ssize_t count = PyTuple_GET_SIZE(beginnings);
    for (Py_ssize_t at = 0; at < count; at++) {
        Py_ssize_t begins = PyUnicode_Tailmatch(word, PyTuple_GET_ITEM(beginnings, at), 0, PY_SSIZE_T_MAX, -1);
        if (begins != 0) {
            return begins < 0 ? -1 : 1;
        }
    }
    return 0;
}

int
earshot_has_one(PyObject *set, PyObject *words)
{
    int found = 0;
    for (Py_ssize_t at = 0; found == 0 && at < PySequence_Fast_GET_SIZE(words); at++) {
        found = PySet_Contains(set, PySequence_Fast_GET_ITEM(words, at));
    }
    return found;
}

int
earshot_has(PyObject *text, const char *sought)
{
    int kind = PyUnicode_KIND(text);
    const void *data = PyUnicode_DATA(text);
    Py_ssize_t length = PyUnicode_GET_LENGTH(text), size = (Py_ssize_t)strlen(sought), at = 0;
    while (at + size <= length) {
        Py_ssize_t same = 0;
        if ((at = PyUnicode_FindChar(text, (unsigned char)*sought, at, length, 1)) < 0 || at + size > length) {
            return 0;
        }
        while (same < size && PyUnicode_READ(kind, data, at + same) == (unsigned char)sought[same]) {
            same++;
        }
        if (same == size) {
            return 1;
        }
        at++;
    }
    return 0;
}

/* A function that takes its arguments as an array is stored under another type; this is how CPython's own code does it. */
#define FAST(function) ((PyCFunction)(void (*)(void))(function)), METH_FASTCALL

static PyMethodDef functions[] = {
    {"words", earshot_words, METH_O, "Twin: pipeline.core.routing.wordings.words_twin"},
    {"wordings", FAST(earshot_wordings), "Twin: pipeline.core.routing.wordings.wordings_twin"},
    {"rules", FAST(earshot_rules), "Twin: pipeline.core.routing.shipped.rules_twin"},
    {"phrases", FAST(earshot_phrases), "Twin: pipeline.core.sentiment.lexicon.phrases_twin"},
    {"votes", FAST(earshot_votes), "Twin: pipeline.core.votes.votes_twin"},
    {"sketch", FAST(earshot_sketch), "Twin: pipeline.core.sketch.sketch_twin"},
    {"in_common", FAST(earshot_in_common), "Twin: pipeline.core.sketch.in_common_twin"},
    {"has_sign", FAST(earshot_has_sign), "Twin: pipeline.core.signs.has_sign_twin"},
    {"numbers", earshot_numbers, METH_O, "Twin: pipeline.core.spam.numbers_twin"},
    {"replaced", FAST(earshot_replaced), "Twin: pipeline.core.signs.replaced_twin"},
    {"places", FAST(earshot_places), "Twin: pipeline.core.query.vocabulary.places_twin"},
    {"rounded", FAST(earshot_rounded), "Twin: pipeline.core.native.rounded_twin"},
    {"feeling", FAST(earshot_feeling), "Twin: pipeline.core.sentiment.form.feeling_twin"},
    {"leaning", FAST(earshot_leaning), "Twin: pipeline.core.routing.leaning.leaning_twin"},
    {"shares", FAST(earshot_shares), "Twin: pipeline.core.routing.model.shares_twin"},
    {"recall", FAST(earshot_recall), "Twin: pipeline.core.routing.recalling.recall_twin"},
    {"vader", FAST(earshot_vader), "Twin: pipeline.core.sentiment.vader.PairedVader.totals_twin"},
    {NULL, NULL, 0, NULL},
};

/* Each interpreter that loads the module has its own name: one of an interpreter that has ended would be gone. */
static int
begin(PyObject *module)
{
    Kept *kept = PyModule_GetState(module);
    kept->rare = PyUnicode_InternFromString("rare");
    return kept->rare == NULL ? -1 : PyModule_AddIntConstant(module, "FORM", NATIVE_FORM);
}

static void
end(void *module)
{
    Kept *kept = PyModule_GetState(module);
    if (kept != NULL) {
        Py_CLEAR(kept->rare);
    }
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, begin},
#ifdef Py_mod_multiple_interpreters
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_SUPPORTED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_native",
    .m_doc = "The compiled part of earshot's core; pipeline/core/native.py says when it is used.",
    .m_size = sizeof(Kept),
    .m_methods = functions,
    .m_slots = slots,
    .m_free = end,
};

PyMODINIT_FUNC
PyInit__native(void)
{
    return PyModuleDef_Init(&definition);
}
