/* What rules and the hand-set model say for each department: the sums of pipeline/core/routing/leaning.py. */
#include "native.h"

#define DEPARTMENTS 4

/* Add the numbers of a tuple of four to sums; -1 on error. */
static int
add(double *sums, PyObject *vector)
{
    if (!earshot_is_tuple(vector, DEPARTMENTS, "there are four departments")) {
        return -1;
    }
    for (Py_ssize_t at = 0; at < DEPARTMENTS; at++) {
        sums[at] += PyFloat_AsDouble(PyTuple_GET_ITEM(vector, at));
    }
    return PyErr_Occurred() ? -1 : 0;
}

/* Return a new reference to what a rule says that was fired by these wordings: (vector, what is written down). */
static PyObject *
spoken_by(PyObject *spoken, PyObject *say, PyObject *index, PyObject *terms)
{
    if (!PyList_Check(terms)) {
        PyErr_SetString(PyExc_TypeError, "the wordings of a rule are a list");
        return NULL;
    }
    Py_ssize_t count = PyList_GET_SIZE(terms);
    PyObject *key = PyTuple_New(count + 1), *found = NULL;
    if (key == NULL) {
        return NULL;
    }
    PyTuple_SET_ITEM(key, 0, Py_NewRef(index));
    for (Py_ssize_t at = 0; at < count; at++) {
        PyTuple_SET_ITEM(key, at + 1, Py_NewRef(PyList_GET_ITEM(terms, at)));
    }
    if ((found = PyDict_GetItemWithError(spoken, key)) != NULL) {
        Py_INCREF(found);
    }
    else if (!PyErr_Occurred()) {
        found = PyObject_CallFunctionObjArgs(say, index, terms, NULL);
    }
    Py_DECREF(key);
    if (found != NULL && !earshot_is_tuple(found, 2, "a rule says a tuple of two")) {
        Py_CLEAR(found);
    }
    return found;
}

/* Let all rules speak: add to sums, return what is written down as a tuple. */
static PyObject *
speak(PyObject *rules, PyObject *spoken, PyObject *say, double *sums)
{
    PyObject *fired = PyTuple_New(PyDict_GET_SIZE(rules)), *index, *terms;
    Py_ssize_t place = 0, number = 0;
    while (fired != NULL && PyDict_Next(rules, &place, &index, &terms)) {
        PyObject *said = spoken_by(spoken, say, index, terms);
        if (said == NULL || add(sums, PyTuple_GET_ITEM(said, 0)) < 0 || number >= PyTuple_GET_SIZE(fired)) {
            Py_XDECREF(said);
            Py_CLEAR(fired);
            break;
        }
        PyTuple_SET_ITEM(fired, number++, Py_NewRef(PyTuple_GET_ITEM(said, 1)));
        Py_DECREF(said);
    }
    if (fired != NULL && number < PyTuple_GET_SIZE(fired)) {
        Py_CLEAR(fired);
    }
    if (fired == NULL && !PyErr_Occurred()) {
        PyErr_SetString(PyExc_RuntimeError, "rules changed while they spoke");
    }
    return fired;
}

/* Whether a text has two marks of code or of a technical form; -1 on error. */
static int
is_technical(PyObject *text, PyObject *marks)
{
    static const char *const SIGNS[] = {"`", "<", "{", "(", "*", "#", "::"};
    size_t sign = 0;
    while (sign < sizeof(SIGNS) / sizeof(*SIGNS) && !earshot_has(text, SIGNS[sign])) {
        sign++;
    }
    if (sign == sizeof(SIGNS) / sizeof(*SIGNS)) {
        return 0;
    }
    int sum = 0;
    for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(marks); at++) {
        int has = PyUnicode_Contains(text, PyTuple_GET_ITEM(marks, at));
        if (has < 0) {
            return -1;
        }
        sum += has;
    }
    return sum >= 2;
}

typedef struct {
    PyObject *spoken, *say, *known, *said, *contrasts, *marks;
    double matter;
    Py_ssize_t few;
} Tables;

static int
tables_of(PyObject *given, Tables *tables)
{
    return PyArg_ParseTuple(given, "O!OO!OO!O!dn;leaning() takes tables", &PyDict_Type, &tables->spoken,
                            &tables->say, &PyDict_Type, &tables->known, &tables->said, &PyFrozenSet_Type,
                            &tables->contrasts, &PyTuple_Type, &tables->marks, &tables->matter, &tables->few)
               ? 0
               : -1;
}

