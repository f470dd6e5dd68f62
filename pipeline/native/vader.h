/* What vader.c, tokens.c and but.c share: the words of a text that carry feeling. */
#ifndef EARSHOT_VADER_H
#define EARSHOT_VADER_H

#include "native.h"

typedef struct {
    Py_ssize_t place;
    double value; /* never 0: it would change no sum */
} Valence;

typedef struct {
    Valence *items; /* by place */
    Py_ssize_t count, but; /* `but` is the place of the first `but`, negative where there is none */
} Scored;

/* Weigh what stands before and behind `but`: the twin's `_but`. -1 on error. */
int earshot_weigh(Scored *scored);

/* The sum as this Python's own `sum()` makes it. */
double earshot_sum(const Scored *scored);

/* Find the next token of a text, as `str.split()` does: from `*start` to `*end`. Whether there is one. */
int earshot_next_token(PyObject *text, Py_ssize_t *start, Py_ssize_t *end);

/* Classify the tokens of a text by one table or two; `second` is NULL where there is one. Each is made, looked up and freed
 * before the next: the tokens of a long text all at once would not fit into the processor's cache. `known` counts those
 * whose classes have to be given back. -1 on error. */
int earshot_classify(PyObject *module, PyObject *text, PyObject *first, PyObject *second, PyObject **tokens,
                     PyObject **others, Py_ssize_t *known);

#endif
