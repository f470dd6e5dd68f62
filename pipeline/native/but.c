/* What `but` does to the words around it, and sums.
 *
 * The original finds each value again by `index`, so a change goes to the first place that holds an equal value at that
 * moment, and changed values are met again. That is kept. Places that hold the same value are a heap, the first place on
 * top; a place that changes moves from one heap to another. Heaps are leftist: joining two takes as many steps as the
 * logarithm of their size. The heap of a value is found in a table by the bits of the value. All of it is n log n.
 */
#include "vader.h"

#include <math.h>

double
earshot_sum(const Scored *scored)
{
    double sum = 0.0;
#if PY_VERSION_HEX >= 0x030C0000
    /* From 3.12 on `sum()` compensates (Neumaier). */
    double lost = 0.0;
    for (Py_ssize_t at = 0; at < scored->count; at++) {
        double value = scored->items[at].value, next = sum + value;
        lost += fabs(sum) >= fabs(value) ? (sum - next) + value : (value - next) + sum;
        sum = next;
    }
    if (lost != 0.0 && isfinite(lost)) {
        sum += lost;
    }
#else
    for (Py_ssize_t at = 0; at < scored->count; at++) {
        sum += scored->items[at].value;
    }
#endif
    return sum;
}

static double
weighed(const Scored *scored, Py_ssize_t at)
{
    return scored->items[at].place < scored->but ? scored->items[at].value * 0.5 : scored->items[at].value * 1.5;
}

#define NOTHING (-1)
#define FEW 24 /* values among which the first equal one is looked for in turn */

/* For few values, as in nearly every text: look for the first equal one. */
static void
weigh_few(Scored *scored)
{
    for (Py_ssize_t at = 0; at < scored->count; at++) {
        Py_ssize_t first = 0;
        while (first < at && scored->items[first].value != scored->items[at].value) {
            first++;
        }
        scored->items[first].value = weighed(scored, first);
    }
}

typedef struct {
    Py_ssize_t left, right, rank;
} Node;

typedef struct {
    double value;
    Py_ssize_t top; /* the first place of the heap; NOTHING where the heap is empty */
    int is_used;
} Heap;

static Py_ssize_t
join(Node *nodes, Py_ssize_t one, Py_ssize_t other)
{
    if (one == NOTHING || other == NOTHING) {
        return one == NOTHING ? other : one;
    }
    if (other < one) {
        Py_ssize_t kept = one;
        one = other;
        other = kept;
    }
    Node *node = &nodes[one];
    node->right = join(nodes, node->right, other); /* as deep as the logarithm: the right way down is the shortest */
    Py_ssize_t left = node->left == NOTHING ? 0 : nodes[node->left].rank;
    if (left < nodes[node->right].rank) {
        Py_ssize_t kept = node->left;
        node->left = node->right;
        node->right = kept;
    }
    node->rank = node->right == NOTHING ? 1 : nodes[node->right].rank + 1;
    return one;
}

/* Return the heap of a value, an empty new one where there was none. The table always has room. */
static Heap *
heap_of(Heap *table, size_t mask, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    bits *= UINT64_C(0x9E3779B97F4A7C15); /* Fibonacci hashing: valences differ in few bits */
    for (size_t at = (size_t)(bits >> 32) & mask;; at = (at + 1) & mask) {
        if (!table[at].is_used) {
            table[at] = (Heap){value, NOTHING, 1};
            return &table[at];
        }
        if (memcmp(&table[at].value, &value, sizeof value) == 0) { /* what is no number equals only itself */
            return &table[at];
        }
    }
}

int
earshot_weigh(Scored *scored)
{
    Py_ssize_t count = scored->count;
    if (count <= FEW) {
        weigh_few(scored);
        return 0;
    }
    size_t room = 64;
    while (room < (size_t)count * 4) { /* every value and every changed one: at most half full */
        room *= 2;
    }
    Node *nodes = PyMem_New(Node, (size_t)count);
    Heap *table = PyMem_Calloc(room, sizeof(Heap));
    if (nodes == NULL || table == NULL) {
        PyMem_Free(nodes);
        PyMem_Free(table);
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t at = 0; at < count; at++) {
        nodes[at] = (Node){NOTHING, NOTHING, 1};
        Heap *heap = heap_of(table, room - 1, scored->items[at].value);
        heap->top = join(nodes, heap->top, at);
    }
    for (Py_ssize_t at = 0; at < count; at++) {
        Heap *heap = heap_of(table, room - 1, scored->items[at].value);
        Py_ssize_t first = heap->top;
        heap->top = join(nodes, nodes[first].left, nodes[first].right);
        nodes[first] = (Node){NOTHING, NOTHING, 1};
        scored->items[first].value = weighed(scored, first);
        heap = heap_of(table, room - 1, scored->items[first].value);
        heap->top = join(nodes, heap->top, first);
    }
    PyMem_Free(nodes);
    PyMem_Free(table);
    return 0;
}
