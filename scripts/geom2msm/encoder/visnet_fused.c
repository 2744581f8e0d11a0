/* A frozen ViSNet on one thread of a CPU; visnet.py is the readable text of the same algebra.

   What makes it fast: edges are worked off in blocks that stay in the nearest caches, so that of all edge arrays
   only the edges' state lives in memory; dense layers, their activation and the sums over neighbors follow one
   another inside a block. Rejections are multiplied out, so that their projections act on atoms.

   WIDTH (channels) and HEADS are fixed when this file is compiled, by visnet_fused.py. Channels of queries, keys,
   values and messages are stored as [place in head][head]: the sum over a head's channels then adds whole vector
   registers, and its result already lies where it is multiplied next.

   An atom's result does not depend on which other molecules are in the call: everything is summed edge by edge in
   the order of the neighbor table. */

#include "lanes.h"

#define CHUNKS (WIDTH / LANES)                        /* registers per row of channels */
#define GROUPS (HEADS < LANES ? 1 : HEADS / LANES)    /* registers that hold one number per head */
#define EDGE_BLOCK 48                                 /* multiples of TILE_ROWS */
#define ATOM_BLOCK 24

typedef struct {
    const float *norm_weight, *norm_bias, *unit_weight;
    const float *attend, *attend_bias;                /* query, key, value */
    const float *turn;                                /* target and source of the edge update */
    const float *filter, *filter_bias;                /* of keys, of values; for the edge update */
    const float *gate, *gate_bias;                    /* of directions, of vectors */
    const float *mix, *out, *out_bias;
} Layer;

typedef struct {
    int64_t n_layers, n_nodes;
    float cutoff, alpha, first_node, node_step, epsilon;
    const float *radial;                              /* [node][neighborhood filter, edge filter] */
    const float *sent_element, *own_element;          /* [element][channel] */
    const float *combine, *zeros, *out_weight, *out_bias, *out_unit;
    const Layer *layers;
} Network;

/* Working memory has EDGE_BLOCK or ATOM_BLOCK rows more than there are edges or atoms. */
typedef struct {
    int64_t n_atoms, n_edges;
    const int64_t *elements;
    const int32_t *target, *source;                   /* edges in ascending order of their targets */
    float *direction;                                 /* at first the displacement from target to source, angstrom */
    float *envelope, *state;
    float *scalars, *vectors, *unit, *attended, *turned, *scalar_sum, *vector_sum;
} Molecules;

enum place { FIRST, MIDDLE, LAST }; /* no vectors yet; every term; no edge update any more */

/* Every lane gets the sum over the lanes of its own head. */
static inline lanes sum_over_lanes_of_a_head(lanes x)
{
    for (int distance = HEADS; distance < LANES; distance *= 2) {
        lanes other;
        for (int l = 0; l < LANES; l++) other[l] = x[l ^ distance];
        x += other;
    }
    return x;
}

/* Messages of the edges [first, end), all into one atom, and their sum: SiLU(q_i k_j dk_ij) v_j dv_ij. */
static inline void attend(const Molecules *m, long first, long end, const float *filter, long stride, float *message)
{
    const long i = m->target[first];
    const float *query = m->attended + i * PADDED(3 * WIDTH);
    for (long e = first; e < end; e++, filter += stride, message += WIDTH) {
        const float *key = m->attended + m->source[e] * PADDED(3 * WIDTH) + WIDTH, *value = key + WIDTH;
        lanes weight[GROUPS] = {{0}};
        for (int t = 0; t < CHUNKS; t++)
            weight[t % GROUPS] += load(query + t * LANES) * load(key + t * LANES) * load(filter + t * LANES);
        for (int g = 0; g < GROUPS; g++)
            weight[g] = silu(sum_over_lanes_of_a_head(weight[g])) * m->envelope[e];
        for (int t = 0; t < CHUNKS; t++) {
            lanes sent = load(value + t * LANES) * load(filter + WIDTH + t * LANES) * weight[t % GROUPS];
            store(message + t * LANES, sent);
            add_to(m->scalar_sum + i * WIDTH + t * LANES, sent);
        }
    }
}

