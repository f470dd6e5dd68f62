/* A text cut into words, and what single words say about its language. */
#include "native.h"

#define MOST_LETTERS 20000
#define MOST_WORDS 2000
#define APOSTROPHE '\''
#define CURLED 0x2019

/* Append a part of a text to a list, -1 on error. `kind` and `data` are those of the text. */
static int
append(PyObject *list, int kind, const void *data, Py_ssize_t start, Py_ssize_t end)
{
    PyObject *word = PyUnicode_FromKindAndData(kind, (const char *)data + start * kind, end - start);
    if (word == NULL) {
        return -1;
    }
    int result = PyList_Append(list, word);
    Py_DECREF(word);
    return result;
}

/* Bytes of a word in a text of ASCII: lower case, 0 for what is none. */
static const char LETTERS[128] = {
    ['0'] = '0', ['1'] = '1', ['2'] = '2', ['3'] = '3', ['4'] = '4', ['5'] = '5', ['6'] = '6', ['7'] = '7',
    ['8'] = '8', ['9'] = '9', ['a'] = 'a', ['b'] = 'b', ['c'] = 'c', ['d'] = 'd', ['e'] = 'e', ['f'] = 'f',
    ['g'] = 'g', ['h'] = 'h', ['i'] = 'i', ['j'] = 'j', ['k'] = 'k', ['l'] = 'l', ['m'] = 'm', ['n'] = 'n',
    ['o'] = 'o', ['p'] = 'p', ['q'] = 'q', ['r'] = 'r', ['s'] = 's', ['t'] = 't', ['u'] = 'u', ['v'] = 'v',
    ['w'] = 'w', ['x'] = 'x', ['y'] = 'y', ['z'] = 'z', ['A'] = 'a', ['B'] = 'b', ['C'] = 'c', ['D'] = 'd',
    ['E'] = 'e', ['F'] = 'f', ['G'] = 'g', ['H'] = 'h', ['I'] = 'i', ['J'] = 'j', ['K'] = 'k', ['L'] = 'l',
    ['M'] = 'm', ['N'] = 'n', ['O'] = 'o', ['P'] = 'p', ['Q'] = 'q', ['R'] = 'r', ['S'] = 's', ['T'] = 't',
    ['U'] = 'u', ['V'] = 'v', ['W'] = 'w', ['X'] = 'x', ['Y'] = 'y', ['Z'] = 'z',
};

static PyObject *
of_ascii(const unsigned char *text, Py_ssize_t length)
{
    PyObject *words = PyList_New(0);
    if (words == NULL) {
        return NULL;
    }
    Py_ssize_t at = 0;
    while (PyList_GET_SIZE(words) < MOST_WORDS) {
        while (at < length && !LETTERS[text[at]]) {
            at++;
        }
        if (at == length) {
            break;
        }
        Py_ssize_t start = at;
        while (at < length && (LETTERS[text[at]] || (text[at] == APOSTROPHE && at + 1 < length && LETTERS[text[at + 1]]))) {
            at++;
        }
        PyObject *word = PyUnicode_New(at - start, 127);
        if (word == NULL) {
            Py_DECREF(words);
            return NULL;
        }
        Py_UCS1 *letters = PyUnicode_1BYTE_DATA(word);
        for (Py_ssize_t place = start; place < at; place++) {
            letters[place - start] = text[place] == APOSTROPHE ? APOSTROPHE : (Py_UCS1)LETTERS[text[place]];
        }
        int result = PyList_Append(words, word);
        Py_DECREF(word);
        if (result < 0) {
            Py_DECREF(words);
            return NULL;
        }
    }
    return words;
}

static int
is_emoji(Py_UCS4 sign)
{
    return (sign >= 0x1F300 && sign <= 0x1FAFF) || sign == 0x2764 || sign == 0x2665 || sign == 0x2661 || sign == 0x263A;
}

/* `text` is lower-case already, its apostrophes plain. */
static PyObject *
of_all(PyObject *text)
{
    PyObject *words = PyList_New(0);
    if (words == NULL) {
        return NULL;
    }
    int kind = PyUnicode_KIND(text);
    const void *data = PyUnicode_DATA(text);
    Py_ssize_t length = PyUnicode_GET_LENGTH(text), at = 0;
    while (at < length && PyList_GET_SIZE(words) < MOST_WORDS) {
        Py_ssize_t start = at;
        Py_UCS4 sign = PyUnicode_READ(kind, data, at);
        at++;
        if (Py_UNICODE_ISALNUM(sign)) {
            while (at < length) {
                sign = PyUnicode_READ(kind, data, at);
                if (!Py_UNICODE_ISALNUM(sign)
                    && !(sign == APOSTROPHE && at + 1 < length && Py_UNICODE_ISALNUM(PyUnicode_READ(kind, data, at + 1)))) {
                    break;
                }
                at++;
            }
        }
        else if (!is_emoji(sign)) {
            continue;
        }
        if (append(words, kind, data, start, at) < 0) {
            Py_DECREF(words);
            return NULL;
        }
    }
    return words;
}

