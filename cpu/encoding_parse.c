/* SPDX-License-Identifier: MIT */
/*
 * Reads one row: the encoding column as on the instruction's page (SDM Vol 2A 3.1.1.1) and the
 * operand letters (SDM Vol 2D A.2). The syntax is in cpu/insn.h. Works on const strings of this
 * program only.
 */
#include "base/check.h"
#include "cpu/encoding.h"

#include <string.h>

enum { TOKEN_MAX = 24 };

struct parser {
    const struct insn_def *def;
    struct row *row;
    struct error *error;
    bool opcode_seen;
};

static bool fail(const struct parser *p, const char *what, const char *where)
{
    return error_set(p->error, "row \"%s\" \"%s\" \"%s\": %s \"%s\"", p->def->name,
                     p->def->encoding, p->def->operands, what, where);
}

/* Next token up to one of the separators; empty at the end. Tokens too long to be valid are cut. */
static const char *next_token(const char *at, char separator, char *token)
{
    size_t length = 0;

    while (*at == ' ' || *at == separator)
        at++;
    for (; *at != '\0' && *at != separator; at++) {
        if (length < TOKEN_MAX - 1)
            token[length++] = *at;
    }
    token[length] = '\0';
    return at;
}

/* Value of two lower-case hex digits, or -1. */
static int hex_byte(const char *text)
{
    int value = 0;

    for (int i = 0; i < 2; i++) {
        const char c = text[i];

        if (c >= '0' && c <= '9')
            value = value * 16 + (c - '0');
        else if (c >= 'a' && c <= 'f')
            value = value * 16 + (c - 'a' + 10);
        else
            return -1;
    }
    return value;
}

struct word {
    const char *text;
    u16 value;
};

static const struct word *find_word(const struct word *words, const char *text)
{
    for (; words->text != NULL; words++) {
        if (strcmp(words->text, text) == 0)
            return words;
    }
    return NULL;
}

static void narrow(struct row *row, u16 group, u16 to)
{
    row->accept = (u16)((row->accept & ~group) | to);
}

/* ---- the encoding column ---- */

/* "vex.LLL.PP.MAP.W" */
static bool parse_vex(struct parser *p, const char *token)
{
    enum { FIELDS = 4 };
    static const struct word words[FIELDS][7] = {
        {{"128", ACCEPT_L0},
         {"256", ACCEPT_L1},
         {"lig", ACCEPT_L},
         {"lz", ACCEPT_L0},
         {"l0", ACCEPT_L0},
         {"l1", ACCEPT_L1},
         {NULL, 0}},
        {{"np", ACCEPT_NP}, {"66", ACCEPT_66}, {"f3", ACCEPT_F3}, {"f2", ACCEPT_F2}, {NULL, 0}},
        {{"0f", MAP_VEX}, {"0f38", MAP_VEX + 1}, {"0f3a", MAP_VEX + 2}, {NULL, 0}},
        {{"w0", ACCEPT_W0}, {"w1", ACCEPT_W1}, {"wig", ACCEPT_W}, {NULL, 0}},
    };
    static const u16 group[FIELDS] = {ACCEPT_L, ACCEPT_PREFIX, 0, ACCEPT_W};
    char field[TOKEN_MAX];
    const char *at = token + 3;

    for (unsigned i = 0; i < FIELDS; i++) {
        const struct word *word;

        at = next_token(at, '.', field);
        word = find_word(words[i], field);
        if (word == NULL)
            return fail(p, "VEX field", field);
        if (group[i] == 0)
            p->row->map = (u8)word->value;
        else
            narrow(p->row, group[i], word->value);
        if (i == 0 && strcmp(field, "lig") == 0)
            p->row->flags |= ROW_LIG;
    }
    if (*at != '\0')
        return fail(p, "VEX field", at);
    p->row->flags |= ROW_VEX | ROW_NO_OSIZE;
    return true;
}

/* Prefix words in front of the opcode. Returns false if the token is none. */
static bool parse_prefix(struct row *row, const char *token)
{
    static const struct word words[] = {
        {"np", ACCEPT_NP}, {"66", ACCEPT_66},   {"f3", ACCEPT_F3}, {"f2", ACCEPT_F2},
        {"w0", ACCEPT_W0}, {"rexw", ACCEPT_W1}, {NULL, 0},
    };
    const struct word *word = find_word(words, token);

    if (word == NULL)
        return false;
    narrow(row, word->value & ACCEPT_W ? ACCEPT_W : ACCEPT_PREFIX, word->value);
    if (word->value & (ACCEPT_NP | ACCEPT_66))
        row->flags |= ROW_NO_OSIZE;
    return true;
}