/* Sum of s1 v_j + s2 d_ij over the edges [first, end) into one atom. */
static inline void send_vectors(const Molecules *m, long first, long end, const float *gate, long stride,
                                enum place place)
{
    for (int t = 0; t < CHUNKS; t++) {
        float *sum = m->vector_sum + m->target[first] * 3 * WIDTH + t * LANES;
        lanes x = load(sum), y = load(sum + WIDTH), z = load(sum + 2 * WIDTH);
        for (long e = first; e < end; e++) {
            const float *d = m->direction + 3 * e, *s = gate + (e - first) * stride + t * LANES;
            if (place != FIRST) {
                const float *unit = m->unit + m->source[e] * 3 * WIDTH + t * LANES;
                lanes along = load(s + WIDTH);
                x += load(unit) * along;
                y += load(unit + WIDTH) * along;
                z += load(unit + 2 * WIDTH) * along;
            }
            x += load(s) * d[0];
            y += load(s) * d[1];
            z += load(s) * d[2];
        }
        store(sum, x);
        store(sum + WIDTH, y);
        store(sum + 2 * WIDTH, z);
    }
}

/* f_ij += SiLU(W_f f_ij) <rej(a, d), rej(b, d)>, where <rej(a, d), rej(b, d)> = <a, b> - <a, d><b, d>. */
static inline void update_edges(const Molecules *m, long first, long end, const float *filter, long stride)
{
    const float *a = m->turned + m->target[first] * 3 * PADDED(2 * WIDTH);
    for (long e = first; e < end; e++, filter += stride) {
        const float *b = m->turned + m->source[e] * 3 * PADDED(2 * WIDTH) + WIDTH, *d = m->direction + 3 * e;
        for (int t = 0; t < WIDTH; t += LANES) {
            lanes overlap = {0}, a_along = {0}, b_along = {0};
            for (int x = 0; x < 3; x++) {
                lanes ax = load(a + x * PADDED(2 * WIDTH) + t), bx = load(b + x * PADDED(2 * WIDTH) + t);
                overlap += ax * bx;
                a_along += ax * d[x];
                b_along += bx * d[x];
            }
            add_to(m->state + e * WIDTH + t, load(filter + 2 * WIDTH + t) * (overlap - a_along * b_along));
        }
    }
}

/* End of the run of edges into one atom that starts at `first`. */
static inline long run_end(const Molecules *m, long first, long last)
{
    long end = first + 1;
    while (end < last && m->target[end] == m->target[first]) end++;
    return end;
}

/* Everything that happens on edges in one layer. */
static inline __attribute__((always_inline)) void edges(const Molecules *m, const Layer *layer, enum place place)
{
    const long filters = PADDED(place == MIDDLE ? 3 * WIDTH : 2 * WIDTH);
    const long gates = PADDED(place == FIRST ? WIDTH : 2 * WIDTH);
    float filter[EDGE_BLOCK * PADDED(3 * WIDTH)] ALIGNED;
    float gate[EDGE_BLOCK * PADDED(2 * WIDTH)] ALIGNED;
    float message[EDGE_BLOCK * WIDTH] ALIGNED = {0};
    for (long first = 0; first < m->n_edges; first += EDGE_BLOCK) {
        const long last = smaller(first + EDGE_BLOCK, m->n_edges);
        dense(m->state + first * WIDTH, last - first, layer->filter, layer->filter_bias, filters, filter, 1);
        for (long e = first, end; e < last; e = end) {
            end = run_end(m, e, last);
            attend(m, e, end, filter + (e - first) * filters, filters, message + (e - first) * WIDTH);
        }
        dense(message, last - first, layer->gate, layer->gate_bias, gates, gate, 1);
        for (long e = first, end; e < last; e = end) {
            end = run_end(m, e, last);
            send_vectors(m, e, end, gate + (e - first) * gates, gates, place);
            if (place == MIDDLE) update_edges(m, e, end, filter + (e - first) * filters, filters);
        }
    }
}

