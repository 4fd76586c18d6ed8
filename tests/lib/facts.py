"""
facts.py - is one table the same as another? Answered without any code of ours.

For the tests of the planner: a table that a plan's statements made, against the same table
made directly from its file, in another schema of the same server. By SHOW CREATE TABLE and by
seven tables of information_schema. Left out is what means nothing: display widths, the order
of indexes, AUTO_INCREMENT values, a character set that is printed although it is inherited
(information_schema tells the one in effect), introducers of plain text, USING BTREE, block
sizes of indexes and row formats that are in effect anyway.
"""
import re

QUERIES = {
    "column": "SELECT table_name, column_name, column_default, is_nullable, data_type,"
              " character_maximum_length, numeric_precision, numeric_scale, datetime_precision,"
              " character_set_name, collation_name, extra, column_comment"
              " FROM information_schema.columns WHERE table_schema = {} ORDER BY ordinal_position",
    "index": "SELECT table_name, index_name, seq_in_index, non_unique, column_name, collation, sub_part,"
             " index_type, index_comment, {visible} FROM information_schema.statistics"
             " WHERE table_schema = {}",
    "table": "SELECT table_name, engine, row_format, table_collation, table_comment"
             " FROM information_schema.tables WHERE table_schema = {}",
    "constraint": "SELECT table_name, constraint_name, constraint_type"
                  " FROM information_schema.table_constraints WHERE table_schema = {}",
    "key": "SELECT table_name, constraint_name, ordinal_position, column_name, referenced_table_name,"
           " referenced_column_name FROM information_schema.key_column_usage WHERE table_schema = {}",
    "action": "SELECT table_name, constraint_name, update_rule, delete_rule, match_option,"
              " referenced_table_name FROM information_schema.referential_constraints"
              " WHERE constraint_schema = {}",
    "partition": "SELECT table_name, partition_name, subpartition_name, partition_ordinal_position,"
                 " subpartition_ordinal_position, partition_method, subpartition_method,"
                 " partition_expression, subpartition_expression, partition_description,"
                 " partition_comment FROM information_schema.partitions"
                 " WHERE table_schema = {} AND partition_name IS NOT NULL",
}
VISIBLE = {"mysql": "is_visible, expression", "mariadb": "ignored"}


def without_introducers(text):
    """Nor with the brackets that MySQL puts around some negative numbers, and some not."""
    text = re.sub(r"-\((\d+(?:\.\d+)?)\)", r"-\1", text)
    return re.sub(r"\b_(?!binary)[a-z0-9]+(?=\\?')", "", text)


def outside_strings(pattern, new, text):
    """re.sub, but not within quotes of any kind."""
    parts = re.split(r"('(?:[^'\\]|''|\\.)*'|`(?:[^`]|``)*`)", text, flags=re.DOTALL)
    for i in range(0, len(parts), 2):
        parts[i] = re.sub(pattern, new, parts[i], flags=re.IGNORECASE)
    return "".join(parts)


def normal_line(line):
    line = without_introducers(line)
    line = outside_strings(r" (CHARACTER SET|COLLATE) \w+", "", line)
    line = outside_strings(r" USING BTREE| KEY_BLOCK_SIZE=\d+", "", line)
    if not re.search("zerofill", line):
        line = outside_strings(r"\btinyint\(1\)", "tinyint-1", line)
        line = outside_strings(r"\b(tinyint|smallint|mediumint|int|bigint)\(\d+\)", r"\1", line)
    return line.rstrip(",")


def definition(show_create):
    """The lines of a SHOW CREATE TABLE, in an order and form in which they can be compared."""
    head, *lines = show_create.split("\n")
    end = next(i for i, line in enumerate(lines) if line.startswith(")"))
    inside = [line.strip() for line in lines[:end]]
    columns = [normal_line(x) for x in inside if x.startswith("`")]
    others = sorted(normal_line(x) for x in inside if not x.startswith("`"))
    options = outside_strings(r" AUTO_INCREMENT=\d+", "", lines[end])
    if "ENGINE=Aria" not in options:
        options = outside_strings(r" PAGE_CHECKSUM=\d+", "", options)  # Aria's
    options = outside_strings(r" (DEFAULT CHARSET|COLLATE)=\w+", "", options)
    return [head, *columns, *others, options, *lines[end + 1:]]


def read(cursor, schema, flavor):
    """{table: {sort of fact: sorted rows}} of a schema; the cursor returns dictionaries."""
    facts = {}
    for sort, query in QUERIES.items():
        cursor.execute(query.replace("{visible}", VISIBLE[flavor]).replace("{}", f"'{schema}'"))
        for row in cursor.fetchall():
            values = list(row.values())
            values = [without_introducers(v) if isinstance(v, str) else v for v in values]
            facts.setdefault(values[0], {}).setdefault(sort, []).append(values[1:])
    for table in facts.values():
        for sort, rows in table.items():
            if sort != "column":  # MySQL counts hidden ones too: their order, not their number
                rows.sort(key=repr)
    return facts


def first_difference(is_so, should):
    """Of two lists, as a line; "" when they are equal."""
    for a, b in zip(is_so, should):
        if a != b:
            return f"is     {a}\n  should {b}"
    if len(is_so) != len(should):
        return f"has {len(is_so)} and should have {len(should)}: " \
               f"{(is_so + should)[min(len(is_so), len(should)):][:3]}"
    return ""


def difference(show, show_should, facts, facts_should):
    """How the table differs from the one it should be, or ""."""
    shows, effects = (show, show_should), (facts["table"][0], facts_should["table"][0])
    formats = [re.search(r"ROW_FORMAT=\w+", s.split("\n)")[-1]) for s in shows]
    if effects[0][1] == effects[1][1] or len({f and f[0] for f in formats}) == 1:
        # Named alike, or the same in effect: of a partitioned table MySQL keeps the old one.
        show, show_should = (re.sub(r" ROW_FORMAT=\w+", "", s) for s in shows)
        for row in effects:
            row[1] = ""
    text = first_difference(definition(show), definition(show_should))
    if text:
        return "by SHOW CREATE TABLE it\n  " + text
    for sort in QUERIES:
        text = first_difference(facts.get(sort, []), facts_should.get(sort, []))
        if text:
            return f"by information_schema ({sort}) it\n  " + text
    return ""
