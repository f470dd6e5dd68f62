/* The tokens of a text, and what each of them is in VADER's lexicon: the classes of pipeline/core/sentiment/tokens.py. */
#include "vader.h"

/* What `str.split()` takes for space among ASCII. */
static int
is_space(Py_UCS1 sign)
{
    return sign == ' ' || (sign >= 0x09 && sign <= 0x0d) || (sign >= 0x1c && sign <= 0x1f);
}

int
earshot_next_token(PyObject *text, Py_ssize_t *start, Py_ssize_t *end)
{
    Py_ssize_t length = PyUnicode_GET_LENGTH(text), at = *end;
    if (PyUnicode_IS_ASCII(text)) {
        const Py_UCS1 *letters = PyUnicode_1BYTE_DATA(text);
        while (at < length && is_space(letters[at])) {
            at++;
        }
        *start = at;
        while (at < length && !is_space(letters[at])) {
            at++;
        }
    }
    else {
        int kind = PyUnicode_KIND(text);
        const void *data = PyUnicode_DATA(text);
        while (at < length && Py_UNICODE_ISSPACE(PyUnicode_READ(kind, data, at))) {
            at++;
        }
        *start = at;
        while (at < length && !Py_UNICODE_ISSPACE(PyUnicode_READ(kind, data, at))) {
            at++;
        }
    }
    *end = at;
    return *start < at;
}

#define PUNCTUATION "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"

/* Find the word in a token of ASCII: what is shorter than three letters without its punctuation is an emoticon. */
static PyObject *
word_of(PyObject *chunk, int *is_upper)
{
    Py_ssize_t start, end;
    earshot_between(chunk, PUNCTUATION, &start, &end);
    if (end - start <= 2) {
        start = 0;
        end = PyUnicode_GET_LENGTH(chunk);
    }
    int has_upper = 0, has_lower = 0;
    for (Py_ssize_t at = start; at < end; at++) {
        unsigned char letter = PyUnicode_1BYTE_DATA(chunk)[at];
        has_upper |= Py_ISUPPER(letter) != 0;
        has_lower |= Py_ISLOWER(letter) != 0;
    }
    *is_upper = has_upper && !has_lower;
    return earshot_lowered(chunk, start, end);
}

/* Return a new reference to the class of a token; NULL on error. The twin is asked only for a new one that is in `known`,
 * the words of which its table says something of its own. Of others the class is `otherwise`, where that is NULL the one of
 * a plain word. */
static PyObject *
class_of(PyObject *module, PyObject *table, PyObject *chunk, PyObject *otherwise)
{
    PyObject *found = PyDict_GetItemWithError(table, chunk);
    if (found != NULL || PyErr_Occurred()) {
        return Py_XNewRef(found);
    }
    PyObject *rare = PyUnicode_IS_ASCII(chunk) ? earshot_rare(module, table, 3) : NULL;
    if (rare == NULL) {
        return PyErr_Occurred() ? NULL : PyObject_GetItem(table, chunk);
    }
    int is_upper;
    PyObject *word = word_of(chunk, &is_upper);
    int is_known = word == NULL ? -1 : PySet_Contains(PyTuple_GET_ITEM(rare, 2), word);
    if (is_known == 0 && otherwise == NULL) {
        is_known = earshot_has(word, "n't");
    }
    if (is_known > 0) {
        found = PyObject_GetItem(table, chunk);
    }
    else if (is_known == 0) {
        PyObject *plain = otherwise != NULL ? otherwise : is_upper ? Py_False : Py_None;
        found = earshot_keep(table, chunk, plain, rare) < 0 ? NULL : Py_NewRef(plain);
    }
    Py_XDECREF(word);
    Py_DECREF(rare);
    return found;
}

/* Classify one token by both tables; -1 on error. What is plain in the changed lexicon, which has every word of the other,
 * is the same in both. */
static int
classify_one(PyObject *module, PyObject *chunk, PyObject *first, PyObject *second, PyObject **token, PyObject **other)
{
    PyObject *plain = second == NULL ? NULL : PyDict_GetItemWithError(second, chunk);
    if (plain == NULL && PyErr_Occurred()) {
        return -1;
    }
    if (plain == Py_None || plain == Py_False) {
        *token = Py_NewRef(plain);
        *other = Py_NewRef(plain);
        return 0;
    }
    if ((*token = class_of(module, first, chunk, NULL)) == NULL) {
        return -1;
    }
    if (second != NULL && (*other = class_of(module, second, chunk, *token)) == NULL) {
        Py_DECREF(*token);
        return -1;
    }
    return 0;
}

int
earshot_classify(PyObject *module, PyObject *text, PyObject *first, PyObject *second, PyObject **tokens, PyObject **others,
                 Py_ssize_t *known)
{
    Py_ssize_t start, end = 0;
    while (earshot_next_token(text, &start, &end)) {
        PyObject *chunk = PyUnicode_Substring(text, start, end);
        int result = chunk == NULL ? -1 : classify_one(module, chunk, first, second, &tokens[*known], &others[*known]);
        Py_XDECREF(chunk);
        if (result < 0) {
            return -1;
        }
        ++*known;
    }
    return 0;
}