/* Return a new reference to a text that is not ASCII, with plain apostrophes. */
static PyObject *
with_plain_apostrophes(PyObject *text)
{
    Py_ssize_t found = PyUnicode_FindChar(text, CURLED, 0, PyUnicode_GET_LENGTH(text), 1);
    if (found == -1) {
        return Py_NewRef(text);
    }
    if (found < 0) {
        return NULL;
    }
    PyObject *curled = PyUnicode_FromOrdinal(CURLED), *plain = PyUnicode_FromOrdinal(APOSTROPHE), *result = NULL;
    if (curled != NULL && plain != NULL) {
        result = PyUnicode_Replace(text, curled, plain, -1);
    }
    Py_XDECREF(curled);
    Py_XDECREF(plain);
    return result;
}

PyObject *
earshot_words(PyObject *Py_UNUSED(module), PyObject *text)
{
    if (!PyUnicode_Check(text)) {
        return PyErr_Format(PyExc_TypeError, "words() takes a text, not %.100s", Py_TYPE(text)->tp_name);
    }
    Py_ssize_t length = PyUnicode_GET_LENGTH(text);
    if (PyUnicode_IS_ASCII(text)) {
        return of_ascii(PyUnicode_1BYTE_DATA(text), length > MOST_LETTERS ? MOST_LETTERS : length);
    }
    PyObject *part = length > MOST_LETTERS ? PyUnicode_Substring(text, 0, MOST_LETTERS) : Py_NewRef(text);
    if (part == NULL) {
        return NULL;
    }
    PyObject *plain = with_plain_apostrophes(part);
    Py_DECREF(part);
    if (plain == NULL) {
        return NULL;
    }
    PyObject *words;
    if (PyUnicode_IS_ASCII(plain)) {
        words = of_ascii(PyUnicode_1BYTE_DATA(plain), PyUnicode_GET_LENGTH(plain));
    }
    else {
        PyObject *lower = PyObject_CallMethod(plain, "lower", NULL);
        if (lower != NULL && !PyUnicode_Check(lower)) { /* a subclass may say anything */
            PyErr_SetString(PyExc_TypeError, "words() takes a text that is a text in lower case, too");
            Py_CLEAR(lower);
        }
        words = lower == NULL ? NULL : of_all(lower);
        Py_XDECREF(lower);
    }
    Py_DECREF(plain);
    return words;
}

/* votes(table, words, most, languages): the sums of the votes of the first `most` words, as a list, None where there
 * are none. The table has for a word the bytes of `languages` numbers of 32 bits in the machine's order. */
PyObject *
earshot_votes(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    if (!earshot_takes(count, 4, "votes")) {
        return NULL;
    }
    PyObject *table = args[0], *words = args[1];
    Py_ssize_t most = PyLong_AsSsize_t(args[2]), languages = PyLong_AsSsize_t(args[3]);
    if (PyErr_Occurred()) {
        return NULL;
    }
    if (!PyDict_Check(table) || !PyList_Check(words) || languages < 1 || languages > 64) {
        PyErr_SetString(PyExc_TypeError, "votes() takes a dict, a list and two small numbers");
        return NULL;
    }
    uint32_t sums[64] = {0}, votes[64];
    int is_any = 0;
    for (Py_ssize_t at = 0; at < most && at < PyList_GET_SIZE(words); at++) {
        PyObject *found = PyDict_GetItemWithError(table, PyList_GET_ITEM(words, at));
        if (found == NULL) {
            if (PyErr_Occurred()) {
                return NULL;
            }
            continue;
        }
        if (!PyBytes_Check(found) || PyBytes_GET_SIZE(found) != languages * 4) {
            PyErr_SetString(PyExc_TypeError, "votes() needs four bytes a language");
            return NULL;
        }
        memcpy(votes, PyBytes_AS_STRING(found), (size_t)languages * 4);
        for (Py_ssize_t language = 0; language < languages; language++) {
            sums[language] += votes[language];
        }
        is_any = 1;
    }
    if (!is_any) {
        Py_RETURN_NONE;
    }
    /* The language with most votes, the first of several; and the most votes of another. */
    Py_ssize_t best = 0;
    for (Py_ssize_t language = 1; language < languages; language++) {
        best = sums[language] > sums[best] ? language : best;
    }
    uint32_t second = 0;
    for (Py_ssize_t language = 0; language < languages; language++) {
        second = language != best && sums[language] > second ? sums[language] : second;
    }
    return Py_BuildValue("(nII)", best, (unsigned int)sums[best], (unsigned int)second);
}
