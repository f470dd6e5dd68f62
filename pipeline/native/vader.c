/* VADER's walk over the tokens of a text: pipeline/core/sentiment/vader.py says what it does and why it is right.
 *
 * Tokens are classified by the twin; a class is its named tuple Token, None for a plain word, False for a plain word in
 * capitals. The order of floating-point operations is the original's.
 */
#include "vader.h"

#include <math.h>

/* Places in Token. */
enum { LOWER, VALENCE, IN_LEXICON, BOOSTER, NEGATION, UPPER, SPECIAL, ACTS_BEHIND, ACTS_ALONE, RULED, FIELDS };

/* RULED: words that rules name one by one, in the order of the twin's _RULED. */
enum { NONE, NO, OR, NOR, NEVER, SO, THIS, WITHOUT, DOUBT, LEAST, AT, VERY, KIND, OF, BUT };

/* What the rules ask about a token. */
typedef struct {
    PyObject *lower; /* borrowed, NULL for a plain word */
    double valence, booster;
    int has_valence, in_lexicon, is_negation, is_upper, is_special, acts_behind, acts_alone, ruled;
} Token;

typedef struct {
    double caps, negate;
    PyObject *follows, *idioms; /* borrowed: first words of phrases -> words behind them, the twin's function */
} Rules;

static int
is_plain(PyObject *token)
{
    return token == Py_None || token == Py_False;
}

/* Read a token's class; -1 on error. */
static int
look(PyObject *from, Token *token)
{
    memset(token, 0, sizeof *token);
    if (is_plain(from)) {
        return 0;
    }
    if (!PyTuple_Check(from) || PyTuple_GET_SIZE(from) != FIELDS) {
        PyErr_SetString(PyExc_TypeError, "a class is a Token, None or False");
        return -1;
    }
    PyObject *valence = PyTuple_GET_ITEM(from, VALENCE);
    token->lower = PyTuple_GET_ITEM(from, LOWER);
    if (valence != Py_None) {
        token->has_valence = 1;
        token->valence = PyFloat_AsDouble(valence);
    }
    token->booster = PyFloat_AsDouble(PyTuple_GET_ITEM(from, BOOSTER));
    token->in_lexicon = PyTuple_GET_ITEM(from, IN_LEXICON) == Py_True;
    token->is_negation = PyTuple_GET_ITEM(from, NEGATION) == Py_True;
    token->is_upper = PyTuple_GET_ITEM(from, UPPER) == Py_True;
    token->is_special = PyTuple_GET_ITEM(from, SPECIAL) == Py_True;
    token->acts_behind = PyTuple_GET_ITEM(from, ACTS_BEHIND) == Py_True;
    token->acts_alone = PyTuple_GET_ITEM(from, ACTS_ALONE) == Py_True;
    token->ruled = (int)PyLong_AsLong(PyTuple_GET_ITEM(from, RULED));
    return PyErr_Occurred() ? -1 : 0;
}

static double
boost(const Rules *rules, const Token *token, double valence, int caps)
{
    double scalar = token->booster;
    if (scalar != 0.0) {
        if (valence < 0) {
            scalar *= -1;
        }
        if (token->is_upper && caps) {
            scalar = valence > 0 ? scalar + rules->caps : scalar - rules->caps;
        }
    }
    return scalar;
}

/* Whether two neighbours of these six words stand next to each other in a phrase; only then is a phrase here. */
static int
may_be_phrase(const Rules *rules, const Token *near)
{
    for (int at = 0; at < 5; at++) {
        if (near[at].is_special && near[at + 1].is_special) {
            PyObject *behind = PyDict_GetItemWithError(rules->follows, near[at].lower);
            int found = behind == NULL ? 0 : PySet_Contains(behind, near[at + 1].lower);
            if (found || PyErr_Occurred()) {
                return found > 0 ? 1 : -1;
            }
        }
    }
    return 0;
}

/* Ask the twin what idioms and boosters of several words make of a valence; they are rare. */
static int
ask_idioms(const Rules *rules, const Token *near, double *valence)
{
    PyObject *lowers = PyTuple_New(6);
    if (lowers == NULL) {
        return -1;
    }
    for (Py_ssize_t at = 0; at < 6; at++) {
        PyObject *lower = near[at].lower == NULL ? PyUnicode_FromString("") : Py_NewRef(near[at].lower);
        if (lower == NULL) {
            Py_DECREF(lowers);
            return -1;
        }
        PyTuple_SET_ITEM(lowers, at, lower);
    }
    PyObject *result = PyObject_CallFunction(rules->idioms, "dO", *valence, lowers);
    Py_DECREF(lowers);
    if (result == NULL) {
        return -1;
    }
    *valence = PyFloat_AsDouble(result);
    Py_DECREF(result);
    return PyErr_Occurred() ? -1 : 0;
}

