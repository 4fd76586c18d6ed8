-- What was proposed. Immutable once written; the original schema is in plan_data.
-- rollback_of names the apply whose changes it takes back.
CREATE TABLE `plans` (
  `id` bigint unsigned NOT NULL AUTO_INCREMENT,
  `plan_id` varchar(64) NOT NULL,
  `database_name` varchar(64) NOT NULL,
  `database_type` varchar(32) NOT NULL,
  `environment` varchar(64) NOT NULL,
  `deployment` varchar(1024) NOT NULL,
  `target` varchar(1024) NOT NULL,
  `engine` varchar(32) NOT NULL,
  `repository` varchar(255) NOT NULL DEFAULT '',
  `pull_request` bigint NOT NULL DEFAULT 0,
  `head_sha` varchar(64) NOT NULL DEFAULT '',
  `schema_files` longtext NOT NULL,
  `plan_data` longtext NOT NULL,
  `n_changes` int NOT NULL DEFAULT 0,
  `n_errors` int NOT NULL DEFAULT 0,
  `rollback_of` varchar(64) NOT NULL DEFAULT '',
  `created_at` datetime(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_plan_id` (`plan_id`),
  KEY `ix_database` (`database_name`, `environment`, `id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