/* What atoms send in a layer: query, key and value; unit vectors and their turned copies. */
static void prepare_atoms(const Molecules *m, const Network *net, const Layer *layer, enum place place)
{
    float normed[ATOM_BLOCK * WIDTH] ALIGNED = {0};
    for (long first = 0; first < m->n_atoms; first += ATOM_BLOCK) {
        const long n = smaller(ATOM_BLOCK, m->n_atoms - first);
        for (long i = 0; i < n; i++)
            layer_norm(m->scalars + (first + i) * WIDTH, layer->norm_weight, layer->norm_bias, net->epsilon,
                       normed + i * WIDTH);
        dense(normed, n, layer->attend, layer->attend_bias, PADDED(3 * WIDTH),
              m->attended + first * PADDED(3 * WIDTH), 0);
        if (place == FIRST) continue;
        for (long i = first; i < first + n; i++)
            max_min_norm(m->vectors + i * 3 * WIDTH, layer->unit_weight, m->unit + i * 3 * WIDTH);
        if (place == MIDDLE)
            dense(m->unit + first * 3 * WIDTH, 3 * n, layer->turn, net->zeros, PADDED(2 * WIDTH),
                  m->turned + first * 3 * PADDED(2 * WIDTH), 0);
    }
}

/* Residual update of one atom; `mix` is NULL where there are no vectors yet. */
static inline void update_atom(const Molecules *m, long i, const float *out, const float *mix)
{
    const float *received = m->vector_sum + i * 3 * WIDTH;
    float *scalars = m->scalars + i * WIDTH, *vectors = m->vectors + i * 3 * WIDTH;
    if (!mix) memcpy(vectors, received, 3 * WIDTH * sizeof(float));
    for (int c = 0; c < WIDTH; c += LANES) {
        lanes change = load(out + c);
        if (mix) {
            lanes overlap = {0};
            for (int x = 0; x < 3; x++) {
                const float *row = mix + x * PADDED(3 * WIDTH) + c;
                overlap += load(row) * load(row + WIDTH);
                add_to(vectors + x * WIDTH + c, load(row + 2 * WIDTH) * load(out + c) + load(received + x * WIDTH + c));
            }
            change = overlap * load(out + WIDTH + c) + load(out + 2 * WIDTH + c);
        }
        add_to(scalars + c, change);
    }
}

/* Residual update of all atoms from what they received. */
static void update_atoms(const Molecules *m, const Network *net, const Layer *layer, enum place place)
{
    const long outs = PADDED(place == FIRST ? WIDTH : 3 * WIDTH), mixes = PADDED(3 * WIDTH);
    float out[ATOM_BLOCK * PADDED(3 * WIDTH)] ALIGNED;
    float mix[3 * ATOM_BLOCK * PADDED(3 * WIDTH)] ALIGNED;
    for (long first = 0; first < m->n_atoms; first += ATOM_BLOCK) {
        const long n = smaller(ATOM_BLOCK, m->n_atoms - first);
        dense(m->scalar_sum + first * WIDTH, n, layer->out, layer->out_bias, outs, out, 0);
        if (place != FIRST)
            dense(m->unit + first * 3 * WIDTH, 3 * n, layer->mix, net->zeros, mixes, mix, 0);
        for (long i = 0; i < n; i++)
            update_atom(m, first + i, out + i * outs, place == FIRST ? NULL : mix + 3 * i * mixes);
    }
}

/* Envelope of an edge, and its displacement made a unit vector; returns its place among the nodes of the table. */
static float measure(const Molecules *m, const Network *net, long e)
{
    float *d = m->direction + 3 * e;
    const float distance = sqrtf(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]);
    for (int x = 0; x < 3; x++) d[x] = distance > 0 ? d[x] / distance : d[x];
    const int inside = distance < net->cutoff;
    m->envelope[e] = inside ? 0.5f * (cosf(distance * (float)(M_PI / net->cutoff)) + 1) : 0;
    return (expf(-net->alpha * (inside ? distance : net->cutoff)) - net->first_node) / net->node_step;
}

