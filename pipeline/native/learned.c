/* What was learned, read for a text. The tables are those of pipeline/core/routing/recalling.py; what a word adds is worked
 * out there, once. Sums are made in the twin's order. */
#include "native.h"

#include <math.h>

#define MOST_CLASSES 8
#define MOST_WORDS 512
#define MOST_REASONS 8
#define PLACES 1024 /* a power of two, at least twice the words */

typedef struct {
    double scale, pair, weak_pair, after, always, of_rule, of_feeling, speaks;
} Sizes;

/* What may be a reason: a word, a pair of words, or a rule, by its place among them. */
typedef struct {
    enum { WORD, PAIR, RULE } kind;
    Py_ssize_t at;
    double adding;
} Reason;

typedef struct {
    Py_ssize_t classes, longest, opening, most, best, reasons;
    double trust, grown;
    Sizes sizes;
    Reason told[MOST_REASONS];
} Reading;

/* The words of a text and its pairs without repeats, in order, and what they add. `entry` are references of their own. */
typedef struct {
    Py_ssize_t unique, length, pairs;
    PyObject *entry[MOST_WORDS], *word[MOST_WORDS], *following[MOST_WORDS];
    double adds[MOST_WORDS][MOST_CLASSES + 2];
    short at[MOST_WORDS]; /* place in the text -> which of the words without repeats */
    short first[MOST_WORDS], second[MOST_WORDS];
    int is_weak[MOST_WORDS], is_known[MOST_WORDS]; /* pairs: of two common words; something was learned of it */
    double pair_adds[MOST_WORDS][MOST_CLASSES];
} Words;

/* Copy the weights of a feature; -1 where they are not as many floats as there are classes. */
static int
numbers(PyObject *row, Py_ssize_t count, double *out)
{
    PyObject *const *items;
    if (PyList_Check(row) && PyList_GET_SIZE(row) == count) {
        items = ((PyListObject *)row)->ob_item;
    }
    else if (PyTuple_Check(row) && PyTuple_GET_SIZE(row) == count) {
        items = ((PyTupleObject *)row)->ob_item;
    }
    else {
        PyErr_SetString(PyExc_TypeError, "weights are a list of numbers, one a class");
        return -1;
    }
    for (Py_ssize_t at = 0; at < count; at++) {
        if (!PyFloat_Check(items[at])) {
            PyErr_SetString(PyExc_TypeError, "weights are floats");
            return -1;
        }
        out[at] = PyFloat_AS_DOUBLE(items[at]);
    }
    return 0;
}

/* Read the entry of a new word: doubles, one a class and two more, alone or in a tuple with a dict of pairs. */
static int
take(Words *words, PyObject *word, PyObject *entry, Py_ssize_t classes)
{
    PyObject *packed = entry, *following = NULL;
    if (PyTuple_Check(entry) && PyTuple_GET_SIZE(entry) == 2) {
        packed = PyTuple_GET_ITEM(entry, 0);
        following = PyTuple_GET_ITEM(entry, 1);
    }
    Py_ssize_t size = (classes + 2) * (Py_ssize_t)sizeof(double);
    if (!PyBytes_Check(packed) || PyBytes_GET_SIZE(packed) != size || (following != NULL && !PyDict_Check(following))) {
        PyErr_SetString(PyExc_TypeError, "what a word adds is packed as doubles, alone or with a dict of pairs");
        return -1;
    }
    memcpy(words->adds[words->unique], PyBytes_AS_STRING(packed), (size_t)size);
    words->word[words->unique] = word;
    words->following[words->unique] = following;
    words->entry[words->unique++] = entry;
    return 0;
}

