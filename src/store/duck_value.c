/* duck_value.c: any value of a result column as text, in DuckDB's own spelling.
 *
 * The C interface has no cast from a vector, so a value is made from the raw bytes (of
 * nested types: recursively) and DuckDB prints that. */
#include "store/store_int.h"

#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"

enum { VALUE_DEPTH_MAX = 32 };

static duckdb_value value_at(duckdb_vector vector, duckdb_logical_type type, idx_t row,
                             int depth);

static duckdb_value value_decimal(const void *data, duckdb_logical_type type, idx_t row)
{
    duckdb_decimal d = {.width = duckdb_decimal_width(type),
                        .scale = duckdb_decimal_scale(type)};
    int64_t small = 0;
    switch ((int)duckdb_decimal_internal_type(type)) {
    case DUCKDB_TYPE_SMALLINT:
        small = ((const int16_t *)data)[row];
        break;
    case DUCKDB_TYPE_INTEGER:
        small = ((const int32_t *)data)[row];
        break;
    case DUCKDB_TYPE_BIGINT:
        small = ((const int64_t *)data)[row];
        break;
    default:
        d.value = ((const duckdb_hugeint *)data)[row];
        return duckdb_create_decimal(d);
    }
    d.value.lower = (uint64_t)small;
    d.value.upper = small < 0 ? -1 : 0;
    return duckdb_create_decimal(d);
}

static duckdb_value value_enum(const void *data, duckdb_logical_type type, idx_t row)
{
    uint64_t index;
    switch ((int)duckdb_enum_internal_type(type)) {
    case DUCKDB_TYPE_UTINYINT:
        index = ((const uint8_t *)data)[row];
        break;
    case DUCKDB_TYPE_USMALLINT:
        index = ((const uint16_t *)data)[row];
        break;
    default:
        index = ((const uint32_t *)data)[row];
        break;
    }
    return duckdb_create_enum_value(type, index);
}

/* Children [offset, offset + n) of a list or array as values; NULL: no memory. */
static duckdb_value *value_children(duckdb_vector child, duckdb_logical_type type,
                                    uint64_t offset, uint64_t n, int depth)
{
    duckdb_value *values = mld_calloc(n + 1, sizeof(duckdb_value));
    for (uint64_t i = 0; values != NULL && i < n; i++)
        values[i] = value_at(child, type, offset + i, depth);
    return values;
}

static void value_children_free(duckdb_value *values, uint64_t n)
{
    for (uint64_t i = 0; values != NULL && i < n; i++)
        duckdb_destroy_value(&values[i]);
    mld_free(values);
}

static duckdb_value value_list(duckdb_vector vector, duckdb_logical_type type, idx_t row,
                               int depth)
{
    const duckdb_list_entry *entry =
        (const duckdb_list_entry *)duckdb_vector_get_data(vector) + row;
    duckdb_logical_type child = duckdb_list_type_child_type(type);
    duckdb_value *values = value_children(duckdb_list_vector_get_child(vector), child,
                                          entry->offset, entry->length, depth);
    duckdb_value list =
        values != NULL ? duckdb_create_list_value(child, values, entry->length) : NULL;
    value_children_free(values, entry->length);
    duckdb_destroy_logical_type(&child);
    return list;
}

static duckdb_value value_array(duckdb_vector vector, duckdb_logical_type type, idx_t row,
                                int depth)
{
    idx_t n = duckdb_array_type_array_size(type);
    duckdb_logical_type child = duckdb_array_type_child_type(type);
    duckdb_value *values =
        value_children(duckdb_array_vector_get_child(vector), child, row * n, n, depth);
    duckdb_value array =
        values != NULL ? duckdb_create_array_value(child, values, n) : NULL;
    value_children_free(values, n);
    duckdb_destroy_logical_type(&child);
    return array;
}

