-- What happened so often and left no row behind to count: written by the reaper, shown by
-- /metrics.
CREATE TABLE `counters` (
  `id` bigint unsigned NOT NULL AUTO_INCREMENT,
  `counter` varchar(64) NOT NULL,
  `database_name` varchar(64) NOT NULL DEFAULT '',
  `environment` varchar(64) NOT NULL DEFAULT '',
  `n` bigint unsigned NOT NULL DEFAULT 0,
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_counter` (`counter`, `database_name`, `environment`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
