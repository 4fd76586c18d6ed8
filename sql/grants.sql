-- The accounts that SchemaBot needs; adapt hosts, schemas and the way passwords are set.
-- `REPLACE_ME` stands for passwords: put the same into the files that the configuration names.

-- 1. The storage account: our own tables, and scratch schemas in which a new version's tables are
--    tried before ours are changed. Their names go on with the year, others of ours do not.
CREATE USER IF NOT EXISTS 'schemabot'@'localhost' IDENTIFIED BY 'REPLACE_ME';
CREATE DATABASE IF NOT EXISTS `schemabot` DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, REFERENCES ON `schemabot`.* TO 'schemabot'@'localhost';
GRANT SELECT, CREATE, CREATE TEMPORARY TABLES, ALTER, DROP, INDEX, REFERENCES ON `\_schemabot\_2%`.* TO 'schemabot'@'localhost';

-- 2. A target account: the schemas that may be changed, and schemas of ours, whose names all
--    begin with _schemabot_: scratch schemas, _schemabot_state (who works on which table) and
--    _schemabot_drops (dropped tables that are kept for a while). LOCK TABLES is for the swap
--    of a table that was copied online, TRIGGER shows that a table has no triggers. PROCESS
--    shows what holds a lock or executes a statement, and what a statement does to a table's
--    files; REPLICATION SLAVE and REPLICATION CLIENT (MariaDB calls it BINLOG MONITOR) are for
--    reading the binlog, in which the copy finds what the application changes meanwhile.
--    Connections that a dead driver left behind are this account's own: to end them takes no
--    right.
CREATE USER IF NOT EXISTS 'schemabot_ddl'@'localhost' IDENTIFIED BY 'REPLACE_ME';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES, LOCK TABLES, TRIGGER ON `shop`.* TO 'schemabot_ddl'@'localhost';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, CREATE TEMPORARY TABLES, ALTER, DROP, INDEX, REFERENCES ON `\_schemabot\_%`.* TO 'schemabot_ddl'@'localhost';
GRANT PROCESS, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO 'schemabot_ddl'@'localhost';
-- On MySQL also: which statement holds a lock, and how far a long ALTER is.
GRANT SELECT ON `performance_schema`.* TO 'schemabot_ddl'@'localhost';

--    Only where the configuration has kill_blockers_after (MySQL: CONNECTION_ADMIN):
-- GRANT CONNECTION ADMIN ON *.* TO 'schemabot_ddl'@'localhost';

--    On each server that `throttle` names among its replicas, an account that may ask how far behind
--    it is (MySQL: REPLICATION CLIENT):
-- CREATE USER IF NOT EXISTS 'schemabot_lag'@'%' IDENTIFIED BY 'REPLACE_ME';
-- GRANT REPLICA MONITOR ON *.* TO 'schemabot_lag'@'%';

-- 3. Recommended: an account for nothing but scratch schemas, whose names begin with the year.
--    Name it as `workspace` in the configuration, on the target's own server or on another of
--    the same version. What comes out of schema files is then executed by this account alone,
--    so that a file reaches no other schema, whatever it says. Two things become possible:
--    the account above needs only `_schemabot_state` and `_schemabot_drops` of our schemas,
--    and to plan (not to apply) it needs no more than SELECT on the schemas to be changed.
--    PROCESS shows whether a statement that was tried has rebuilt its table: without it every
--    change that is not instant is taken for one that has to copy the table.
CREATE USER IF NOT EXISTS 'schemabot_scratch'@'localhost' IDENTIFIED BY 'REPLACE_ME';
GRANT SELECT, CREATE, CREATE TEMPORARY TABLES, ALTER, DROP, INDEX, REFERENCES, INSERT ON `\_schemabot\_2%`.* TO 'schemabot_scratch'@'localhost';
GRANT PROCESS ON *.* TO 'schemabot_scratch'@'localhost';