/* The valence of one lexicon word as the rules leave it: the twin's `ruled`, line by line. -1 on error. */
static int
apply(const Rules *rules, PyObject **tokens, Py_ssize_t count, Py_ssize_t place, int caps, double *result)
{
    Token near[6]; /* three places before, the word, two behind */
    for (Py_ssize_t at = 0; at < 6; at++) {
        Py_ssize_t from = place - 3 + at;
        if (look(from >= 0 && from < count ? tokens[from] : Py_None, &near[at]) < 0) {
            return -1;
        }
    }
    const Token *three = &near[0], *two = &near[1], *one = &near[2], *token = &near[3], *following = &near[4];
    double base = token->valence, valence = base;
    *result = 0.0;
    if (token->ruled == KIND && following->ruled == OF) {
        return 0;
    }
    if (token->ruled == NO && following->in_lexicon) {
        valence = 0.0;
    }
    if (one->ruled == NO || two->ruled == NO || (three->ruled == NO && (one->ruled == OR || one->ruled == NOR))) {
        valence = base * rules->negate;
    }
    if (token->is_upper && caps) {
        valence = valence > 0 ? valence + rules->caps : valence - rules->caps;
    }
    if (place > 0 && !one->in_lexicon) {
        valence += boost(rules, one, valence, caps);
        if (one->is_negation) {
            valence *= rules->negate;
        }
    }
    if (place > 1 && !two->in_lexicon) {
        valence += boost(rules, two, valence, caps) * 0.95;
        if (two->ruled == NEVER && (one->ruled == SO || one->ruled == THIS)) {
            valence *= 1.25;
        }
        else if (two->is_negation && !(two->ruled == WITHOUT && one->ruled == DOUBT)) {
            valence *= rules->negate;
        }
    }
    if (place > 2 && !three->in_lexicon) {
        valence += boost(rules, three, valence, caps) * 0.9;
        if ((three->ruled == NEVER && (two->ruled == SO || two->ruled == THIS)) || one->ruled == SO || one->ruled == THIS) {
            valence *= 1.25;
        }
        else if (three->is_negation && !(three->ruled == WITHOUT && (one->ruled == DOUBT || two->ruled == DOUBT))) {
            valence *= rules->negate;
        }
        if (token->is_special || one->is_special || two->is_special) {
            int asks = may_be_phrase(rules, near);
            if (asks < 0 || (asks && ask_idioms(rules, near, &valence) < 0)) {
                return -1;
            }
        }
    }
    if (one->ruled == LEAST && !one->in_lexicon && (place == 1 || (two->ruled != AT && two->ruled != VERY))) {
        valence *= rules->negate;
    }
    *result = valence;
    return 0;
}

/* Whether a token is not in capitals; asked where one is. */
static int
caps_differ(PyObject **tokens, Py_ssize_t count)
{
    for (Py_ssize_t at = 0; at < count; at++) {
        if (tokens[at] == Py_None
            || (PyTuple_Check(tokens[at]) && PyTuple_GET_SIZE(tokens[at]) == FIELDS
                && PyTuple_GET_ITEM(tokens[at], UPPER) != Py_True)) {
            return 1;
        }
    }
    return 0;
}

static int
same_near(PyObject **tokens, PyObject **others, Py_ssize_t count, Py_ssize_t place)
{
    for (Py_ssize_t at = place < 3 ? 0 : place - 3; at < place + 2 && at < count; at++) {
        if (tokens[at] != others[at]) {
            return 0;
        }
    }
    return 1;
}

