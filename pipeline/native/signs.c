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

static int
is_of_word(Py_UCS4 sign)
{
    return Py_UNICODE_ISALNUM(sign) || sign == '_';
}

/* Whether a run of three digits and more begins as numbers do that cost more than a call. */
static int
is_premium(int kind, const void *data, Py_ssize_t start, Py_ssize_t digits)
{
    Py_UCS4 first = PyUnicode_READ(kind, data, start), second = PyUnicode_READ(kind, data, start + 1);
    return (first == '0' && second >= '7')
        || (digits > 4 && first == '8' && second == '0' && PyUnicode_READ(kind, data, start + 2) == '0'
            && PyUnicode_READ(kind, data, start + 3) == '0' && PyUnicode_READ(kind, data, start + 4) == '9');
}

/* numbers(text) -> what numbers a text has, as a sum: the twin says which. What has none of them has no number that
 * advertisements have. */
PyObject *
earshot_numbers(PyObject *Py_UNUSED(module), PyObject *text)
{
    enum { ANY = 1, CODE = 2, PENCE = 4, PREMIUM = 8 };
    if (!PyUnicode_Check(text)) {
        return PyErr_Format(PyExc_TypeError, "numbers() takes a text, not %.100s", Py_TYPE(text)->tp_name);
    }
    int kind = PyUnicode_KIND(text);
    const void *data = PyUnicode_DATA(text);
    Py_ssize_t length = PyUnicode_GET_LENGTH(text), digits = 0;
    long found = 0;
    for (Py_ssize_t at = 0; at <= length; at++) {
        Py_UCS4 sign = at < length ? PyUnicode_READ(kind, data, at) : ' ';
        if (is_digit(sign)) {
            digits++;
            continue;
        }
        if (digits) {
            Py_UCS4 next = at + 1 < length ? PyUnicode_READ(kind, data, at + 1) | 0x20 : 0;
            Py_ssize_t start = at - digits;
            if ((sign | 0x20) == 'p' || (sign == ' ' && next == 'p')) {
                found |= ANY | PENCE;
            }
            if (digits >= 5 || (sign == '/' && (next == 'm' || next == 'w'))) {
                found |= ANY;
            }
            if (digits > 2 && (start == 0 || !is_of_word(PyUnicode_READ(kind, data, start - 1)))) {
                found |= digits == 5 && PyUnicode_READ(kind, data, start) >= '4' && !is_of_word(sign) ? CODE : 0;
                found |= is_premium(kind, data, start, digits) ? PREMIUM : 0;
            }
            digits = 0;
        }
    }
    return PyLong_FromLong(found);
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

#define EDGES ".,!?;:()[]{}\"*<>|~^=%$-" /* the twin's, as far as they are ASCII */
#define LONGEST_WORD 100

/* Whether letters and digits are all there is in a chunk of ASCII, and something is. */
static int
is_plain(const unsigned char *letters, Py_ssize_t start, Py_ssize_t end)
{
    Py_ssize_t at = start;
    while (at < end && Py_ISALNUM(letters[at])) {
        at++;
    }
    return at == end && start < end;
}

/* Whether a chunk is a web address, in small letters as most are: it has no positions. */
static int
is_address(const char *letters, Py_ssize_t length)
{
    return (length >= 8 && memcmp(letters, "https://", 8) == 0) || (length >= 7 && memcmp(letters, "http://", 7) == 0);
}

/* Whether a query may ask for a chunk of ASCII that is new: 0 where none does, 1 where the twin has to be asked, -1 on
 * error. `plain` are the words that are asked for. */
static int
is_asked(PyObject *chunk, PyObject *plain)
{
    const unsigned char *letters = PyUnicode_1BYTE_DATA(chunk);
    Py_ssize_t start, end;
    earshot_between(chunk, EDGES, &start, &end);
    int has_sign = start < end && (letters[start] == '#' || letters[start] == '@');
    if (end - start > LONGEST_WORD || !is_plain(letters, start + has_sign, end)) {
        return 1;
    }
    int asked = 0;
    for (Py_ssize_t from = start; asked == 0 && from <= start + has_sign; from++) {
        PyObject *form = earshot_lowered(chunk, from, end);
        asked = form == NULL ? -1 : PySet_Contains(plain, form);
        Py_XDECREF(form);
    }
    return asked;
}

/* Return a new reference to the positions of a chunk; NULL on error. */
static PyObject *
positions_of(PyObject *module, PyObject *vocabulary, PyObject *chunk)
{
    PyObject *found = PyDict_GetItemWithError(vocabulary, chunk);
    if (found != NULL || PyErr_Occurred()) {
        return Py_XNewRef(found);
    }
    if (!PyUnicode_Check(chunk) || !PyUnicode_IS_ASCII(chunk)) {
        return PyObject_GetItem(vocabulary, chunk);
    }
    if (is_address((const char *)PyUnicode_1BYTE_DATA(chunk), PyUnicode_GET_LENGTH(chunk))) {
        return PyTuple_New(0);
    }
    PyObject *rare = earshot_rare(module, vocabulary, 4);
    if (rare == NULL) {
        return PyErr_Occurred() ? NULL : PyObject_GetItem(vocabulary, chunk);
    }
    PyObject *plain = PyTuple_GET_ITEM(rare, 2), *nothing = PyTuple_GET_ITEM(rare, 3);
    int asked = plain == Py_None ? 1 : is_asked(chunk, plain);
    if (asked > 0) {
        found = PyObject_GetItem(vocabulary, chunk);
    }
    else if (asked == 0 && earshot_keep(vocabulary, chunk, nothing, rare) == 0) {
        found = Py_NewRef(nothing);
    }
    Py_DECREF(rare);
    return found;
}

/* places(chunk -> positions, chunks) -> the positions of all chunks, one after another */
PyObject *
earshot_places(PyObject *module, PyObject *const *args, Py_ssize_t count)
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
        PyObject *found = positions_of(module, args[0], PySequence_Fast_GET_ITEM(chunks, at));
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