/* "/r", "/0".."/7", "/vsib" */
static bool parse_slash(struct parser *p, const char *token)
{
    struct row *row = p->row;

    if (!p->opcode_seen)
        return fail(p, "before the opcode:", token);
    if (strcmp(token, "/vsib") == 0) {
        row->flags |= ROW_VSIB;
        return true;
    }
    if (row->flags & ROW_MODRM)
        return fail(p, "second ModRM", token);
    row->flags |= ROW_MODRM;
    if (strcmp(token, "/r") == 0)
        return true;
    if (token[1] < '0' || token[1] > '7' || token[2] != '\0')
        return fail(p, "bad digit", token);
    row->modrm_mask = 0x38;
    row->modrm_value = (u8)((token[1] - '0') << 3);
    return true;
}

/* A ModRM byte that must be just this, or a run of eight. */
static bool parse_fixed_modrm(struct parser *p, int value, const char *suffix)
{
    struct row *row = p->row;

    if (row->flags & ROW_MODRM)
        return fail(p, "second ModRM", suffix);
    row->flags |= ROW_MODRM;
    row->modrm_value = (u8)value;
    row->modrm_mask = 0xff;
    if (strcmp(suffix, "+i") == 0) {
        row->modrm_mask = 0xf8;
        row->flags |= ROW_STI;
    } else if (suffix[0] != '\0') {
        return fail(p, "bad suffix", suffix);
    }
    return true;
}

static bool parse_byte(struct parser *p, const char *token)
{
    struct row *row = p->row;
    const int value = hex_byte(token);

    if (value < 0)
        return fail(p, "not understood:", token);
    if (p->opcode_seen)
        return parse_fixed_modrm(p, value, token + 2);
    if (!(row->flags & ROW_VEX) && token[2] == '\0') {
        if (row->map == MAP_ONE && value == 0x0f) {
            row->map = MAP_0F;
            return true;
        }
        if (row->map == MAP_0F && (value == 0x38 || value == 0x3a)) {
            row->map = value == 0x38 ? MAP_0F38 : MAP_0F3A;
            return true;
        }
    }
    p->opcode_seen = true;
    row->opcode = (u8)value;
    if (strcmp(token + 2, "+r") == 0 && (value & 7) == 0)
        row->flags |= ROW_OPREG;
    else if (token[2] != '\0')
        return fail(p, "bad suffix", token);
    return true;
}

static bool parse_encoding(struct parser *p)
{
    char token[TOKEN_MAX] = "";
    const char *at = next_token(p->def->encoding, ' ', token);
    bool prefix = true;

    if (strncmp(token, "vex.", 4) == 0) {
        if (!parse_vex(p, token))
            return false;
        at = next_token(at, ' ', token);
        prefix = false;
    }
    for (; token[0] != '\0'; at = next_token(at, ' ', token)) {
        if (prefix && parse_prefix(p->row, token))
            continue;
        prefix = false;
        if (!(token[0] == '/' ? parse_slash(p, token) : parse_byte(p, token)))
            return false;
    }
    return p->opcode_seen || fail(p, "no opcode", "");
}

/* ---- the operands column ---- */

struct letter {
    char letter;
    u8 kind; /* enum operand_kind */
    u16 accept; /* ModRM.mod it needs, or 0 */
    u16 flags; /* row flags it sets, or needs (ROW_MODRM, ROW_OPREG, ROW_VEX) */
};