static duckdb_value value_struct(duckdb_vector vector, duckdb_logical_type type,
                                 idx_t row, int depth)
{
    idx_t n = duckdb_struct_type_child_count(type);
    duckdb_value *values = mld_calloc(n + 1, sizeof(duckdb_value));
    for (idx_t i = 0; values != NULL && i < n; i++) {
        duckdb_logical_type child = duckdb_struct_type_child_type(type, i);
        values[i] =
            value_at(duckdb_struct_vector_get_child(vector, i), child, row, depth);
        duckdb_destroy_logical_type(&child);
    }
    duckdb_value whole = values != NULL ? duckdb_create_struct_value(type, values) : NULL;
    value_children_free(values, n);
    return whole;
}

/* A map is stored as a list of (key, value) structs. */
static duckdb_value value_map(duckdb_vector vector, duckdb_logical_type type, idx_t row,
                              int depth)
{
    const duckdb_list_entry *entry =
        (const duckdb_list_entry *)duckdb_vector_get_data(vector) + row;
    duckdb_vector pairs = duckdb_list_vector_get_child(vector);
    duckdb_logical_type key_type = duckdb_map_type_key_type(type);
    duckdb_logical_type value_type = duckdb_map_type_value_type(type);
    duckdb_value *keys = value_children(duckdb_struct_vector_get_child(pairs, 0),
                                        key_type, entry->offset, entry->length, depth);
    duckdb_value *values =
        value_children(duckdb_struct_vector_get_child(pairs, 1), value_type,
                       entry->offset, entry->length, depth);
    duckdb_value map = keys != NULL && values != NULL
                           ? duckdb_create_map_value(type, keys, values, entry->length)
                           : NULL;
    value_children_free(keys, entry->length);
    value_children_free(values, entry->length);
    duckdb_destroy_logical_type(&key_type);
    duckdb_destroy_logical_type(&value_type);
    return map;
}

/* A union is stored as a struct: the tag, then one column per member. It prints as the
 * member that holds. */
static duckdb_value value_union(duckdb_vector vector, duckdb_logical_type type, idx_t row,
                                int depth)
{
    const uint8_t *tags =
        duckdb_vector_get_data(duckdb_struct_vector_get_child(vector, 0));
    uint8_t tag = tags[row];
    duckdb_logical_type member = duckdb_union_type_member_type(type, tag);
    duckdb_value v = value_at(duckdb_struct_vector_get_child(vector, (idx_t)tag + 1),
                              member, row, depth);
    duckdb_destroy_logical_type(&member);
    return v;
}

/* A bignum is stored with a header of three bytes: the sign bit and the length; all bytes
 * of a negative one are inverted. */
static duckdb_value value_bignum(const uint8_t *data, uint32_t n)
{
    if (n < 4)
        return NULL;
    bool negative = (data[0] & 0x80) == 0;
    uint8_t *magnitude = mld_alloc(n - 3);
    if (magnitude == NULL)
        return NULL;
    for (uint32_t i = 3; i < n; i++)
        magnitude[i - 3] = negative ? (uint8_t)~data[i] : data[i];
    duckdb_value v = duckdb_create_bignum(
        (duckdb_bignum){.data = magnitude, .size = n - 3, .is_negative = negative});
    mld_free(magnitude);
    return v;
}

static duckdb_value value_bytes(duckdb_type id, const void *data, idx_t row)
{
    duckdb_string_t s = ((const duckdb_string_t *)data)[row];
    uint32_t n = duckdb_string_t_length(s);
    const char *bytes = duckdb_string_t_data(&s);
    uint8_t *copy;
    duckdb_value v;
    switch ((int)id) {
    case DUCKDB_TYPE_VARCHAR:
        return duckdb_create_varchar_length(bytes, n);
    case DUCKDB_TYPE_BLOB:
        return duckdb_create_blob((const uint8_t *)bytes, n);
    case DUCKDB_TYPE_BIGNUM:
        return value_bignum((const uint8_t *)bytes, n);
    default: /* BIT: takes a pointer that is not const */
        copy = mld_alloc((size_t)n + 1);
        if (copy == NULL)
            return NULL;
        memcpy(copy, bytes, n);
        v = duckdb_create_bit((duckdb_bit){.data = copy, .size = n});
        mld_free(copy);
        return v;
    }
}