/* Look up each word once. */
static int
gather_words(PyObject *entries, PyObject *given, Py_ssize_t longest, Py_ssize_t classes, Words *words)
{
    short places[PLACES];
    memset(places, -1, sizeof places);
    for (Py_ssize_t place = 0; place < longest && place < PyTuple_GET_SIZE(given); place++) {
        PyObject *word = PyTuple_GET_ITEM(given, place);
        if (!PyUnicode_Check(word)) {
            PyErr_SetString(PyExc_TypeError, "words are texts");
            return -1;
        }
        PyObject *entry = earshot_look_up(entries, word);
        if (entry == NULL) {
            return -1;
        }
        size_t slot = ((size_t)entry >> 4) & (PLACES - 1);
        while (places[slot] >= 0 && words->entry[places[slot]] != entry) {
            slot = (slot + 1) & (PLACES - 1);
        }
        if (places[slot] >= 0) {
            Py_DECREF(entry);
        }
        else {
            places[slot] = (short)words->unique;
            if (take(words, word, entry, classes) < 0) {
                Py_DECREF(entry);
                return -1;
            }
        }
        words->at[words->length++] = places[slot];
    }
    return 0;
}

/* Find the pairs, each once. */
static int
gather_pairs(Words *words, Py_ssize_t classes)
{
    short places[PLACES];
    memset(places, -1, sizeof places);
    for (Py_ssize_t place = 0; place + 1 < words->length; place++) {
        short one = words->at[place], two = words->at[place + 1];
        size_t slot = ((size_t)one * 601 + (size_t)two) & (PLACES - 1);
        while (places[slot] >= 0 && (words->first[places[slot]] != one || words->second[places[slot]] != two)) {
            slot = (slot + 1) & (PLACES - 1);
        }
        if (places[slot] >= 0) {
            continue;
        }
        Py_ssize_t pair = words->pairs++;
        places[slot] = (short)pair;
        words->first[pair] = one;
        words->second[pair] = two;
        words->is_weak[pair] = words->adds[one][classes + 1] != 0.0 && words->adds[two][classes + 1] != 0.0;
        words->is_known[pair] = 0;
        if (words->following[one] != NULL) {
            PyObject *row = PyDict_GetItemWithError(words->following[one], words->word[two]);
            if (row == NULL ? PyErr_Occurred() != NULL : numbers(row, classes, words->pair_adds[pair]) < 0) {
                return -1;
            }
            words->is_known[pair] = row != NULL;
        }
    }
    return 0;
}

/* Add up everything into `sums`. */
static int
add(Reading *reading, const Words *words, PyObject *const *tables, PyObject *rules, double feeling, double *sums)
{
    const Sizes *sizes = &reading->sizes;
    Py_ssize_t classes = reading->classes;
    double row[MOST_CLASSES], square = 0.0;
    for (Py_ssize_t at = 0; at < words->unique; at++) {
        double part = at < reading->opening ? 1.0 : sizes->after;
        square += part * part * words->adds[at][classes];
        for (Py_ssize_t index = 0; index < classes; index++) {
            sums[index] += part * words->adds[at][index];
        }
    }
    for (Py_ssize_t at = 0; at < words->pairs; at++) {
        double part = words->is_weak[at] ? sizes->weak_pair : sizes->pair;
        square += part * part;
        for (Py_ssize_t index = 0; words->is_known[at] && index < classes; index++) {
            sums[index] += part * words->pair_adds[at][index];
        }
    }
    reading->grown = square != 0.0 ? sizes->scale / sqrt(square) : 0.0;
    if (numbers(tables[2], classes, row) < 0) {
        return -1;
    }
    for (Py_ssize_t index = 0; index < classes; index++) {
        sums[index] = sizes->always * row[index] + reading->grown * sums[index];
    }
    for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(rules); at++) {
        PyObject *name = PyTuple_GET_ITEM(rules, at);
        if (!PyUnicode_Check(name)) {
            PyErr_SetString(PyExc_TypeError, "names of rules are texts");
            return -1;
        }
        PyObject *known = PyDict_GetItemWithError(tables[1], name);
        if (known == NULL ? PyErr_Occurred() != NULL : numbers(known, classes, row) < 0) {
            return -1;
        }
        for (Py_ssize_t index = 0; known != NULL && index < classes; index++) {
            sums[index] += sizes->of_rule * row[index];
        }
    }
    if (feeling != 0.0) {
        double felt = sizes->of_feeling * feeling;
        if (numbers(tables[3], classes, row) < 0) {
            return -1;
        }
        for (Py_ssize_t index = 0; index < classes; index++) {
            sums[index] = sums[index] + felt * row[index];
        }
    }
    return 0;
}