/* clang-format off */
static const struct letter letters[] = {
    {'E', OPERAND_GPR_RM, ACCEPT_MOD, ROW_MODRM},
    {'G', OPERAND_GPR_REG, 0, ROW_MODRM},
    {'M', OPERAND_GPR_RM, ACCEPT_MEM, ROW_MODRM},
    {'R', OPERAND_GPR_RM, ACCEPT_REG, ROW_MODRM},
    {'Z', OPERAND_GPR_RM, 0, ROW_OPREG},
    {'B', OPERAND_GPR_VVVV, 0, ROW_VEX},
    {'S', OPERAND_SEG, 0, ROW_MODRM},
    {'C', OPERAND_CR, 0, ROW_MODRM},
    {'D', OPERAND_DR, 0, ROW_MODRM},
    {'I', OPERAND_IMM, 0, 0},
    {'J', OPERAND_IMM, 0, 0},
    {'A', OPERAND_IMM, 0, 0},
    {'O', OPERAND_MOFFS, 0, 0},
    {'X', OPERAND_NONE, 0, 0},
    {'Y', OPERAND_NONE, 0, 0},
    {'V', OPERAND_VEC_REG, 0, ROW_MODRM},
    {'W', OPERAND_VEC_RM, ACCEPT_MOD, ROW_MODRM},
    {'U', OPERAND_VEC_RM, ACCEPT_REG, ROW_MODRM},
    {'H', OPERAND_VEC_VVVV, 0, ROW_VEX},
    {'L', OPERAND_VEC_IMM, 0, ROW_VEX},
    {'P', OPERAND_MMX_REG, 0, ROW_MODRM},
    {'Q', OPERAND_MMX_RM, ACCEPT_MOD, ROW_MODRM},
    {'N', OPERAND_MMX_RM, ACCEPT_REG, ROW_MODRM},
    {'F', OPERAND_NONE, 0, ROW_STI},
};
/* clang-format on */

static const struct word sizes[] = {
    {"b", 1},      {"w", 2},      {"d", 4},      {"q", 8},        {"dq", 16},
    {"qq", 32},    {"v", SIZE_V}, {"y", SIZE_Y}, {"z", SIZE_Z},   {"x", SIZE_X},
    {"p", SIZE_P}, {"a", SIZE_A}, {"s", SIZE_S}, {"", SIZE_NONE}, {NULL, 0},
};

struct fixed_operand {
    const char *text;
    u8 kind, number, size;
};

/* clang-format off */
static const struct fixed_operand fixed_operands[] = {
    {"AL", OPERAND_FIXED, REG_RAX, 1},       {"CL", OPERAND_FIXED, REG_RCX, 1},
    {"AX", OPERAND_FIXED, REG_RAX, 2},       {"DX", OPERAND_FIXED, REG_RDX, 2},
    {"rAX", OPERAND_FIXED, REG_RAX, SIZE_V}, {"rDX", OPERAND_FIXED, REG_RDX, SIZE_V},
    {"1", OPERAND_CONST, 1, 1},
};
/* clang-format on */

static bool parse_immediate(struct parser *p, struct operand *o, const char *token)
{
    static const struct word kinds[] = {
        {"Ib", IMM_B},  {"Iw", IMM_W},  {"Iz", IMM_Z},   {"Iv", IMM_V}, {"Is", IMM_S},
        {"Jb", IMM_JB}, {"Jz", IMM_JZ}, {"Ap", IMM_FAR}, {NULL, 0},
    };
    const struct word *kind = find_word(kinds, token);
    const unsigned index = p->row->imm[0] == IMM_NONE ? 0 : 1;

    if (kind == NULL || p->row->imm[index] != IMM_NONE)
        return fail(p, "immediate", token);
    p->row->imm[index] = (u8)kind->value;
    o->kind = index == 0 ? OPERAND_IMM : OPERAND_IMM2;
    return true;
}

/* Effects of an operand letter on the row as a whole. */
static bool apply_letter(struct parser *p, const struct letter *l, const char *token)
{
    struct row *row = p->row;
    const u16 needs = l->flags & (ROW_MODRM | ROW_OPREG | ROW_VEX | ROW_STI);

    if ((row->flags & needs) != needs)
        return fail(p, "the encoding has no field for operand", token);
    if (l->accept == ACCEPT_MEM || l->accept == ACCEPT_REG)
        narrow(row, ACCEPT_MOD, l->accept);
    if (l->kind == OPERAND_GPR_VVVV || l->kind == OPERAND_VEC_VVVV)
        row->flags |= ROW_VVVV;
    if ((row->flags & ROW_VEX) && strchr("GERB", l->letter) != NULL)
        row->flags |= ROW_W_SIZE;
    if (l->kind == OPERAND_CR || l->kind == OPERAND_DR)
        row->flags |= ROW_ANY_MOD;
    if (l->kind == OPERAND_VEC_IMM && row->imm[0] == IMM_NONE)
        row->imm[0] = IMM_B;
    return true;
}