/* Return a new reference to what the model says about a form: (vector, terms). */
static PyObject *
said_of(const Tables *tables, const double *sums, PyObject *text, PyObject *words, double sentiment, PyObject *stars,
        PyObject *kind)
{
    int has_matter = sums[0] >= tables->matter || sums[1] >= tables->matter || sums[2] >= tables->matter;
    int is_short = !has_matter && PySequence_Fast_GET_SIZE(words) <= tables->few;
    int asks = earshot_has(text, "?");
    if (!asks && PyUnicode_MAX_CHAR_VALUE(text) > 0xFF) {
        asks = PyUnicode_FindChar(text, 0xFF1F, 0, PyUnicode_GET_LENGTH(text), 1) >= 0;
    }
    int contrasts = earshot_has_one(tables->contrasts, words), technical = contrasts < 0 ? -1 : is_technical(text, tables->marks);
    if (contrasts < 0 || technical < 0) {
        return NULL;
    }
    PyObject *feeling = earshot_round(sentiment, 1), *praise = PyFloat_FromDouble(has_matter ? sums[3] : 0.0);
    PyObject *form = NULL, *found = NULL;
    if (feeling != NULL && praise != NULL) {
        form = PyTuple_Pack(8, feeling, praise, is_short ? Py_True : Py_False, asks ? Py_True : Py_False,
                            contrasts ? Py_True : Py_False, technical ? Py_True : Py_False, stars, kind);
    }
    Py_XDECREF(feeling);
    Py_XDECREF(praise);
    if (form == NULL) {
        return NULL;
    }
    if ((found = PyDict_GetItemWithError(tables->known, form)) != NULL) {
        Py_INCREF(found);
    }
    else if (!PyErr_Occurred()) {
        found = PyObject_CallOneArg(tables->said, form);
    }
    Py_DECREF(form);
    if (found != NULL && !earshot_is_tuple(found, 2, "a model says a tuple of two")) {
        Py_CLEAR(found);
    }
    return found;
}

/* Return a new reference to the term of a rating, None where there is none. */
static PyObject *
term_of(PyObject *rating)
{
    double value = rating == Py_None ? 0.5 : PyFloat_AsDouble(rating);
    if (PyErr_Occurred()) {
        return NULL;
    }
    if (value > 0.25 && value < 0.75) {
        Py_RETURN_NONE;
    }
    return PyUnicode_FromString(value >= 0.75 ? "full stars" : "few stars");
}

/* leaning(_, (spoken, say, known, learn, contrasts, marks, matter, few), rules, _, text, words, sentiment, rating, kind)
 * -> ([sum, ...], what rules say, what the model says) */
PyObject *
earshot_leaning(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    Tables tables;
    if (!earshot_takes(count, 9, "leaning")) {
        return NULL;
    }
    PyObject *text = args[4], *words = args[5], *stars = term_of(args[7]);
    double sentiment = stars == NULL ? 0.0 : PyFloat_AsDouble(args[6]);
    double sums[DEPARTMENTS] = {0.0, 0.0, 0.0, 0.0};
    PyObject *fired = NULL, *said = NULL, *result = NULL;
    if (PyErr_Occurred()) {
        goto done;
    }
    if (!PyTuple_Check(args[1]) || !PyDict_Check(args[2]) || !PyUnicode_Check(text)
        || !(PyList_Check(words) || PyTuple_Check(words))) {
        PyErr_SetString(PyExc_TypeError, "leaning() takes a tuple, a dict, a text and its words");
        goto done;
    }
    if (tables_of(args[1], &tables) < 0 || (fired = speak(args[2], tables.spoken, tables.say, sums)) == NULL) {
        goto done;
    }
    said = said_of(&tables, sums, text, words, sentiment, stars, args[8]);
    if (said != NULL && add(sums, PyTuple_GET_ITEM(said, 0)) == 0) {
        result = Py_BuildValue("([dddd]OO)", sums[0], sums[1], sums[2], sums[3], fired, PyTuple_GET_ITEM(said, 1));
    }
done:
    Py_XDECREF(stars);
    Py_XDECREF(said);
    Py_XDECREF(fired);
    return result;
}