/* The twin's `_score`: fill `first` and `second`, and the place of the first `but`. -1 on error. */
static int
score(const Rules *rules, PyObject **tokens, PyObject **others, Py_ssize_t count, Scored *first, Scored *second)
{
    Py_ssize_t acting = -9; /* so far back that no rule reaches it */
    int caps = -1;
    Token other, token;
    for (Py_ssize_t place = 0; place < count; place++) {
        if (is_plain(others[place])) { /* a changed lexicon has every word of the first */
            continue;
        }
        if (look(others[place], &other) < 0) {
            return -1;
        }
        if (other.has_valence) {
            int is_same = tokens[place] == others[place];
            double value = other.valence, valence = value;
            if (!is_same) {
                if (look(tokens[place], &token) < 0) {
                    return -1;
                }
                valence = token.valence; /* 0 where it has none: it is left out */
            }
            if (other.acts_alone || place - acting <= 3) {
                if (caps < 0) {
                    caps = caps_differ(others, count);
                }
                if (apply(rules, others, count, place, caps, &value) < 0) {
                    return -1;
                }
                if (is_same && same_near(tokens, others, count, place)) {
                    valence = value;
                }
                else if ((is_same || token.has_valence) && apply(rules, tokens, count, place, caps, &valence) < 0) {
                    return -1;
                }
            }
            if (value != 0.0) {
                second->items[second->count++] = (Valence){place, value};
            }
            if (valence != 0.0) {
                first->items[first->count++] = (Valence){place, valence};
            }
        }
        else if (first->but < 0 && other.ruled == BUT) {
            first->but = second->but = place;
        }
        if (other.acts_behind) {
            acting = place;
        }
    }
    return 0;
}

/* How much the marks of a text add: the twin's `_emphasis`. */
static double
emphasis(PyObject *text)
{
    int kind = PyUnicode_KIND(text);
    const void *data = PyUnicode_DATA(text);
    Py_ssize_t exclamations = 0, questions = 0;
    for (Py_ssize_t at = 0; at < PyUnicode_GET_LENGTH(text); at++) {
        Py_UCS4 sign = PyUnicode_READ(kind, data, at);
        exclamations += sign == '!';
        questions += sign == '?';
    }
    double doubt = questions < 2 ? 0.0 : questions <= 3 ? (double)questions * 0.18 : 0.96;
    return (double)(exclamations > 4 ? 4 : exclamations) * 0.292 + doubt;
}

static int
total_of(Scored *scored, double marks, double *result)
{
    *result = 0.0;
    if (scored->count == 0) {
        return 0;
    }
    if (scored->but >= 0 && earshot_weigh(scored) < 0) {
        return -1;
    }
    double total = earshot_sum(scored);
    *result = total > 0 ? total + marks : total < 0 ? total - marks : 0.0;
    return 0;
}

#define FEW 64 /* tokens for which nothing is allocated */

/* vader(first table, second table or None, (caps, negate, follows, idioms), text) -> (total of first, of second) */
PyObject *
earshot_vader(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    Rules rules;
    if (!earshot_takes(count, 4, "vader")) {
        return NULL;
    }
    PyObject *first_table = args[0], *second_table = args[1] == Py_None ? NULL : args[1], *text = args[3];
    if (!PyDict_Check(first_table) || (second_table != NULL && !PyDict_Check(second_table)) || !PyUnicode_Check(text) || !PyTuple_Check(args[2])) {
        PyErr_SetString(PyExc_TypeError, "vader() takes two dicts, a tuple and a text");
        return NULL;
    }
    if (!PyArg_ParseTuple(args[2], "ddO!O", &rules.caps, &rules.negate, &PyDict_Type, &rules.follows, &rules.idioms)) {
        return NULL;
    }
    Py_ssize_t length = 0, known = 0;
    for (Py_ssize_t start, end = 0; earshot_next_token(text, &start, &end);) {
        length++;
    }
    PyObject *few_tokens[2 * FEW], **tokens = few_tokens, **others;
    Valence few_values[2 * FEW], *values = few_values;
    PyObject *result = NULL;
    if (length > FEW) {
        tokens = PyMem_New(PyObject *, (size_t)length * 2);
        values = PyMem_New(Valence, (size_t)length * 2);
        if (tokens == NULL || values == NULL) {
            PyErr_NoMemory();
            goto done;
        }
    }
    others = second_table == NULL ? tokens : tokens + length;
    if (earshot_classify(module, text, first_table, second_table, tokens, others, &known) < 0) {
        goto done;
    }
    Scored first = {values, 0, -1}, second = {values + length, 0, -1};
    double total, other_total;
    if (score(&rules, tokens, others, length, &first, &second) < 0) {
        goto done;
    }
    double marks = first.count || second.count ? emphasis(text) : 0.0;
    if (total_of(&first, marks, &total) == 0 && total_of(&second, marks, &other_total) == 0) {
        result = Py_BuildValue("(dd)", total, other_total);
    }
done:
    for (Py_ssize_t at = 0; at < known; at++) {
        Py_DECREF(tokens[at]);
        if (second_table != NULL) {
            Py_DECREF(tokens[length + at]);
        }
    }
    if (length > FEW) {
        PyMem_Free(tokens);
        PyMem_Free(values);
    }
    return result;
}