static bool parse_letter(struct parser *p, struct operand *o, const char *token)
{
    const struct word *size = find_word(sizes, token + 1);

    for (unsigned i = 0; i < ARRAY_SIZE(letters); i++) {
        const struct letter *l = &letters[i];

        if (l->letter != token[0])
            continue;
        o->kind = l->kind;
        o->letter = l->letter;
        if (l->kind == OPERAND_IMM)
            return parse_immediate(p, o, token);
        if (size == NULL)
            return fail(p, "size of operand", token);
        o->size = (u8)size->value;
        return apply_letter(p, l, token);
    }
    return fail(p, "operand", token);
}

static bool parse_operand(struct parser *p, struct operand *o, const char *token)
{
    o->read = token[0] != '=';
    o->write = token[0] == '=' || token[0] == '+';
    if (o->write)
        token++;
    for (unsigned i = 0; i < ARRAY_SIZE(fixed_operands); i++) {
        const struct fixed_operand *f = &fixed_operands[i];

        if (strcmp(f->text, token) == 0) {
            o->kind = f->kind;
            o->number = f->number;
            o->size = f->size;
            return true;
        }
    }
    return parse_letter(p, o, token);
}

/* How much an operand has to say about insn.width; 0: nothing. See row_width(). */
static unsigned width_rank(const struct operand *o)
{
    if (o->kind == OPERAND_IMM || o->kind == OPERAND_IMM2 || o->kind == OPERAND_CONST)
        return 0;
    switch (o->size) {
    case SIZE_NONE: return 0;
    case SIZE_V:
    case SIZE_Z:
    case SIZE_P:
    case SIZE_A:
    case SIZE_S: return 5;
    case SIZE_Y:
        if (o->kind <= OPERAND_GPR_VVVV)
            return 4;
        break;
    default: break;
    }
    if (o->kind >= OPERAND_VEC_REG && o->kind <= OPERAND_VEC_IMM)
        return 3;
    if (o->kind >= OPERAND_MMX_REG)
        return 2;
    return 1;
}

/*
 * insn.width is the operand size if any operand has it, else W's choice for y operands, else the
 * vector length, 8 for MMX, else the first operand's fixed size; the operand size if there is none.
 */
static u8 row_width(const struct row *row)
{
    unsigned best = 0;
    u8 width = SIZE_V;

    for (unsigned i = 0; i < row->count; i++) {
        const unsigned rank = width_rank(&row->operand[i]);

        if (rank <= best)
            continue;
        best = rank;
        width = rank == 5 ? SIZE_V : rank == 4 ? SIZE_Y : rank == 3 ? SIZE_X : row->operand[i].size;
        if (rank == 2)
            width = 8;
    }
    return width;
}

static bool parse_operands(struct parser *p)
{
    struct row *row = p->row;
    char token[TOKEN_MAX] = "";
    const char *at = p->def->operands == NULL ? "" : p->def->operands;

    for (at = next_token(at, ',', token); token[0] != '\0'; at = next_token(at, ',', token)) {
        if (row->count == OPERANDS_MAX)
            return fail(p, "too many operands:", token);
        if (!parse_operand(p, &row->operand[row->count], token))
            return false;
        row->count++;
    }
    return true;
}

bool row_parse(const struct insn_def *def, struct row *row, struct error *error)
{
    struct parser p = {.def = def, .row = row, .error = error};

    memset(row, 0, sizeof(*row));
    row->def = *def;
    row->accept = ACCEPT_ALL;
    if (def->attr & NO64)
        narrow(row, ACCEPT_MODE, ACCEPT_LEGACY);
    if (def->attr & ONLY64)
        narrow(row, ACCEPT_MODE, ACCEPT_64);
    if (!parse_encoding(&p) || !parse_operands(&p))
        return false;
    if (row->flags & ROW_ANY_MOD)
        row->accept |= ACCEPT_MOD;
    if ((row->flags & ROW_MODRM) && row->modrm_mask >= 0xf8)
        narrow(row, ACCEPT_MOD, row->modrm_value >= 0xc0 ? ACCEPT_REG : ACCEPT_MEM);
    if (row->flags & ROW_VEX)
        row->def.attr |= ZERO_UPPER;
    row->width = row_width(row);
    if (def->exec == NULL)
        return fail(&p, "no exec", "");
    return true;
}
