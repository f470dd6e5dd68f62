/* What wordings.c and rules.c share: the wordings found in a text. */
#ifndef EARSHOT_WORDINGS_H
#define EARSHOT_WORDINGS_H

#include "native.h"

typedef struct {
    Py_ssize_t start, end;
    PyObject *says; /* a reference of our own: the table of starts may begin anew meanwhile */
} Hit;

typedef struct {
    Hit *items;
    Py_ssize_t count, room;
    Hit few[32]; /* most texts have fewer, and nothing is allocated for them */
} Hits;

void earshot_begin_hits(Hits *hits);
void earshot_end_hits(Hits *hits);

/* Gather the wordings in a sequence made by PySequence_Fast, without those within a longer one; -1 on error. */
int earshot_gather(PyObject *module, PyObject *starts, PyObject *opening, PyObject *found, Hits *hits);

#endif