/* Both radial filters of an edge, by cubic interpolation between four nodes of the table. */
static void embed_edge(const Molecules *m, const Network *net, long e)
{
    const float at = measure(m, net, e);
    const long node = at > 1 ? smaller((long)at - 1, net->n_nodes - 4) : 0;
    const float u = at - (float)(node + 1);
    const float w0 = -u * (u - 1) * (u - 2) / 6, w1 = (u + 1) * (u - 1) * (u - 2) / 2;
    const float w2 = -(u + 1) * u * (u - 2) / 2, w3 = (u + 1) * u * (u - 1) / 6;
    const float *row = net->radial + node * 2 * WIDTH;
    const float *sent = net->sent_element + m->elements[m->source[e]] * WIDTH;
    float *sum = m->scalar_sum + m->target[e] * WIDTH, *state = m->state + e * WIDTH - WIDTH;
    for (int c = 0; c < 2 * WIDTH; c += LANES) {
        lanes filter = w0 * load(row + c) + w1 * load(row + 2 * WIDTH + c);
        filter += w2 * load(row + 4 * WIDTH + c) + w3 * load(row + 6 * WIDTH + c);
        if (c >= WIDTH) store(state + c, filter);
        /* An atom is no part of its own neighborhood, although it sends to itself later on. */
        else if (m->source[e] != m->target[e]) add_to(sum + c, filter * m->envelope[e] * load(sent + c));
    }
}

/* First scalars of atoms and first state of edges; `scalar_sum` holds the neighborhoods meanwhile. */
static void embed(const Molecules *m, const Network *net)
{
    memset(m->scalar_sum, 0, m->n_atoms * WIDTH * sizeof(float));
    for (long e = 0; e < m->n_edges; e++) embed_edge(m, net, e);
    float combined[ATOM_BLOCK * PADDED(WIDTH)] ALIGNED;
    for (long first = 0; first < m->n_atoms; first += ATOM_BLOCK) {
        const long n = smaller(ATOM_BLOCK, m->n_atoms - first);
        dense(m->scalar_sum + first * WIDTH, n, net->combine, net->zeros, PADDED(WIDTH), combined, 0);
        for (long i = 0; i < n; i++)
            for (int c = 0; c < WIDTH; c++)
                m->scalars[(first + i) * WIDTH + c] =
                    combined[i * PADDED(WIDTH) + c] + net->own_element[m->elements[first + i] * WIDTH + c];
    }
    for (long e = 0; e < m->n_edges; e++) {
        const float *a = m->scalars + m->target[e] * WIDTH, *b = m->scalars + m->source[e] * WIDTH;
        float *state = m->state + e * WIDTH;
        for (int c = 0; c < WIDTH; c += LANES) store(state + c, load(state + c) * (load(a + c) + load(b + c)));
    }
}

int lanes_per_register(void) { return LANES; }
const char *build(void) { return COMPILER ", " INSTRUCTIONS; }

/* Scalars [atom][channel] and vectors [atom][3][channel] of all atoms. */
void visnet(const Network *net, const Molecules *m)
{
    embed(m, net);
    for (int64_t l = 0; l < net->n_layers; l++) {
        const Layer *layer = net->layers + l;
        const enum place place = l == 0 ? FIRST : l + 1 < net->n_layers ? MIDDLE : LAST;
        memset(m->scalar_sum, 0, m->n_atoms * WIDTH * sizeof(float));
        memset(m->vector_sum, 0, m->n_atoms * 3 * WIDTH * sizeof(float));
        prepare_atoms(m, net, layer, place);
        if (place == FIRST) edges(m, layer, FIRST);
        else if (place == MIDDLE) edges(m, layer, MIDDLE);
        else edges(m, layer, LAST);
        update_atoms(m, net, layer, place);
    }
    for (int64_t i = 0; i < m->n_atoms; i++) {
        layer_norm(m->scalars + i * WIDTH, net->out_weight, net->out_bias, net->epsilon, m->scalars + i * WIDTH);
        max_min_norm(m->vectors + i * 3 * WIDTH, net->out_unit, m->vectors + i * 3 * WIDTH);
    }
}
