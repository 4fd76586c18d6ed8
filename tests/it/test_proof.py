"""
test_proof.py - a plan is proved before it is offered, and one that is wrong cannot be applied.
The statements are falsified on their way to the empty copies (SB_BREAK_DDL: core/schema/verify.c).
"""
import pytest

USERS = "CREATE TABLE users (id bigint NOT NULL AUTO_INCREMENT, name varchar(50) NOT NULL, PRIMARY KEY (id))"
P = "CREATE TABLE p (id int NOT NULL, PRIMARY KEY (id))"
C = "CREATE TABLE c (id int NOT NULL, a int, b varchar(9), PRIMARY KEY (id), KEY a (a)%s)%s"

# live, desired, what stands in the statement, what is tried instead, what is said
BROKEN = [
    ("a type", [USERS], [USERS.replace("50", "60")], "varchar(60)", "varchar(61)", "still be missing: ALTER TABLE `users` MODIFY COLUMN"),
    ("a column", [USERS], [USERS.replace("name v", "x int, name v")], " AFTER `id`", " FIRST", "MODIFY COLUMN `x`"),
    ("a default", [P], [P.replace("NULL,", "NULL, a int DEFAULT 1,")], "DEFAULT", "COMMENT '' DEFAULT 2 --", ""),
    ("an index", [C % ("", "")], [C % (", KEY ba (b, a)", "")], "(`b`,`a`)", "(`a`,`b`)", "ADD KEY `ba`"),
    ("a type of index", [C % ("", " ENGINE=MEMORY")], [C % (", KEY b (b) USING BTREE", " ENGINE=MEMORY")], "USING BTREE", "USING HASH",
     "USING BTREE"),
    ("a check", [C % ("", "")], [C % (", CONSTRAINT k CHECK (a > 1)", "")], "> 1", "> 2", "still be missing"),
    ("a foreign key", [P, C % ("", "")], [P, C % (", CONSTRAINT f FOREIGN KEY (a) REFERENCES p (id) ON DELETE CASCADE", "")],
     "ON DELETE CASCADE", "ON DELETE SET NULL", "ADD CONSTRAINT `f`"),
    ("a partition", [P], [P + " PARTITION BY RANGE (id) (PARTITION q VALUES LESS THAN (20))"], "(20)", "(30)", "PARTITION BY"),
    ("an option", [P], [P + " COMMENT='x'"], "COMMENT='x'", "COMMENT='y'", "COMMENT='x'"),
    ("a collation", [P], [P + " DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin"], "utf8mb4_bin", "utf8mb4_unicode_ci", "COLLATE=utf8mb4_bin"),
    ("a new table", [], [P], "`id` int", "`id` bigint", "MODIFY COLUMN `id`"),
    ("a table that goes", [P], [], "DROP TABLE `p`", "DO 0", "the table would remain"),
    ("a word", [USERS], [USERS.replace("50", "60")], "MODIFY", "MODIFLY", "does not work"),
    ("the second of two", [P], [P.replace("int", "bigint"), USERS], "MODIFY COLUMN", "DROP PRIMARY KEY, MODIFY COLUMN", "`p`"),
]


@pytest.fixture
def falsify(stack):
    file = stack.dir / "break"
    stack.command("restart-app", "--env", f"SB_BREAK_DDL={file}")
    yield lambda before, after, how="": file.write_text(f"{before}\n{after}\n{how}\n")
    file.unlink(missing_ok=True)
    stack.command("restart-app")


# Of these information_schema knows nothing, or they fail before they are compared.
ONLY_BY_DEFINITION = {"a word", "a table that goes"}
ONLY_ON = {"a check": "mariadb"}  # MySQL's clauses have introducers that depend on their past


def set_up(stack, live):
    connection = stack.connect("shop_staging")
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET foreign_key_checks = 0")
            for table in stack.tables():
                cursor.execute(f"DROP TABLE `{table}`")
            for text in live:
                cursor.execute(text)
    finally:
        connection.close()


def test_a_plan_that_would_not_do_what_it_says(stack, falsify):
    """It is returned with the difference, stored with it, and refused by apply."""
    wrong = []
    for name, live, desired, before, after, words in BROKEN:
        set_up(stack, live)
        falsify("-- nothing is like this", "")
        right = stack.post_plan(desired).expect(200)
        if right["errors"] or not right["changes"]:
            wrong.append(f"{name}: not even right: {right['errors']} {right['changes']}")
        falsify(before, after)
        plan = stack.post_plan(desired).expect(200)
        said = " ".join(plan["errors"])
        ddl = [c["ddl"] for ns in plan["changes"] for c in ns["table_changes"]]
        if not plan["errors"] or words not in said:
            wrong.append(f"{name}: {plan['errors']} lacks {words!r}")
        if "_schemabot_" in said:
            wrong.append(f"{name}: it shows a scratch schema: {said}")
        if not any(before in d for d in ddl):
            wrong.append(f"{name}: {before!r} is not in {ddl}")
        if stack.api.get(f"/api/plans/{plan['plan_id']}").expect(200)["errors"] != plan["errors"]:
            wrong.append(f"{name}: the stored plan says something else")
        reply = stack.post_apply(plan, allow_unsafe=True)
        if not 400 <= reply.status < 500:
            wrong.append(f"{name}: it can be applied: {reply}")
    assert not wrong, "\n".join(wrong)
    assert stack.storage("SELECT COUNT(*) AS n FROM applies") == [{"n": 0}]
    assert not [d for d in stack.databases() if d.startswith("_schemabot_2")]


def test_information_schema_alone_finds_it_out(stack, falsify):
    """The second comparison sees what the first would miss if it had an error."""
    wrong = []
    for name, live, desired, before, after, _ in BROKEN:
        if name in ONLY_BY_DEFINITION or ONLY_ON.get(name, stack.flavor) != stack.flavor:
            continue
        set_up(stack, live)
        falsify("-- nothing is like this", "", "blind")
        right = stack.post_plan(desired).expect(200)
        if right["errors"]:
            wrong.append(f"{name}: not even right: {right['errors']}")
        falsify(before, after, "blind")
        plan = stack.post_plan(desired).expect(200)
        if "the server describes it as" not in " ".join(plan["errors"]):
            wrong.append(f"{name}: {plan['errors']}")
    assert not wrong, "\n".join(wrong)