/* Return the name of a reason, a new reference. */
static PyObject *
name_of(const Reason *reason, const Words *words, PyObject *rules)
{
    if (reason->kind == WORD) {
        return Py_NewRef(words->word[reason->at]);
    }
    if (reason->kind == PAIR) {
        PyObject *one = words->word[words->first[reason->at]], *two = words->word[words->second[reason->at]];
        return PyUnicode_FromFormat("%U %U", one, two);
    }
    return PyUnicode_FromFormat("rule:%U", PyTuple_GET_ITEM(rules, reason->at));
}

/* Whether the first of two equally strong reasons comes first by name; -1 on error. */
static int
is_first(const Reason *one, const Reason *two, const Words *words, PyObject *rules)
{
    PyObject *names[2] = {name_of(one, words, rules), name_of(two, words, rules)};
    int order = names[0] == NULL || names[1] == NULL ? -1 : PyUnicode_Compare(names[0], names[1]) <= 0;
    Py_XDECREF(names[0]);
    Py_XDECREF(names[1]);
    return PyErr_Occurred() ? -1 : order;
}

/* Keep a reason if it is among the strongest; of equal ones the first by name. -1 on error. */
static int
keep(Reading *reading, Reason reason, const Words *words, PyObject *rules)
{
    Py_ssize_t at = reading->reasons;
    if (!(reason.adding > reading->sizes.speaks)) {
        return 0;
    }
    for (; at > 0; at--) {
        const Reason *before = &reading->told[at - 1];
        int stays = before->adding > reason.adding;
        if (before->adding == reason.adding && (stays = is_first(before, &reason, words, rules)) < 0) {
            return -1;
        }
        if (stays) {
            break;
        }
    }
    if (at == reading->most) {
        return 0;
    }
    reading->reasons += reading->reasons < reading->most;
    for (Py_ssize_t last = reading->reasons - 1; last > at; last--) {
        reading->told[last] = reading->told[last - 1];
    }
    reading->told[at] = reason;
    return 0;
}

/* Find the strongest reasons for the best class. */
static int
find_reasons(Reading *reading, const Words *words, PyObject *by_rule, PyObject *rules)
{
    Py_ssize_t classes = reading->classes, best = reading->best;
    for (Py_ssize_t at = 0; at < words->unique; at++) {
        double part = at < reading->opening ? 1.0 : reading->sizes.after;
        Reason reason = {WORD, at, reading->grown * (part * words->adds[at][best])};
        if (words->adds[at][classes + 1] == 0.0 && keep(reading, reason, words, rules) < 0) {
            return -1;
        }
    }
    for (Py_ssize_t at = 0; at < words->pairs; at++) {
        if (!words->is_known[at] || words->is_weak[at]) {
            continue;
        }
        Reason reason = {PAIR, at, reading->grown * (reading->sizes.pair * words->pair_adds[at][best])};
        if (keep(reading, reason, words, rules) < 0) {
            return -1;
        }
    }
    for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(rules); at++) {
        double row[MOST_CLASSES];
        PyObject *known = PyDict_GetItemWithError(by_rule, PyTuple_GET_ITEM(rules, at));
        if (known == NULL ? PyErr_Occurred() != NULL : numbers(known, classes, row) < 0) {
            return -1;
        }
        if (known != NULL) {
            Reason reason = {RULE, at, reading->sizes.of_rule * row[best]};
            if (keep(reading, reason, words, rules) < 0) {
                return -1;
            }
        }
    }
    return 0;
}