static duckdb_value value_at(duckdb_vector vector, duckdb_logical_type type, idx_t row,
                             int depth)
{
    uint64_t *valid = duckdb_vector_get_validity(vector);
    duckdb_type id = duckdb_get_type_id(type);
    if (id == DUCKDB_TYPE_SQLNULL ||
        (valid != NULL && !duckdb_validity_row_is_valid(valid, row)))
        return duckdb_create_null_value();
    if (depth >= VALUE_DEPTH_MAX)
        return duckdb_create_varchar("...");
    const void *data = duckdb_vector_get_data(vector);
#define SCALAR(tag, ctype, make)                                                         \
    case DUCKDB_TYPE_##tag:                                                              \
        return duckdb_create_##make(((const ctype *)data)[row]);
    switch ((int)id) {
        SCALAR(BOOLEAN, bool, bool)
        SCALAR(TINYINT, int8_t, int8)
        SCALAR(SMALLINT, int16_t, int16)
        SCALAR(INTEGER, int32_t, int32)
        SCALAR(BIGINT, int64_t, int64)
        SCALAR(UTINYINT, uint8_t, uint8)
        SCALAR(USMALLINT, uint16_t, uint16)
        SCALAR(UINTEGER, uint32_t, uint32)
        SCALAR(UBIGINT, uint64_t, uint64)
        SCALAR(FLOAT, float, float)
        SCALAR(DOUBLE, double, double)
        SCALAR(TIMESTAMP, duckdb_timestamp, timestamp)
        SCALAR(DATE, duckdb_date, date)
        SCALAR(TIME, duckdb_time, time)
        SCALAR(INTERVAL, duckdb_interval, interval)
        SCALAR(HUGEINT, duckdb_hugeint, hugeint)
        SCALAR(UHUGEINT, duckdb_uhugeint, uhugeint)
        SCALAR(TIMESTAMP_S, duckdb_timestamp_s, timestamp_s)
        SCALAR(TIMESTAMP_MS, duckdb_timestamp_ms, timestamp_ms)
        SCALAR(TIMESTAMP_NS, duckdb_timestamp_ns, timestamp_ns)
        SCALAR(TIMESTAMP_TZ, duckdb_timestamp, timestamp_tz)
        SCALAR(TIME_TZ, duckdb_time_tz, time_tz_value)
        SCALAR(TIME_NS, duckdb_time_ns, time_ns)
    case DUCKDB_TYPE_UUID: {
        /* Stored with the top bit flipped, so that it sorts as a signed number. */
        duckdb_hugeint h = ((const duckdb_hugeint *)data)[row];
        return duckdb_create_uuid((duckdb_uhugeint){
            .lower = h.lower, .upper = (uint64_t)h.upper ^ ((uint64_t)1 << 63)});
    }
    case DUCKDB_TYPE_VARCHAR:
    case DUCKDB_TYPE_BLOB:
    case DUCKDB_TYPE_BIT:
    case DUCKDB_TYPE_BIGNUM:
        return value_bytes(id, data, row);
    case DUCKDB_TYPE_DECIMAL:
        return value_decimal(data, type, row);
    case DUCKDB_TYPE_ENUM:
        return value_enum(data, type, row);
    case DUCKDB_TYPE_LIST:
        return value_list(vector, type, row, depth + 1);
    case DUCKDB_TYPE_ARRAY:
        return value_array(vector, type, row, depth + 1);
    case DUCKDB_TYPE_STRUCT:
        return value_struct(vector, type, row, depth + 1);
    case DUCKDB_TYPE_MAP:
        return value_map(vector, type, row, depth + 1);
    case DUCKDB_TYPE_UNION:
        return value_union(vector, type, row, depth + 1);
    default:
        return NULL;
    }
#undef SCALAR
}

