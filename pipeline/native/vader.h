/* What vader.c and but.c share: the words of a text that carry feeling. */
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

#endif