static PyObject *
answer(const Reading *reading, const Words *words, PyObject *rules, const double *sums)
{
    PyObject *adds = PyList_New(reading->classes), *terms = PyTuple_New(reading->reasons), *both = NULL;
    for (Py_ssize_t index = 0; adds != NULL && index < reading->classes; index++) {
        PyObject *value = PyFloat_FromDouble(reading->trust * sums[index]);
        if (value == NULL) {
            Py_CLEAR(adds);
        }
        else {
            PyList_SET_ITEM(adds, index, value);
        }
    }
    for (Py_ssize_t at = 0; terms != NULL && at < reading->reasons; at++) {
        PyObject *name = name_of(&reading->told[at], words, rules);
        if (name == NULL) {
            Py_CLEAR(terms);
        }
        else {
            PyTuple_SET_ITEM(terms, at, name);
        }
    }
    if (adds != NULL && terms != NULL) {
        both = PyTuple_Pack(2, adds, terms);
    }
    Py_XDECREF(adds);
    Py_XDECREF(terms);
    return both;
}

static int
read_tables(PyObject *tables, PyObject *most, Reading *reading)
{
    PyObject *const *table = ((PyTupleObject *)tables)->ob_item;
    double sizes[8];
    if (!PyDict_Check(table[0]) || !PyDict_Check(table[1]) || !PyList_Check(table[2]) || !PyList_Check(table[3])) {
        PyErr_SetString(PyExc_TypeError, "tables are two dicts and two lists");
        return -1;
    }
    if (!earshot_is_tuple(table[6], 2, "counts are two") || numbers(table[5], 8, sizes) < 0) {
        return -1;
    }
    reading->sizes = (Sizes){sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6], sizes[7]};
    reading->classes = PyList_GET_SIZE(table[2]);
    reading->trust = PyFloat_AsDouble(table[4]);
    reading->longest = PyLong_AsSsize_t(PyTuple_GET_ITEM(table[6], 0));
    reading->opening = PyLong_AsSsize_t(PyTuple_GET_ITEM(table[6], 1));
    reading->most = PyLong_AsSsize_t(most);
    if (PyErr_Occurred()) {
        return -1;
    }
    if (reading->classes < 1 || reading->classes > MOST_CLASSES || reading->longest < 0 || reading->longest > MOST_WORDS
        || reading->most < 0 || reading->most > MOST_REASONS) {
        PyErr_SetString(PyExc_ValueError, "too many classes, words or reasons");
        return -1;
    }
    return 0;
}

/* recall(tables, words, rules, feeling, most reasons) -> (what was learned, one a class; reasons) */
PyObject *
earshot_recall(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    if (!earshot_takes(count, 5, "recall") || !earshot_is_tuple(args[0], 7, "tables are seven")) {
        return NULL;
    }
    Reading reading = {.reasons = 0};
    Words words;
    words.unique = words.length = words.pairs = 0;
    double feeling = PyFloat_AsDouble(args[3]), sums[MOST_CLASSES] = {0.0};
    if (PyErr_Occurred() || read_tables(args[0], args[4], &reading) < 0) {
        return NULL;
    }
    PyObject *const *tables = ((PyTupleObject *)args[0])->ob_item, *result = NULL, *rules = NULL;
    PyObject *given = PySequence_Tuple(args[1]); /* of our own: a look-up may run code that changes a list */
    if (given == NULL || (rules = PySequence_Tuple(args[2])) == NULL
        || gather_words(tables[0], given, reading.longest, reading.classes, &words) < 0
        || gather_pairs(&words, reading.classes) < 0
        || add(&reading, &words, tables, rules, feeling, sums) < 0) {
        goto done;
    }
    for (Py_ssize_t index = 1; index < reading.classes; index++) {
        reading.best = sums[index] > sums[reading.best] ? index : reading.best;
    }
    if (reading.most == 0 || find_reasons(&reading, &words, tables[1], rules) == 0) {
        result = answer(&reading, &words, rules, sums);
    }
done:
    for (Py_ssize_t at = 0; at < words.unique; at++) {
        Py_DECREF(words.entry[at]);
    }
    Py_XDECREF(given);
    Py_XDECREF(rules);
    return result;
}