char *mld_duck_text(duckdb_vector vector, duckdb_logical_type type, idx_t row)
{
    duckdb_value v = value_at(vector, type, row, 0);
    if (v == NULL)
        return NULL;
    char *text = duckdb_get_varchar(v);
    duckdb_destroy_value(&v);
    return text;
}

/* Can value_at show this type, down to its children? */
static bool type_shown(duckdb_logical_type type, int depth)
{
    duckdb_type id = duckdb_get_type_id(type);
    duckdb_logical_type child = NULL;
    bool shown = true;
    if (depth >= VALUE_DEPTH_MAX)
        return false;
    switch ((int)id) {
    case DUCKDB_TYPE_INVALID:
    case DUCKDB_TYPE_ANY:
    case DUCKDB_TYPE_STRING_LITERAL:
    case DUCKDB_TYPE_INTEGER_LITERAL:
    case DUCKDB_TYPE_GEOMETRY:
    case DUCKDB_TYPE_VARIANT:
        return false;
    case DUCKDB_TYPE_LIST:
        child = duckdb_list_type_child_type(type);
        break;
    case DUCKDB_TYPE_ARRAY:
        child = duckdb_array_type_child_type(type);
        break;
    case DUCKDB_TYPE_MAP:
        child = duckdb_map_type_value_type(type);
        break;
    case DUCKDB_TYPE_STRUCT:
        for (idx_t i = 0; shown && i < duckdb_struct_type_child_count(type); i++) {
            duckdb_logical_type member = duckdb_struct_type_child_type(type, i);
            shown = type_shown(member, depth + 1);
            duckdb_destroy_logical_type(&member);
        }
        return shown;
    case DUCKDB_TYPE_UNION:
        for (idx_t i = 0; shown && i < duckdb_union_type_member_count(type); i++) {
            duckdb_logical_type member = duckdb_union_type_member_type(type, i);
            shown = type_shown(member, depth + 1);
            duckdb_destroy_logical_type(&member);
        }
        return shown;
    default:
        return id <= DUCKDB_TYPE_VARIANT;
    }
    shown = type_shown(child, depth + 1);
    duckdb_destroy_logical_type(&child);
    return shown;
}

int mld_duck_column_init(struct mld_duck_column *c, duckdb_logical_type type,
                         const char *name, struct mld_error *err)
{
    memset(c, 0, sizeof *c);
    c->type = type;
    c->id = duckdb_get_type_id(type);
    c->cell = MLD_CELL_TEXT;
    if (!type_shown(type, 0))
        return mld_error_set(err, MLD_E_UNSUPPORTED,
                             "column '%s' has a type that cannot be shown: cast it, as "
                             "in CAST(%s AS VARCHAR)",
                             name, name);
    switch ((int)c->id) {
    case DUCKDB_TYPE_BOOLEAN:
        c->cell = MLD_CELL_BOOL;
        break;
    case DUCKDB_TYPE_TINYINT:
    case DUCKDB_TYPE_SMALLINT:
    case DUCKDB_TYPE_INTEGER:
    case DUCKDB_TYPE_BIGINT:
    case DUCKDB_TYPE_UTINYINT:
    case DUCKDB_TYPE_USMALLINT:
    case DUCKDB_TYPE_UINTEGER:
    case DUCKDB_TYPE_UBIGINT:
    case DUCKDB_TYPE_HUGEINT:
        c->cell = MLD_CELL_INT;
        break;
    case DUCKDB_TYPE_FLOAT:
    case DUCKDB_TYPE_DOUBLE:
        c->cell = MLD_CELL_FLOAT;
        break;
    case DUCKDB_TYPE_DECIMAL:
        /* 15 digits are exact in a double; more stay text. */
        c->scale = duckdb_decimal_scale(type);
        if (duckdb_decimal_width(type) <= 15)
            c->cell = MLD_CELL_FLOAT;
        break;
    default:
        break;
    }
    return 0;
}

void mld_duck_column_release(struct mld_duck_column *c)
{
    duckdb_destroy_logical_type(&c->type);
}
