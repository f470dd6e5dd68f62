/* The compiled part of earshot's core: walks over the words of a text, nothing else.
 *
 * It holds no state but a name it asks for. Every table is a Python dictionary that belongs to its pure-Python twin and is filled by it, so a
 * word that is new is classified by the twin, once, and only found again by C. What is rare is left to the twin, too.
 * Floating-point operations stand in the twin's order and are not contracted: results are equal to the last bit.
 */
#ifndef EARSHOT_NATIVE_H
#define EARSHOT_NATIVE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <float.h>
#include <string.h>

/* What is not built here is done by the twins. */
#ifdef Py_GIL_DISABLED
#error "borrowed references need the GIL"
#endif
#if defined(__FAST_MATH__) || (FLT_EVAL_METHOD != 0 && FLT_EVAL_METHOD != 1)
#error "sums in another precision than Python's own have other last bits"
#endif

/* Says to Python which form of the functions this is; `pipeline/core/native.py` takes no other. */
#define NATIVE_FORM 7

/* Functions of the module. Each docstring names the twin. */
PyObject *earshot_words(PyObject *module, PyObject *text);
PyObject *earshot_wordings(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *earshot_rules(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *earshot_phrases(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *earshot_votes(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *earshot_sketch(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *earshot_in_common(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *earshot_shares(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *earshot_rounded(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *earshot_has_sign(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *earshot_numbers(PyObject *module, PyObject *text);
PyObject *earshot_replaced(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *earshot_places(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *earshot_feeling(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *earshot_leaning(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *earshot_recall(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *earshot_vader(PyObject *module, PyObject *const *args, Py_ssize_t count);

/* Return 1 when there are as many arguments as wanted; else set TypeError and return 0. */
int earshot_takes(Py_ssize_t count, Py_ssize_t wanted, const char *name);

/* Whether a value is a tuple of that size; else TypeError with these words is set. */
int earshot_is_tuple(PyObject *value, Py_ssize_t size, const char *otherwise);

/* Return a new reference to table[word]; what is not there is asked of the table's own `__missing__`. NULL on error. */
PyObject *earshot_look_up(PyObject *table, PyObject *word);

/* Whether a list or tuple of words has one of a set; -1 on error. */
int earshot_has_one(PyObject *set, PyObject *words);

/* Whether a text has these characters of ASCII in a row. */
int earshot_has(PyObject *text, const char *sought);

/* Return a number rounded to 0 to 4 digits, exactly as Python's `round` does; NULL on error. */
PyObject *earshot_round(double value, int digits);

/* Whether a word begins with one of a tuple of beginnings; -1 on error. */
int earshot_begins(PyObject *word, PyObject *beginnings);

/* rare.c: words that a table has not seen. */

/* What a module keeps: a name that is made anew takes as long as all the rest. */
typedef struct {
    PyObject *rare; /* the name of the attribute */
} Kept;

/* Return a new reference to the tuple `rare` of a table, of that size: the most words it holds, the most letters of a word
 * worth keeping, and what it knows. NULL without an error where the table is full or has none, with one on error. */
PyObject *earshot_rare(PyObject *module, PyObject *table, Py_ssize_t size);

/* Keep what a new word says in a table that is not full, unless the word is long or a long number; -1 on error. */
int earshot_keep(PyObject *table, PyObject *word, PyObject *value, PyObject *rare);

/* Find what is left of a chunk of ASCII without these characters at its edges. */
void earshot_between(PyObject *chunk, const char *edges, Py_ssize_t *start, Py_ssize_t *end);

/* Return a part of a chunk of ASCII in lower case; NULL on error. */
PyObject *earshot_lowered(PyObject *chunk, Py_ssize_t start, Py_ssize_t end);

#endif
